//! Watching one server for keys that expire: puts the threads of this room together and
//! ends them, and pushes what was heard.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use super::canary::Canary;
use super::canary_probe::CanaryProbe;
use super::changed_keys::ChangedKeys;
use super::deadline_handoff::DeadlineHandoff;
use super::deadlines::Deadlines;
use super::expire_probe::{self, ExpireProbe};
use super::inbox::Inbox;
use super::key_filter::KeyFilter;
use super::lease_fence::LeaseFence;
use super::lease_keeper::{self, LeaseKeeper};
use super::list_push::ListPush;
use super::listen_state::ListenState;
use super::listener::{self, Listener};
use super::own_keys::OwnKeys;
use super::rate_limiter::RateLimiter;
use super::reconciler::{self, Reconciler};
use super::remembered_deadlines::RememberedDeadlines;
use super::server_clock::ServerClock;
use super::sweep::Sweep;
use crate::error::Fault;
use crate::host;
use crate::redis::{Health, Link, RedisServer};
use crate::report::Counters;
use crate::threads::{self, Thread};

/// How long the end waits for what the threads have to say to the servers.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// Whether keys are looked for that died while nobody listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciliation {
    /// Not at all.
    Off,
    /// Found and told.
    DryRun,
    /// Found and pushed.
    On,
}

/// What is watched, and by which figures.
pub struct WatchConfig {
    /// The job's name, as log lines begin.
    pub job: &'static str,
    /// The server where keys expire, and how it is.
    pub expire: (Arc<RedisServer>, Health),
    /// The server of the work list, and how it is.
    pub list: (Arc<RedisServer>, Health),
    /// The work list's key.
    pub list_key: String,
    /// Which keys are work.
    pub filter: KeyFilter,
    /// See there.
    pub reconcile: Reconciliation,
    /// Keys asked for on the server where keys expire, a second at most.
    pub rate: u32,
    /// Bytes that deadlines may take.
    pub memory: u64,
}

/// The threads end, some seconds later, when this is dropped.
pub struct ExpiryWatch {
    owner: Option<Sender<()>>,
    /// Those that have something to say to a server at their end.
    threads: Vec<Thread<()>>,
}

/// What all threads of one watch share.
struct WatchParts {
    watched: WatchConfig,
    inbox: Inbox,
    counters: Arc<Counters>,
    names: OwnKeys,
    fence: LeaseFence,
    listen_state: ListenState,
    clock: ServerClock,
    changed_keys: ChangedKeys,
    memory: Option<DeadlineHandoff>,
    rate: Arc<Mutex<RateLimiter>>,
    canary: Canary,
}

impl ExpiryWatch {
    /// Begins to watch: keys that expire come to `inbox`, and `ListPush` is how they go to the list.
    ///
    /// # Errors
    /// `Retry`: no thread, or no random name, can be had.
    pub fn start(
        watched: WatchConfig,
        inbox: Inbox,
        counters: &Arc<Counters>,
    ) -> Result<(Self, ListPush), Fault> {
        let random = host::random::<8>().map_err(|error| Fault::Retry(format!("no random name: {error}")))?;
        let instance = format!("{:016x}", u64::from_le_bytes(random));
        let now = Instant::now();
        let prefix = String::from_utf8_lossy(&watched.filter.prefix).into_owned();
        let names = OwnKeys::new(&watched.list_key, &watched.expire.0, &prefix);
        let queue = watched.memory / 8;
        let shared = WatchParts {
            fence: LeaseFence::new(names.lease(), &instance),
            canary: Canary::new(&names.canary(&instance)),
            names,
            listen_state: ListenState::new(),
            clock: ServerClock::new(),
            changed_keys: ChangedKeys::new(queue),
            memory: (watched.reconcile != Reconciliation::Off).then(|| DeadlineHandoff::new(queue)),
            rate: Arc::new(Mutex::new(RateLimiter::new(watched.rate, now))),
            inbox,
            counters: Arc::clone(counters),
            watched,
        };
        shared.start(now)
    }

    /// Ends the threads, and waits a little for what they say to the servers. What was
    /// heard has been pushed by now: the lease may go to others.
    pub fn end(&mut self) {
        self.owner = None;
        let until = Instant::now() + END_WAIT_MAX;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl WatchParts {
    fn start(self, now: Instant) -> Result<(ExpiryWatch, ListPush), Fault> {
        let (owner, gone) = bounded(0);
        let link =
            |(server, health): &(Arc<RedisServer>, Health)| Link::new(Arc::clone(server), health.clone());
        let remembered = self.remembered();
        let watched = &self.watched;
        let keeper = LeaseKeeper {
            job: watched.job,
            link: link(&watched.list),
            fence: self.fence.clone(),
            listen_state: self.listen_state.clone(),
            counters: Arc::clone(&self.counters),
            gone: gone.clone(),
            state: lease_keeper::KeeperState::default(),
        };
        let expire_probe = ExpireProbe {
            job: watched.job,
            server: watched.expire.0.to_string(),
            link: link(&watched.expire),
            filter: watched.filter.clone(),
            changed_keys: self.changed_keys.clone(),
            listen_state: self.listen_state.clone(),
            clock: self.clock.clone(),
            rate: Arc::clone(&self.rate),
            deadlines: Deadlines::new(watched.memory, now),
            sweep: Sweep::new(now),
            canary_probe: CanaryProbe::new(self.canary.clone(), now),
            canary: self.canary.key().to_vec(),
            remember: self.memory.clone(),
            counters: Arc::clone(&self.counters),
            gone: gone.clone(),
            state: expire_probe::ProbeState::new(format!("{}: {}", watched.job, watched.expire.0), now),
        };
        let reconciler = self.memory.clone().map(|memory| Reconciler {
            job: watched.job,
            list: link(&watched.list),
            expire: link(&watched.expire),
            remembered: remembered.clone(),
            memory,
            inbox: self.inbox.clone(),
            listen_state: self.listen_state.clone(),
            rate: Arc::clone(&self.rate),
            dry_run: watched.reconcile == Reconciliation::DryRun,
            counters: Arc::clone(&self.counters),
            gone: gone.clone(),
            state: reconciler::ReconcilerState::default(),
        });
        let push = ListPush {
            list: link(&watched.list),
            key: watched.list_key.clone(),
            remembered: self.memory.is_some().then_some(remembered),
            inbox: self.inbox.clone(),
        };
        let listener = Listener {
            job: watched.job,
            server: Arc::clone(&watched.expire.0),
            health: watched.expire.1.role("listen"),
            filter: watched.filter.clone(),
            inbox: self.inbox,
            changed_keys: self.changed_keys,
            listen_state: self.listen_state,
            canary: self.canary,
            gone,
            state: listener::ListenerState::default(),
        };
        let mut threads =
            vec![start("expired-lease", || keeper.run())?, start("expired-touch", || expire_probe.run())?];
        if let Some(reconciler) = reconciler {
            threads.push(start("expired-recon", || reconciler.run())?);
        }
        // Blocked in a read that nobody can end: it is not waited for.
        start("expired-listen", || listener.run())?;
        Ok((ExpiryWatch { owner: Some(owner), threads }, push))
    }

    fn remembered(&self) -> RememberedDeadlines {
        RememberedDeadlines {
            set: self.names.deadlines(),
            list: self.watched.list_key.clone(),
            fence: self.fence.clone(),
            clock: self.clock.clone(),
        }
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread<()>, Fault> {
    threads::spawn(name, body).map_err(|error| Fault::Retry(format!("cannot start a thread: {error}")))
}
