//! Overdue keys while no canary proves which of these were missed: bounded by memory.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{CHECK_KEYS_MAX, PACKET_KEYS_MAX, Reconciler};
use crate::error::Fault;
use crate::expiry::remembered_deadlines::DeadlineChange;
use crate::plural::counted;

/// What a remembered key takes in the list's server in addition to the bytes of its name.
pub(super) const REMEMBERED_OVERHEAD_BYTES: usize = 100;
/// The time between two log lines about keys that were dropped.
const DROPPED_LOG_INTERVAL: Duration = Duration::from_secs(60);

impl Reconciler {
    /// Drops the oldest of the keys that are overdue and were asked for, if no canary has shown for long
    /// which of these were missed, and they take more memory of the list's server than deadlines may take
    /// here: they would grow for ever. Before every key was looked at once, none is dropped: an overdue key
    /// may be alive. `oldest` are the first of them.
    pub(super) fn drop_unproved(
        &mut self,
        oldest: &[Vec<u8>],
        before_ms: u64,
        now: Instant,
    ) -> Result<(), Fault> {
        self.unproved
            .down(now, "no canary is announced, so reconcile cannot tell which overdue keys were missed");
        self.log_dropped(now);
        if !self.unproved.is_logged() || !self.context.has_swept.load(Relaxed) {
            return Ok(());
        }
        let (remembered, kept) = (&self.context.remembered, unproved_keys_max(oldest, self.context.memory));
        let link = self.list.doing("reconcile");
        let surplus = link
            .with_retry(|connection| remembered.overdue(connection, before_ms, kept, oldest.len()))?
            .len();
        let remove: Vec<&[u8]> = oldest.iter().take(surplus).map(Vec::as_slice).collect();
        for remove in remove.chunks(PACKET_KEYS_MAX) {
            let change = DeadlineChange { remove: remove.to_vec(), ..DeadlineChange::default() };
            if link.once(|connection| remembered.change(connection, &change))? {
                self.context.counters.unsettled.fetch_add(remove.len() as u64, Relaxed);
                self.dropped += remove.len() as u64;
            }
        }
        self.log_dropped(now);
        Ok(())
    }

    /// Logs how many keys were dropped, at most once a minute.
    fn log_dropped(&mut self, now: Instant) {
        if self.dropped == 0 || self.log_dropped_at.is_some_and(|at| now < at) {
            return;
        }
        self.log_dropped_at = Some(now + DROPPED_LOG_INTERVAL);
        let (job, server) = (self.context.job, &self.context.expire.server);
        let dropped = counted(std::mem::take(&mut self.dropped), "overdue key");
        log::error!(
            "{job}: {server}: {dropped} dropped, the oldest: no canary is announced, and expired['memory'] \
             holds no more of these; those that were missed are not pushed"
        );
    }
}

/// How many keys like these may be remembered in this many bytes.
fn unproved_keys_max(keys: &[Vec<u8>], memory: u64) -> usize {
    let names: usize = keys.iter().map(Vec::len).sum();
    let bytes = names / keys.len().max(1) + REMEMBERED_OVERHEAD_BYTES;
    (usize::try_from(memory).unwrap_or(usize::MAX) / bytes).max(CHECK_KEYS_MAX)
}
