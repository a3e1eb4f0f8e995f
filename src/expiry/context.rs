//! What the threads of one watch share: the two servers, the queues between the threads, and the state that
//! one thread sets and others read.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::awaited_events::AwaitedEvents;
use super::canary::Canary;
use super::changed_keys::ChangedKeys;
use super::deadline_handoff::DeadlineHandoff;
use super::inbox::Inbox;
use super::key_filter::KeyFilter;
use super::lease_fence::LeaseFence;
use super::listen_state::ListenState;
use super::own_keys::OwnKeys;
use super::rate_limiter::RateLimiter;
use super::remembered_deadlines::RememberedDeadlines;
use super::server_clock::ServerClock;
use crate::redis::{Health, Link, RedisServer};
use crate::report::{Conditions, Counters};

/// Each of the queues of deadlines and of awaited keys may take this fraction (one divided by the number) of
/// the memory for deadlines.
pub(super) const QUEUE_MEMORY_DIVISOR: u64 = 8;

/// What pandad does about keys that expired while nobody listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciliation {
    /// Nothing: these keys are lost.
    Off,
    /// The keys are found and logged.
    DryRun,
    /// The keys are found and pushed.
    On,
}

/// One of the two servers.
#[derive(Clone)]
pub struct WatchedServer {
    /// The server's address and login.
    pub server: Arc<RedisServer>,
    /// Its outages, which the job logs once.
    pub health: Health,
}

impl WatchedServer {
    /// `job` is the first word of the log lines about the server's outages; the server's state is one of
    /// the job's `conditions`.
    pub fn new(job: &str, server: RedisServer, conditions: &Conditions) -> Self {
        Self { health: Health::new(job, &server, conditions), server: Arc::new(server) }
    }

    /// A link for one caller. Its connection is opened when it is needed.
    pub(super) fn link(&self) -> Link {
        Link::new(Arc::clone(&self.server), self.health.clone())
    }
}

/// The servers and keys to watch, and the limits.
pub struct WatchConfig {
    /// The job's name, with which log lines begin.
    pub job: &'static str,
    /// The server where keys expire.
    pub expire: WatchedServer,
    /// The server of the work list.
    pub list: WatchedServer,
    /// The work list's key.
    pub list_key: String,
    /// Which keys become items.
    pub filter: KeyFilter,
    /// What pandad does about keys that expired while nobody listened.
    pub reconciliation: Reconciliation,
    /// The most keys in one second about which the server where keys expire is asked.
    pub rate: u32,
    /// Bytes that deadlines may take in memory.
    pub memory: u64,
}

/// See the module.
pub(super) struct ExpiryContext {
    pub(super) job: &'static str,
    pub(super) expire: WatchedServer,
    pub(super) list: WatchedServer,
    pub(super) list_key: String,
    pub(super) filter: KeyFilter,
    pub(super) reconciliation: Reconciliation,
    /// Bytes that deadlines may take in memory.
    pub(super) memory: u64,
    pub(super) counters: Arc<Counters>,
    /// The queue from the listener to the workers.
    pub(super) inbox: Inbox,
    /// The queue from the listener to the expire probe.
    pub(super) changed_keys: ChangedKeys,
    /// The queue from the expire probe to the reconciler; stays empty if deadlines are not remembered.
    pub(super) handoff: DeadlineHandoff,
    /// Keys that are due and whose events have not been received.
    pub(super) awaited: AwaitedEvents,
    /// Whether a sweep has come to its end, or sweeps are refused.
    pub(super) has_swept: AtomicBool,
    /// How late the event of an awaited key was received, at most, since the expire probe last looked, in
    /// microseconds.
    pub(super) event_late_us: AtomicU64,
    pub(super) listen_state: ListenState,
    pub(super) canary: Canary,
    pub(super) clock: ServerClock,
    pub(super) fence: LeaseFence,
    pub(super) remembered: RememberedDeadlines,
    /// The common rate of the expire probe and the reconciler.
    rate: Mutex<RateLimiter>,
    /// Disconnected when the watch ends.
    pub(super) end: Receiver<()>,
}

impl ExpiryContext {
    /// `instance` is a random name of this watch. The watch ends when `end` is disconnected.
    pub(super) fn new(
        config: WatchConfig,
        inbox: Inbox,
        counters: Arc<Counters>,
        instance: &str,
        end: Receiver<()>,
        now: Instant,
    ) -> Self {
        let WatchConfig { job, expire, list, list_key, filter, reconciliation, rate, memory } = config;
        let prefix = String::from_utf8_lossy(&filter.prefix).into_owned();
        let keys = OwnKeys::new(&list_key, &expire.server, &prefix);
        let fence = LeaseFence::new(keys.lease(), keys.beat(), instance);
        Self {
            changed_keys: ChangedKeys::new(memory / QUEUE_MEMORY_DIVISOR),
            handoff: DeadlineHandoff::new(memory / QUEUE_MEMORY_DIVISOR),
            awaited: AwaitedEvents::new(memory / QUEUE_MEMORY_DIVISOR),
            has_swept: AtomicBool::new(false),
            event_late_us: AtomicU64::new(0),
            listen_state: ListenState::new(),
            canary: Canary::new(&keys.canary_start(instance)),
            clock: ServerClock::new(),
            remembered: RememberedDeadlines::new(keys.deadlines(), list_key.clone(), fence.clone()),
            rate: Mutex::new(RateLimiter::new(rate, now)),
            job,
            expire,
            list,
            list_key,
            filter,
            reconciliation,
            memory,
            counters,
            inbox,
            fence,
            end,
        }
    }

    /// The common rate of the expire probe and the reconciler, locked.
    pub(super) fn rate(&self) -> MutexGuard<'_, RateLimiter> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether deadlines are remembered beside the work list.
    pub(super) fn remembers(&self) -> bool {
        self.reconciliation != Reconciliation::Off
    }

    /// Whether the watch has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.end.try_recv().is_err_and(|error| error.is_disconnected())
    }

    /// Waits for this time, or until the watch ends.
    pub(super) fn pause(&self, time: Duration) {
        // No message is ever sent on this channel. Only its disconnection ends the wait early.
        let _timeout_or_end = self.end.recv_timeout(time);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::redis::ServerAddress;
    use crate::report::CountedUnit;
    use crossbeam_channel::{Sender, bounded};

    /// A context for tests, without servers: keys with the prefix `k:`, a thousand a second.
    pub(in crate::expiry) fn context(reconciliation: Reconciliation) -> (Arc<ExpiryContext>, Sender<()>) {
        context_on(reconciliation, 1, 1000)
    }

    /// The same with this port for both servers, and this rate.
    pub(in crate::expiry) fn context_on(
        reconciliation: Reconciliation,
        port: u16,
        rate: u32,
    ) -> (Arc<ExpiryContext>, Sender<()>) {
        let server = RedisServer {
            name: "redis_kv_expire",
            address: ServerAddress::Tcp("127.0.0.1".to_owned(), port),
            user: String::new(),
            password: String::new(),
            database: 0,
            connect_timeout: Duration::from_secs(10),
            client_name: String::new(),
            left_out: crate::redis::LeftOutCommands::default(),
            tls: None,
        };
        let watched = WatchedServer::new("test", server, &Conditions::default());
        let config = WatchConfig {
            job: "test",
            expire: watched.clone(),
            list: watched,
            list_key: "work".to_owned(),
            filter: KeyFilter { prefix: b"k:".to_vec(), never: b"pandad:".to_vec() },
            reconciliation,
            rate,
            memory: 1 << 20,
        };
        let (owner, end) = bounded(0);
        let inbox = Inbox::new("test", 1 << 20);
        let counters = Counters::shared("test", CountedUnit::Keys);
        (Arc::new(ExpiryContext::new(config, inbox, counters, "0f", end, Instant::now())), owner)
    }

    #[test]
    fn a_watch_ends_with_its_owner() {
        let (context, owner) = context(Reconciliation::Off);
        context.pause(Duration::ZERO);
        assert!(!context.has_ended() && !context.remembers());
        drop(owner);
        context.pause(Duration::from_secs(3600));
        assert!(context.has_ended());
    }
}
