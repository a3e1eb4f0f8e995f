//! The sign of life: a key with a time to live, set again and again in a thread of its
//! own. Where it is missing, others take over what its instance held.

use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use super::lease::millis;
use super::{QueueKeys, QueueLease};
use crate::error::Fault;
use crate::host::Process;
use crate::redis::{Link, cmd};
use crate::threads::{self, Thread};

/// How long its end waits for a beat that is under way.
const STOP_WAIT_MAX: Duration = Duration::from_secs(1);

/// Beats until it is stopped.
pub struct InstanceHeartbeat {
    lease: QueueLease,
    stop: Sender<()>,
    thread: Thread<()>,
}

impl InstanceHeartbeat {
    /// Begins to beat for the instance; the lease says how long a sign lasts.
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
        // Three chances within a life, and more of them after one that failed.
        let (pause, retry) = (lease.ttl() * 3 / 10, lease.ttl() / 20);
        let (stop, stopped) = bounded::<()>(0);
        let renewed = lease.clone();
        let thread = threads::spawn("list-alive", move || {
            loop {
                let beaten = threads::contain(|| {
                    // Each try has a time of its own: the first may have been long under way.
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

    /// What it keeps up.
    pub fn lease(&self) -> &QueueLease {
        &self.lease
    }

    /// Ends it; the key is left to whoever ends the instance.
    pub fn stop(self) {
        drop(self.stop);
        // One that is in the middle of a beat which nobody answers ends by itself, later.
        let until = Instant::now() + STOP_WAIT_MAX;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
