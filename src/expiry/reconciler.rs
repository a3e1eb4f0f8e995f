//! The thread that remembers deadlines beside the work list, and uses them to find keys that expired while
//! nobody listened.
//!
//! Such a key is gone, its deadline has passed, and it is still remembered. But its event may still be on
//! its way, and asking for a key may cause the event. So a key counts as missed only if it was gone at one
//! check and at a later one, a canary that was set between the two was announced, and every key that was
//! received before that has been pushed. A server that is paused says that expired keys are gone, and
//! deletes none: therefore keys are asked for in a transaction with a write, which such a server holds back.

mod asking;
mod unproved;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use self::asking::KeyLifetime;
use super::canary::CanaryProof;
use super::context::{ExpiryContext, Reconciliation};
use super::deadline_handoff::KeyDeadline;
use super::remembered_deadlines::DeadlineChange;
use super::server_clock::millis;
use super::suspects::Suspects;
use crate::error::Fault;
use crate::plural::counted;
use crate::redis::Link;
use crate::report::Outage;
use crate::threads;

/// A deadline must have passed for this time before its key is checked.
const OVERDUE_MIN: Duration = Duration::from_secs(2);
/// The time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Keys in one check.
const CHECK_KEYS_MAX: usize = 10_000;
/// While no canary proves for this time which keys were missed, these may not take more than their memory.
const UNPROVED_MAX: Duration = Duration::from_secs(60);
/// Keys in one packet.
const PACKET_KEYS_MAX: usize = 500;
/// Bytes of a key's name that the log shows.
const LOGGED_KEY_BYTES_MAX: usize = 100;
/// The pause while a server does not serve, and the longest wait for deadlines.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The pause after a refusal or an internal error.
const DENIED_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Reconciler {
    context: Arc<ExpiryContext>,
    list: Link,
    expire: Link,
    /// Deadlines that are not written to the list's server yet.
    pending: VecDeque<KeyDeadline>,
    /// The number of the subscription that the suspects belong to.
    subscription: Option<u64>,
    suspects: Suspects,
    next_check: Option<Instant>,
    /// Until when keys are asked for without transactions, which the server where keys expire has refused;
    /// `None` if it has refused none since it last carried one out.
    no_transactions_until: Option<Instant>,
    /// The time during which no canary shows which of many overdue keys were missed.
    unproved: Outage,
    /// The keys that were dropped and not logged yet, and when such keys may be logged next.
    dropped: u64,
    log_dropped_at: Option<Instant>,
    /// The proof at the last check.
    last_proof: Option<CanaryProof>,
}

/// What had been received before a check.
#[derive(Clone, Copy)]
struct Received {
    proof: Option<CanaryProof>,
    /// Before this moment every received key has been pushed.
    done_until: Instant,
}

/// The findings of one check: how many keys, and the first of them for the log.
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
            pending: VecDeque::new(),
            subscription: None,
            suspects: Suspects::default(),
            next_check: None,
            no_transactions_until: None,
            dropped: 0,
            log_dropped_at: None,
            unproved: Outage::new(format!("{}: {}", context.job, context.expire.server))
                .log_after(UNPROVED_MAX),
            last_proof: None,
        }
    }

    /// Runs until the watch ends.
    pub(super) fn run(mut self) {
        let (job, server) = (self.context.job, self.context.expire.server.to_string());
        while !self.context.has_ended() {
            let pause = match threads::contain(|| self.turn()) {
                Ok(Ok(())) => continue,
                Ok(Err(Fault::RetryLogged)) => RETRY_PAUSE,
                Ok(Err(fault)) => {
                    log::error!(
                        "{job}: {server}: cannot look for keys that expired while nobody listened: {fault}"
                    );
                    DENIED_RETRY_PAUSE
                }
                Err(panic) => {
                    log::error!("{job}: internal error while looking for missed keys: {panic}");
                    DENIED_RETRY_PAUSE
                }
            };
            self.context.pause(pause);
        }
        let _best_effort = self.write_pending();
    }

    /// Writes new deadlines to the list's server, and makes the next check if it is due.
    fn turn(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let next = self.next_check.unwrap_or(now);
        let wait = next.saturating_duration_since(now).min(RETRY_PAUSE);
        self.pending.extend(self.context.handoff.take(wait));
        if !self.context.listen_state.may_listen() {
            // The pandad that has the lease learns these deadlines by itself.
            self.pending.clear();
        }
        self.write_pending()?;
        let now = Instant::now();
        if next <= now {
            self.check(now)?;
        }
        Ok(())
    }

    /// Writes the pending deadlines to the list's server.
    fn write_pending(&mut self) -> Result<(), Fault> {
        while !self.pending.is_empty() {
            // In order: a key may have been deleted, and set again after that.
            let (entries, _) = self.pending.as_slices();
            let entries = entries.get(..PACKET_KEYS_MAX).unwrap_or(entries);
            let (context, count) = (&self.context, entries.len());
            self.list
                .doing("reconcile")
                .with_retry(|connection| context.remembered.record(connection, entries, &context.clock))?;
            self.pending.drain(..count);
        }
        Ok(())
    }

    /// Checks all keys that are overdue.
    fn check(&mut self, now: Instant) -> Result<(), Fault> {
        self.next_check = Some(now + CHECK_INTERVAL);
        let subscription = self.context.listen_state.subscription();
        if subscription.is_none() || self.subscription != subscription {
            // An event on its way to an earlier subscription is lost, so these suspects prove nothing.
            self.suspects.clear();
            self.subscription = subscription;
        }
        if subscription.is_none() {
            return Ok(());
        }
        // This moment is taken before the set is read. In the other order, a key could be pushed in
        // between: it would still be in the set that was read, but the moment would say that it was
        // handled, so the key would count as missed.
        let received =
            Received { proof: self.context.canary.proof(), done_until: self.context.inbox.done_until() };
        let before_ms = self.context.clock.at_ms(now).saturating_sub(millis(OVERDUE_MIN));
        let remembered = &self.context.remembered;
        let overdue = self
            .list
            .doing("reconcile")
            .with_retry(|connection| remembered.overdue(connection, before_ms, 0, CHECK_KEYS_MAX))?;
        self.suspects.keep_only(&overdue);
        let asked: Vec<Vec<u8>> =
            overdue.iter().filter(|key| !self.suspects.is_waiting(key, received.proof)).cloned().collect();
        let is_full = overdue.len() >= CHECK_KEYS_MAX;
        if !is_full || received.proof != self.last_proof {
            self.last_proof = received.proof;
            self.unproved.up(now, "reconcile can tell again which keys were missed");
        }
        if is_full && asked.is_empty() {
            return self.drop_unproved(&overdue, before_ms, now);
        }
        let mut missed = MissedKeys::default();
        let resolved =
            asked.chunks(PACKET_KEYS_MAX).try_for_each(|keys| self.resolve(keys, received, &mut missed));
        self.report(&missed);
        resolved
    }

    /// Asks for some keys, and changes the list and the set as the replies require.
    fn resolve(
        &mut self,
        keys: &[Vec<u8>],
        received: Received,
        missed: &mut MissedKeys,
    ) -> Result<(), Fault> {
        self.wait_for_rate(keys.len());
        let lifetimes = self.ask(keys)?;
        // The number is read after the replies: only a canary that is set after these proves anything.
        let (now, canary) = (Instant::now(), self.context.canary.number());
        let now_ms = self.context.clock.at_ms(now);
        let (mut change, mut gone) = (DeadlineChange::default(), Vec::new());
        for (key, lifetime) in keys.iter().zip(lifetimes) {
            match lifetime {
                KeyLifetime::ExpiresIn(left_ms) => change.renew.push((now_ms.saturating_add(left_ms), key)),
                KeyLifetime::Persists => change.remove.push(key),
                KeyLifetime::Gone => {
                    if self.suspects.record_gone(key, canary, received.proof, received.done_until) {
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
        // The change is sent only once, because a repetition would push the keys again. If no reply comes,
        // the next check shows whether the change was made.
        if self.list.doing("reconcile").once(|connection| remembered.change(connection, &change))?
            && let Some(first) = gone.first()
        {
            missed.first.get_or_insert_with(|| first.to_vec());
            missed.count += gone.len() as u64;
        }
        Ok(())
    }

    /// Logs and counts what a check has found.
    fn report(&self, missed: &MissedKeys) {
        let Some(first) = &missed.first else { return };
        let pushed = self.context.reconciliation == Reconciliation::On;
        log::warn!(
            "{}: found {} that expired while nobody listened; {}; the first is \"{}\"",
            self.context.job,
            counted(missed.count, "key"),
            if pushed { "pushing now" } else { "not pushed (dry-run)" },
            first.get(..LOGGED_KEY_BYTES_MAX).unwrap_or(first).escape_ascii()
        );
        self.context.counters.found.fetch_add(missed.count, Relaxed);
    }

    /// Waits until this many keys may be asked for.
    fn wait_for_rate(&self, keys: usize) {
        while !self.context.has_ended() {
            let now = Instant::now();
            let next = {
                let mut rate = self.context.rate();
                if rate.available(1, now) > 0 {
                    rate.spend(keys);
                    return;
                }
                rate.next(now)
            };
            self.context.pause(next.saturating_duration_since(now).max(Duration::from_millis(1)));
        }
    }
}

#[cfg(test)]
mod tests;
