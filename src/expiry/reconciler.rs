//! The thread that remembers deadlines and finds keys that died while nobody listened: a
//! deadline that has passed, a key that is gone, and no event for it that is still on its
//! way.
//!
//! Asking for a key makes the server delete and announce it if it has only just expired.
//! So a key is missed only if it was gone at one look, and is at the next, and all that
//! was heard up to some time after the first has been pushed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::command_reply::{self, CommandReply};
use super::context::{ExpiryContext, Reconciliation};
use super::deadline_handoff::KeyDeadline;
use super::remembered_deadlines::DeadlineChange;
use super::server_clock::millis;
use super::suspects::Suspects;
use crate::error::Fault;
use crate::redis::{Link, Requests, cmd};
use crate::threads;

/// A deadline has passed by this before it is looked into.
const OVERDUE_MIN: Duration = Duration::from_secs(2);
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
    context: Arc<ExpiryContext>,
    list: Link,
    expire: Link,
    /// Learned, and not written down yet.
    pending: Vec<KeyDeadline>,
    subscription: Option<u64>,
    suspects: Suspects,
    next_check: Option<Instant>,
}

/// What the server says of a key.
enum KeyLifetime {
    Gone,
    Persists,
    /// In so many milliseconds.
    ExpiresIn(u64),
}

/// Keys that one look has found.
#[derive(Default)]
struct MissedKeys {
    count: u64,
    first: Option<Vec<u8>>,
}

impl Reconciler {
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        Self {
            list: context.list.link(),
            expire: context.expire.link(),
            context: Arc::clone(context),
            pending: Vec::new(),
            subscription: None,
            suspects: Suspects::default(),
            next_check: None,
        }
    }

    /// Until its owner is gone.
    pub(super) fn run(mut self) {
        let job = self.context.job;
        while !self.context.has_ended() {
            let pause = match threads::contain(|| self.turn()) {
                Ok(Ok(())) => continue,
                Ok(Err(Fault::RetryLogged)) => RETRY_PAUSE,
                Ok(Err(fault)) => {
                    log::error!("{job}: keys that died unheard cannot be looked for: {fault:?}");
                    DENIED_RETRY_PAUSE
                }
                Err(panic) => {
                    log::error!("{job}: a fault of our own while looking for missed keys: {panic}");
                    DENIED_RETRY_PAUSE
                }
            };
            self.context.pause(pause);
        }
        let _best_effort = self.write_pending();
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let next = self.next_check.unwrap_or(now);
        let wait = next.saturating_duration_since(now).min(RETRY_PAUSE);
        self.pending.extend(self.context.handoff.take(wait));
        if !self.context.listen_state.may_listen() {
            // Whoever has the lease learns them by itself.
            self.pending.clear();
        }
        self.write_pending()?;
        if next <= Instant::now() {
            self.check()?;
        }
        Ok(())
    }

    fn write_pending(&mut self) -> Result<(), Fault> {
        while !self.pending.is_empty() {
            let first = self.pending.len().saturating_sub(PACKET_KEYS_MAX);
            let entries = self.pending.get(first..).unwrap_or_default();
            let context = &self.context;
            self.list.doing("reconcile").with_retry(|connection| {
                context.remembered.add(connection, entries, context.clock.at(Instant::now()))
            })?;
            self.pending.truncate(first);
        }
        Ok(())
    }

    /// One look at what is overdue.
    fn check(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        self.next_check = Some(now + CHECK_INTERVAL);
        let subscription = self.context.listen_state.subscription();
        if subscription.is_none() || self.subscription != subscription {
            // What was on its way to an earlier subscription is lost.
            self.suspects.clear();
            self.subscription = subscription;
        }
        if subscription.is_none() {
            return Ok(());
        }
        // Before the entries are read: what is done between the two would be found in both.
        let done_until = self.context.inbox.done_until();
        let before_ms = self.context.clock.at(now).saturating_sub(millis(OVERDUE_MIN));
        let remembered = &self.context.remembered;
        let overdue = self
            .list
            .doing("reconcile")
            .with_retry(|connection| remembered.overdue(connection, before_ms, CHECK_KEYS_MAX))?;
        self.suspects.keep_only(&overdue);
        let mut missed = MissedKeys::default();
        let resolved =
            overdue.chunks(PACKET_KEYS_MAX).try_for_each(|keys| self.resolve(keys, done_until, &mut missed));
        self.report(&missed);
        resolved
    }

    /// Asks for some keys, and does what follows from the answers.
    fn resolve(
        &mut self,
        keys: &[Vec<u8>],
        done_until: Instant,
        missed: &mut MissedKeys,
    ) -> Result<(), Fault> {
        self.wait_for_rate(keys.len());
        let lifetimes = self.ask(keys)?;
        let now = Instant::now();
        let now_ms = self.context.clock.at(now);
        let (mut change, mut gone) = (DeadlineChange::default(), Vec::new());
        for (key, lifetime) in keys.iter().zip(lifetimes) {
            match lifetime {
                KeyLifetime::ExpiresIn(left_ms) => change.renew.push((now_ms.saturating_add(left_ms), key)),
                KeyLifetime::Persists => change.remove.push(key),
                KeyLifetime::Gone => {
                    if self.suspects.record_gone(key, now, done_until) {
                        gone.push(key.as_slice());
                    }
                }
            }
        }
        change.remove.extend(&gone);
        if self.context.reconciliation == Reconciliation::On {
            change.push.extend(&gone);
        }
        if change.remove.is_empty() && change.renew.is_empty() {
            return Ok(());
        }
        let remembered = &self.context.remembered;
        // Done twice it would push twice: without an answer the next look shows what was done.
        if self.list.doing("reconcile").once(|connection| remembered.change(connection, &change))?
            && let Some(first) = gone.first()
        {
            missed.first.get_or_insert_with(|| first.to_vec());
            missed.count += gone.len() as u64;
        }
        Ok(())
    }

    fn report(&self, missed: &MissedKeys) {
        let Some(first) = &missed.first else { return };
        let pushed = self.context.reconciliation == Reconciliation::On;
        log::warn!(
            "{}: {} keys died unheard and {}; one is \"{}\"",
            self.context.job,
            missed.count,
            if pushed { "are pushed now" } else { "would be pushed (dry-run)" },
            first.get(..LOGGED_KEY_BYTES_MAX).unwrap_or(first).escape_ascii()
        );
        self.context.counters.found.fetch_add(missed.count, Relaxed);
    }

    fn ask(&mut self, keys: &[Vec<u8>]) -> Result<Vec<KeyLifetime>, Fault> {
        let mut requests = Requests::default();
        for key in keys {
            requests.add(cmd("PTTL").arg(key));
        }
        let answers = self
            .expire
            .doing("probe")
            .with_retry(|connection| command_reply::sort(connection.ask_all(&requests)?))?;
        answers.into_iter().map(lifetime).collect()
    }

    fn wait_for_rate(&self, keys: usize) {
        while !self.context.has_ended() {
            let now = Instant::now();
            let next = {
                let mut rate = self.context.rate();
                if rate.room(1, now) > 0 {
                    rate.take(keys);
                    return;
                }
                rate.next(now)
            };
            self.context.pause(next.saturating_duration_since(now).max(Duration::from_millis(1)));
        }
    }
}

/// What an answer to PTTL says of the key.
fn lifetime(answer: CommandReply) -> Result<KeyLifetime, Fault> {
    match answer {
        CommandReply::Number(-2) => Ok(KeyLifetime::Gone),
        CommandReply::Number(left) => {
            Ok(u64::try_from(left).map_or(KeyLifetime::Persists, KeyLifetime::ExpiresIn))
        }
        CommandReply::No(why) => Err(Fault::Retry(why)),
        _ => Err(Fault::Retry("an answer to PTTL that is no number".to_owned())),
    }
}
