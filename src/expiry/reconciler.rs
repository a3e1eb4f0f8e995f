//! The thread that remembers deadlines and finds keys that died while nobody listened: a
//! deadline that has passed, a key that is gone, and no event for it that is still on its
//! way.
//!
//! Asking for a key makes the server delete and announce it if it has only just expired.
//! So a key is missed only if it was gone at one look, and is at the next, and all that
//! was heard up to some time after the first has been pushed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::command_reply::{self, CommandReply};
use super::deadline_handoff::DeadlineHandoff;
use super::inbox::Inbox;
use super::listen_state::ListenState;
use super::listener::is_closed;
use super::rate_limiter::RateLimiter;
use super::remembered_deadlines::{DeadlineChange, RememberedDeadlines};
use super::server_clock::millis;
use crate::error::Fault;
use crate::redis::{Link, Requests, cmd};
use crate::report::Counters;
use crate::threads;

/// A deadline has passed by this before it is looked into.
const OVERDUE_MIN: Duration = Duration::from_secs(2);
/// An event that a look has caused is here after this.
const EVENT_DELAY_MAX: Duration = Duration::from_millis(500);
/// Between two looks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Keys in one look, and in one packet.
const CHECK_KEYS_MAX: usize = 10_000;
const PACKET_KEYS_MAX: usize = 500;
/// Bytes of a key that the log shows.
const LOGGED_KEY_BYTES_MAX: usize = 100;
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// What may not be done is tried again after this.
const DENIED_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Reconciler {
    pub(super) job: &'static str,
    pub(super) list: Link,
    pub(super) expire: Link,
    pub(super) remembered: RememberedDeadlines,
    pub(super) memory: DeadlineHandoff,
    pub(super) inbox: Inbox,
    pub(super) listen_state: ListenState,
    pub(super) rate: Arc<Mutex<RateLimiter>>,
    pub(super) dry_run: bool,
    pub(super) counters: Arc<Counters>,
    pub(super) gone: Receiver<()>,
    pub(super) state: ReconcilerState,
}

/// What it has in mind.
#[derive(Default)]
pub(super) struct ReconcilerState {
    /// Learned, and not written down yet.
    pending: Vec<(Vec<u8>, u64)>,
    subscription: Option<u64>,
    /// Keys that were gone, and since when that is known.
    suspects: HashMap<Vec<u8>, Instant>,
    next: Option<Instant>,
}

/// What the server says of a key.
enum KeyLifetime {
    Gone,
    Persists,
    ExpiresIn(u64),
}

/// Keys that one look has found.
#[derive(Default)]
struct MissedKeys {
    count: u64,
    first: Option<Vec<u8>>,
}

impl Reconciler {
    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        while !is_closed(&self.gone) {
            let pause = match threads::contain(|| self.turn()) {
                Ok(Ok(())) => continue,
                Ok(Err(Fault::RetryLogged)) => RETRY_PAUSE,
                Ok(Err(fault)) => {
                    log::error!("{}: keys that died unheard cannot be looked for: {fault:?}", self.job);
                    DENIED_RETRY_PAUSE
                }
                Err(panic) => {
                    log::error!("{}: a fault of our own while looking for missed keys: {panic}", self.job);
                    DENIED_RETRY_PAUSE
                }
            };
            // Only a closed channel ends the wait early.
            let _alone = self.gone.recv_timeout(pause);
        }
        let _best_effort = self.remember();
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let next = self.state.next.unwrap_or(now);
        self.state.pending.extend(self.memory.take(next.saturating_duration_since(now).min(RETRY_PAUSE)));
        if !self.listen_state.may_listen() {
            // Whoever has the lease learns them by itself.
            self.state.pending.clear();
        }
        self.remember()?;
        if next <= Instant::now() {
            self.look()?;
        }
        Ok(())
    }

    fn remember(&mut self) -> Result<(), Fault> {
        while !self.state.pending.is_empty() {
            let some = self.state.pending.len().saturating_sub(PACKET_KEYS_MAX);
            let entries = self.state.pending.get(some..).unwrap_or_default();
            let remembered = &self.remembered;
            self.list.doing("reconcile").with_retry(|connection| remembered.add(connection, entries))?;
            self.state.pending.truncate(some);
        }
        Ok(())
    }

    /// One look at what is overdue.
    fn look(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        self.state.next = Some(now + CHECK_INTERVAL);
        let subscription = self.listen_state.subscription();
        if subscription.is_none() || self.state.subscription != subscription {
            // What was on its way to an earlier subscription is lost.
            self.state.suspects.clear();
            self.state.subscription = subscription;
        }
        if subscription.is_none() {
            return Ok(());
        }
        // Before the entries are read: what is done between the two would be found in both.
        let settled = self.inbox.done_until();
        let before = self.remembered.clock.at(now).saturating_sub(millis(OVERDUE_MIN));
        let remembered = self.remembered.clone();
        let overdue = self
            .list
            .doing("reconcile")
            .with_retry(|connection| remembered.overdue(connection, before, CHECK_KEYS_MAX))?;
        let there: HashSet<&[u8]> = overdue.iter().map(Vec::as_slice).collect();
        self.state.suspects.retain(|key, _| there.contains(key.as_slice()));
        let mut missed = MissedKeys::default();
        let judged =
            overdue.chunks(PACKET_KEYS_MAX).try_for_each(|keys| self.judge(keys, settled, &mut missed));
        self.tell(&missed);
        judged
    }

    /// Asks for some keys, and does what follows from the answers.
    fn judge(&mut self, keys: &[Vec<u8>], settled: Instant, missed: &mut MissedKeys) -> Result<(), Fault> {
        self.wait_for_room(keys.len());
        let found = self.ask(keys)?;
        let now = Instant::now();
        let (mut change, mut gone) = (DeadlineChange::default(), Vec::new());
        for (key, found) in keys.iter().zip(found) {
            match found {
                KeyLifetime::ExpiresIn(left) => {
                    change.renew.push((self.remembered.clock.at(now).saturating_add(left), key));
                }
                KeyLifetime::Persists => change.remove.push(key),
                KeyLifetime::Gone => {
                    let since = *self.state.suspects.entry(key.clone()).or_insert(now);
                    if since + EVENT_DELAY_MAX < settled {
                        gone.push(key.as_slice());
                    }
                }
            }
        }
        change.remove.extend(&gone);
        if !self.dry_run {
            change.push.extend(&gone);
        }
        if change.remove.is_empty() && change.renew.is_empty() {
            return Ok(());
        }
        let remembered = &self.remembered;
        // Done twice it would push twice: without an answer the next look shows what was done.
        if self.list.doing("reconcile").once(|connection| remembered.change(connection, &change))?
            && let Some(first) = gone.first()
        {
            missed.first.get_or_insert_with(|| first.to_vec());
            missed.count += gone.len() as u64;
        }
        Ok(())
    }

    fn tell(&self, missed: &MissedKeys) {
        let Some(first) = &missed.first else { return };
        log::warn!(
            "{}: {} keys died unheard and {}; one is \"{}\"",
            self.job,
            missed.count,
            if self.dry_run { "would be pushed (dry-run)" } else { "are pushed now" },
            first.get(..LOGGED_KEY_BYTES_MAX).unwrap_or(first).escape_ascii()
        );
        self.counters.found.fetch_add(missed.count, Relaxed);
    }

    fn ask(&mut self, keys: &[Vec<u8>]) -> Result<Vec<KeyLifetime>, Fault> {
        let mut requests = Requests::default();
        for key in keys {
            requests.add(cmd("PTTL").arg(key));
        }
        let answers = self
            .expire
            .doing("touch")
            .with_retry(|connection| command_reply::sort(connection.ask_all(&requests)?))?;
        answers
            .into_iter()
            .map(|answer| match answer {
                CommandReply::Number(-2) => Ok(KeyLifetime::Gone),
                CommandReply::Number(left) => {
                    Ok(u64::try_from(left).map_or(KeyLifetime::Persists, KeyLifetime::ExpiresIn))
                }
                CommandReply::No(why) => Err(Fault::Retry(why)),
                _ => Err(Fault::Retry("an answer to PTTL that is no number".to_owned())),
            })
            .collect()
    }

    fn wait_for_room(&self, keys: usize) {
        loop {
            let now = Instant::now();
            let next = {
                let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
                if rate.room(1, now) > 0 {
                    rate.take(keys);
                    return;
                }
                rate.next(now)
            };
            let wait = next.saturating_duration_since(now).max(Duration::from_millis(1));
            if self.gone.recv_timeout(wait).is_err_and(|error| error.is_disconnected()) {
                return;
            }
        }
    }
}
