//! Back-pressure in bytes: how much a job may hold between poll and write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crossbeam_channel::{Receiver, Sender, bounded};

/// The bytes in flight and their limit. The source waits for room, and the later stages free bytes.
#[derive(Clone)]
pub(super) struct Budget {
    limit: u64,
    held: Arc<AtomicU64>,
    freed: (Sender<()>, Receiver<()>),
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, held: Arc::default(), freed: bounded(1) }
    }

    /// Whether the source may poll. One poll may exceed the limit, so that a record larger than the
    /// budget still gets through.
    pub(super) fn has_room(&self) -> bool {
        self.held.load(SeqCst) < self.limit
    }

    pub(super) fn take(&self, bytes: u64) {
        self.held.fetch_add(bytes, SeqCst);
    }

    pub(super) fn give_back(&self, bytes: u64) {
        let before = self.held.fetch_sub(bytes, SeqCst);
        if before >= self.limit {
            // A full channel means that a wake-up is waiting already.
            let _already_there = self.freed.0.try_send(());
        }
    }

    /// Receives a message when bytes were given back to an exhausted budget.
    pub(super) fn freed(&self) -> &Receiver<()> {
        &self.freed.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_back_bytes_wakes_the_source() {
        let budget = Budget::new(10);
        budget.take(25);
        assert!(!budget.has_room());
        budget.give_back(25);
        assert!(budget.has_room());
        assert!(budget.freed().try_recv().is_ok());
    }
}
