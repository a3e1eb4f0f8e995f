//! The heartbeat: a key with a time to live, which a separate thread sets again and again. If the key is
//! missing, other instances take over the batches of this one.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::beats::SeenBeats;
use super::keys::QueueKeys;
use super::lease::{QueueLease, millis};
use crate::error::Fault;
use crate::host::Process;
use crate::redis::{Cmd, EvictionCheck, Link, RedisConnection, RedisError, cmd};
use crate::threads::{self, Thread};

/// How long `stop` waits for a heartbeat that has no answer yet.
const STOP_WAIT_MAX: Duration = Duration::from_secs(1);

/// The server's policy is asked for again after this many heartbeats.
const HEARTBEATS_PER_POLICY: u64 = 30;

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
        eviction: EvictionCheck,
        keys: &QueueKeys,
        instance: &str,
        lease: &QueueLease,
    ) -> Result<Self, Fault> {
        let (process, ttl) = (Process::this().to_string(), millis(lease.ttl()));
        let mut command = cmd("SET");
        command.arg(keys.heartbeat(instance)).arg(process).arg("PX").arg(ttl);
        let (stop, stopped) = bounded::<()>(0);
        let beat = BeatSender { eviction, evicts: false, key: keys.beat(instance), sent: 0 };
        let mut sender = HeartbeatSender { job, link, command, beat, lease: lease.clone() };
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
    beat: BeatSender,
    lease: QueueLease,
}

/// Sends the beat, if the server evicts keys.
struct BeatSender {
    eviction: EvictionCheck,
    evicts: bool,
    key: String,
    /// How many heartbeats were sent.
    sent: u64,
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
        let Self { link, command, beat, lease, .. } = self;
        link.with_retry(|connection| {
            // The clock is read again for each attempt, because the first attempt may have taken long.
            let sent = lease.now();
            connection.ask(command)?;
            beat.send(connection)?;
            Ok(sent)
        })
    }
}

impl BeatSender {
    fn send(&mut self, connection: &mut RedisConnection) -> Result<(), RedisError> {
        if self.sent.is_multiple_of(HEARTBEATS_PER_POLICY) {
            // The heartbeat was accepted, whatever comes of this question; the next heartbeat asks again.
            let Ok(evicts) = self.eviction.evicts(connection) else { return Ok(()) };
            self.evicts = evicts;
            if !evicts {
                // One of a time in which the server did evict keys would be taken for that of a halted
                // process.
                let _refused_or_lost = connection.ask(cmd("DEL").arg(&self.key));
            }
        }
        self.sent += 1;
        if !self.evicts {
            return Ok(());
        }
        let beat = SeenBeats::text(Process::this(), self.sent);
        match connection.ask(cmd("SET").arg(&self.key).arg(beat)) {
            // If this is refused, the heartbeat works as on servers that evict nothing.
            Ok(_) | Err(RedisError::Refused { .. }) => Ok(()),
            Err(lost) => Err(lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::fake_server::FakeRedis;

    /// A beat of a time in which the server did evict keys would be taken for that of a halted process.
    #[test]
    fn a_beat_ends_with_the_servers_policy() {
        let redis = FakeRedis::start();
        redis.data().info = "maxmemory:7\r\nmaxmemory_policy:volatile-ttl\r\n".to_owned();
        let eviction = EvictionCheck::new("test".to_owned());
        let mut beat = BeatSender { eviction, evicts: false, key: "beat".to_owned(), sent: 0 };
        let mut link = redis.link();
        for number in 0..=HEARTBEATS_PER_POLICY {
            assert_eq!(redis.holds("beat"), number > 0);
            link.once(|connection| beat.send(connection)).unwrap();
            redis.data().info = "maxmemory:7\r\nmaxmemory_policy:noeviction\r\n".to_owned();
        }
        assert!(!redis.holds("beat"));
    }
}
