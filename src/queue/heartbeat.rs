//! The heartbeat: a key with a time to live, which a thread of its own sets again and again.
//! If the key is missing, other instances take over the batches of this one.

use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use super::keys::QueueKeys;
use super::lease::{QueueLease, millis};
use crate::error::Fault;
use crate::host::Process;
use crate::redis::{Link, cmd};
use crate::threads::{self, Thread};

/// How long `stop` waits for a heartbeat that has no answer yet.
const STOP_WAIT_MAX: Duration = Duration::from_secs(1);

/// The running thread.
pub struct Heartbeat {
    lease: QueueLease,
    stop: Sender<()>,
    thread: Thread<()>,
}

impl Heartbeat {
    /// Starts the heartbeat of the instance. The lease says how long each one counts.
    ///
    /// # Errors
    /// `Retry`: no thread can be had.
    pub fn start(
        mut link: Link,
        keys: &QueueKeys,
        instance: &str,
        lease: &QueueLease,
    ) -> Result<Self, Fault> {
        let mut beat = cmd("SET");
        beat.arg(keys.heartbeat(instance))
            .arg(Process::this().to_string())
            .arg("PX")
            .arg(millis(lease.ttl()));
        // Three within a time to live, and more after a failure.
        let (pause, retry) = (lease.ttl() * 3 / 10, lease.ttl() / 20);
        let (stop, stopped) = bounded::<()>(0);
        let renewed = lease.clone();
        let thread = threads::spawn("list-alive", move || {
            loop {
                let beaten = threads::contain(|| {
                    // Taken anew for each try: the first one may have taken long.
                    link.with_retry(|connection| {
                        let sent = renewed.now();
                        connection.ask(&beat).map(|_| sent)
                    })
                });
                let pause = match beaten {
                    Ok(Ok(sent)) => {
                        renewed.renew(sent);
                        pause
                    }
                    Ok(Err(_told)) => retry,
                    Err(panic) => {
                        log::error!("a fault of our own in the sign of heartbeat: {panic}");
                        retry
                    }
                };
                if stopped.recv_timeout(pause).is_err_and(|error| error.is_disconnected()) {
                    return;
                }
            }
        })
        .map_err(|error| Fault::Retry(format!("cannot start a thread: {error}")))?;
        Ok(Self { lease: lease.clone(), stop, thread })
    }

    /// The lease that it renews.
    pub fn lease(&self) -> &QueueLease {
        &self.lease
    }

    /// Ends the thread. The key stays: whoever ends the instance deletes it.
    pub fn stop(self) {
        drop(self.stop);
        // A thread that still waits for an answer ends by itself, later.
        let until = Instant::now() + STOP_WAIT_MAX;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
