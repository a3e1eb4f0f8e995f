//! Watching one server for keys that expire: puts the threads of this room together and
//! ends them, and pushes what was heard.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use super::canary::{Canary, Rounds};
use super::deadlines::Deadlines;
use super::gate::{Clock, Gate};
use super::lease::{self, Fence, Keeper};
use super::listener::{self, Ear, Filter};
use super::memory::Memory;
use super::names::Names;
use super::news::News;
use super::pace::Pace;
use super::reconcile::{self, Reconciler};
use super::remembered::{self, Remembered};
use super::sweep::Sweep;
use super::touch::{self, Toucher};
use super::{Inbox, Taken};
use crate::error::Fault;
use crate::host;
use crate::redis::{Health, Link, RedisServer};
use crate::report::Counters;
use crate::threads::{self, Thread};

/// How long the end waits for what the threads have to say to the servers.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether keys are looked for that died while nobody listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconcile {
    /// Not at all.
    No,
    /// Found and told.
    DryRun,
    /// Found and pushed.
    Yes,
}

/// What is watched, and by which figures.
pub struct Watched {
    /// The job's name, as log lines begin.
    pub job: &'static str,
    /// The server where keys expire, and how it is.
    pub expire: (Arc<RedisServer>, Health),
    /// The server of the work list, and how it is.
    pub list: (Arc<RedisServer>, Health),
    /// The work list's key.
    pub list_key: String,
    /// Which keys are work.
    pub filter: Filter,
    /// See there.
    pub reconcile: Reconcile,
    /// Keys asked for on the server where keys expire, a second at most.
    pub rate: u32,
    /// Bytes that deadlines may take.
    pub memory: u64,
}

/// The threads end, some seconds later, when this is dropped.
pub struct Watch {
    owner: Option<Sender<()>>,
    /// Those that have something to say to a server at their end.
    threads: Vec<Thread<()>>,
}

/// What all threads of one watch share.
struct Shared {
    watched: Watched,
    inbox: Inbox,
    counters: Arc<Counters>,
    names: Names,
    fence: Fence,
    gate: Gate,
    clock: Clock,
    news: News,
    memory: Option<Memory>,
    pace: Arc<Mutex<Pace>>,
    canary: Canary,
}

impl Watch {
    /// Begins to watch: keys that expire come to `inbox`, and `Push` is how they go to the list.
    ///
    /// # Errors
    /// `Retry`: no thread, or no random name, can be had.
    pub fn start(watched: Watched, inbox: Inbox, counters: &Arc<Counters>) -> Result<(Self, Push), Fault> {
        let random = host::random::<8>().map_err(|error| Fault::Retry(format!("no random name: {error}")))?;
        let instance = format!("{:016x}", u64::from_le_bytes(random));
        let now = Instant::now();
        let prefix = String::from_utf8_lossy(&watched.filter.prefix).into_owned();
        let names = Names::new(&watched.list_key, &watched.expire.0, &prefix);
        let queue = watched.memory / 8;
        let shared = Shared {
            fence: Fence::new(names.lease(), &instance),
            canary: Canary::new(&names.canary(&instance)),
            names,
            gate: Gate::new(),
            clock: Clock::new(),
            news: News::new(queue),
            memory: (watched.reconcile != Reconcile::No).then(|| Memory::new(queue)),
            pace: Arc::new(Mutex::new(Pace::new(watched.rate, now))),
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
        let until = Instant::now() + PATIENCE;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Shared {
    fn start(self, now: Instant) -> Result<(Watch, Push), Fault> {
        let (owner, gone) = bounded(0);
        let link =
            |(server, health): &(Arc<RedisServer>, Health)| Link::new(Arc::clone(server), health.clone());
        let remembered = self.remembered();
        let watched = &self.watched;
        let keeper = Keeper {
            job: watched.job,
            link: link(&watched.list),
            fence: self.fence.clone(),
            gate: self.gate.clone(),
            counters: Arc::clone(&self.counters),
            gone: gone.clone(),
            state: lease::State::default(),
        };
        let toucher = Toucher {
            job: watched.job,
            server: watched.expire.0.to_string(),
            link: link(&watched.expire),
            filter: watched.filter.clone(),
            news: self.news.clone(),
            gate: self.gate.clone(),
            clock: self.clock.clone(),
            pace: Arc::clone(&self.pace),
            deadlines: Deadlines::new(watched.memory, now),
            sweep: Sweep::new(now),
            rounds: Rounds::new(self.canary.clone(), now),
            canary: self.canary.key().to_vec(),
            remember: self.memory.clone(),
            counters: Arc::clone(&self.counters),
            gone: gone.clone(),
            state: touch::State::new(format!("{}: {}", watched.job, watched.expire.0), now),
        };
        let reconciler = self.memory.clone().map(|memory| Reconciler {
            job: watched.job,
            list: link(&watched.list),
            expire: link(&watched.expire),
            remembered: remembered.clone(),
            memory,
            inbox: self.inbox.clone(),
            gate: self.gate.clone(),
            pace: Arc::clone(&self.pace),
            dry_run: watched.reconcile == Reconcile::DryRun,
            counters: Arc::clone(&self.counters),
            gone: gone.clone(),
            state: reconcile::State::default(),
        });
        let push = Push {
            list: link(&watched.list),
            key: watched.list_key.clone(),
            remembered: self.memory.is_some().then_some(remembered),
            inbox: self.inbox.clone(),
        };
        let ear = Ear {
            job: watched.job,
            server: Arc::clone(&watched.expire.0),
            health: watched.expire.1.role("listen"),
            filter: watched.filter.clone(),
            inbox: self.inbox,
            news: self.news,
            gate: self.gate,
            canary: self.canary,
            gone,
            state: listener::State::default(),
        };
        let mut threads =
            vec![start("expired-lease", || keeper.run())?, start("expired-touch", || toucher.run())?];
        if let Some(reconciler) = reconciler {
            threads.push(start("expired-recon", || reconciler.run())?);
        }
        // Blocked in a read that nobody can end: it is not waited for.
        start("expired-listen", || ear.run())?;
        Ok((Watch { owner: Some(owner), threads }, push))
    }

    fn remembered(&self) -> Remembered {
        Remembered {
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

/// Pushes what was heard. Each worker has one of its own.
#[derive(Clone)]
pub struct Push {
    list: Link,
    key: String,
    remembered: Option<Remembered>,
    inbox: Inbox,
}

impl Push {
    /// Puts the keys in front of the work list, by one command. Without an answer they
    /// are pushed again: better twice than lost.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve; try again after a pause.
    pub fn push(&mut self, taken: &Taken) -> Result<(), Fault> {
        match &self.remembered {
            None => {
                let push = remembered::plain(&self.key, &taken.keys);
                self.list.with_retry(|connection| connection.ask(&push).map(drop))?;
            }
            Some(remembered) => {
                self.list.with_retry(|connection| remembered.push(connection, &taken.keys))?;
            }
        }
        self.inbox.done(taken);
        Ok(())
    }
}
