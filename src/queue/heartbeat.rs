//! The heartbeat: a key with a time to live, which a separate thread sets again and again. If the key is
//! missing, other instances take over the batches of this one.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::keys::QueueKeys;
use super::lease::{QueueLease, millis};
use crate::error::Fault;
use crate::host::Process;
use crate::redis::{Cmd, Link, cmd};
use crate::threads::{self, Thread};

/// How long `stop` waits for a heartbeat that has no answer yet.
const STOP_WAIT_MAX: Duration = Duration::from_secs(1);

/// The running heartbeat of one instance.
pub struct InstanceHeartbeat {
    lease: QueueLease,
    stop: Sender<()>,
    thread: Thread<()>,
}

impl InstanceHeartbeat {
    /// Starts the heartbeat of the instance. The lease says how long each heartbeat counts; `job` is the
    /// first word of the log lines.
    ///
    /// # Errors
    /// `Retry`: the system gives no thread.
    pub fn start(
        job: &'static str,
        link: Link,
        keys: &QueueKeys,
        instance: &str,
        lease: &QueueLease,
    ) -> Result<Self, Fault> {
        let (process, ttl) = (Process::this().to_string(), millis(lease.ttl()));
        let mut command = cmd("SET");
        command.arg(keys.heartbeat(instance)).arg(process).arg("PX").arg(ttl);
        let (stop, stopped) = bounded::<()>(0);
        let mut sender = HeartbeatSender { job, link, command, lease: lease.clone() };
        let thread = threads::spawn("list-alive", move || sender.run(&stopped))?;
        Ok(Self { lease: lease.clone(), stop, thread })
    }

    /// The lease that the heartbeat renews.
    pub fn lease(&self) -> &QueueLease {
        &self.lease
    }

    /// Ends the thread. The heartbeat's key stays: whoever ends the instance deletes the key.
    pub fn stop(self) {
        drop(self.stop);
        // A thread that still waits for an answer ends later, by itself.
        let until = Instant::now() + STOP_WAIT_MAX;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The thread that sends the heartbeats.
struct HeartbeatSender {
    job: &'static str,
    link: Link,
    /// The command that sets the heartbeat's key.
    command: Cmd,
    lease: QueueLease,
}

impl HeartbeatSender {
    fn run(&mut self, stopped: &Receiver<()>) {
        // Three heartbeats are sent within a time to live, and more after a failure.
        let (pause, retry_pause) = (self.lease.ttl() * 3 / 10, self.lease.ttl() / 20);
        loop {
            let pause = match threads::contain(|| self.send()) {
                Ok(Ok(sent)) => {
                    self.lease.renew(sent);
                    pause
                }
                Ok(Err(_logged)) => retry_pause,
                Err(panic) => {
                    log::error!(
                        "{}: internal error in the heartbeat thread: {panic}; the thread goes on",
                        self.job
                    );
                    retry_pause
                }
            };
            if stopped.recv_timeout(pause).is_err_and(|error| error.is_disconnected()) {
                return;
            }
        }
    }

    /// Sends one heartbeat, and returns when it was sent.
    fn send(&mut self) -> Result<Duration, Fault> {
        let Self { link, command, lease, .. } = self;
        link.with_retry(|connection| {
            // The clock is read again for each attempt, because the first attempt may have taken long.
            let sent = lease.now();
            connection.ask(command).map(|_| sent)
        })
    }
}
