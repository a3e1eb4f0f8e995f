//! The source: expired keys that were received, many at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::NAME;
use crate::error::Fault;
use crate::expiry::{ExpiryWatch, Inbox, KeyBatch};
use crate::pipeline::{self, PolledTask};
use crate::plural::counted;
use crate::report::Counters;

/// Keys that are pushed by one command.
const PUSH_KEYS_MAX: usize = 1000;

/// See the module.
pub(super) struct ExpiredKeySource {
    pub(super) watch: ExpiryWatch,
    pub(super) inbox: Inbox,
    /// How many keys earlier runs of the job pushed, lost, or left for reconcile to find.
    pub(super) accounted_before: u64,
    /// Whether reconcile finds dropped keys again by their deadlines.
    pub(super) reconciles: bool,
    pub(super) counters: Arc<Counters>,
}

impl ExpiredKeySource {
    /// Makes a task of the keys in the inbox, and counts the keys that the inbox dropped.
    fn take(&self, until: Instant, items: &mut Vec<PolledTask<KeyBatch>>) {
        let batch = self.inbox.take(PUSH_KEYS_MAX, until);
        if !batch.keys.is_empty() {
            items.push(PolledTask { lane: 0, bytes: batch.bytes, task: batch });
        }
        self.counters.lag.store(self.inbox.waiting(), Relaxed);
        let counter = if self.reconciles { &self.counters.overflowed } else { &self.counters.lost };
        counter.fetch_add(self.inbox.take_dropped(), Relaxed);
    }
}

impl pipeline::Source for ExpiredKeySource {
    type Task = KeyBatch;
    type Feedback = Infallible;
    type Error = Fault;

    fn poll(&mut self, until: Instant, items: &mut Vec<PolledTask<Self::Task>>) -> Result<(), Fault> {
        self.take(until, items);
        Ok(())
    }

    /// Takes all received keys, because Redis does not announce them again.
    fn drain(&mut self, items: &mut Vec<PolledTask<Self::Task>>) {
        self.inbox.close();
        while self.inbox.waiting() > 0 {
            self.take(Instant::now(), items);
        }
    }

    fn feedback(&mut self, note: Infallible) {
        match note {}
    }

    /// Logs and counts keys that were received and could not be pushed, and ends the watch.
    fn finish(&mut self, _until: Instant) {
        let known = [&self.counters.done, &self.counters.lost, &self.counters.overflowed];
        let known: u64 = known.iter().map(|counter| counter.load(Relaxed)).sum();
        let missing = (self.accounted_before + self.inbox.close()).saturating_sub(known);
        if missing > 0 && self.reconciles {
            self.counters.overflowed.fetch_add(missing, Relaxed);
            let keys = counted(missing, "expired key");
            log::warn!("{NAME}: {keys} could not be pushed before the stop; the next start pushes such keys");
        } else if missing > 0 {
            self.counters.lost.fetch_add(missing, Relaxed);
            let keys = counted(missing, "expired key");
            log::error!("{NAME}: {keys} could not be pushed before the stop: lost for good");
        }
        self.watch.end();
    }
}
