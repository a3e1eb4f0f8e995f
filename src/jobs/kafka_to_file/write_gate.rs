//! What source, sink and job tell each other beside the way of the records: how much is
//! in flight, and whether a member of a group may land more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::kafka::Lease;
use crate::logfile::Ledger;
use crate::report::Counters;

/// See the module. Cloning it shares it.
#[derive(Clone)]
pub(super) struct WriteGate {
    shared: Arc<GateCounts>,
    lease: Lease,
    /// Whether others may take over what is ours, so that no more than one settle batch
    /// may be in the file that they do not know of.
    is_shared: bool,
}

#[derive(Default)]
struct GateCounts {
    /// Outcomes that have landed, or were dropped.
    done: AtomicU64,
    /// Whether a settle batch is being landed.
    is_open: AtomicBool,
    /// The group was left because the disk takes nothing.
    gave_up: AtomicBool,
    is_fenced: AtomicBool,
    lost_in_write: AtomicBool,
}

impl WriteGate {
    pub(super) fn new(lease: Lease, is_shared: bool) -> Self {
        Self { shared: Arc::default(), lease, is_shared }
    }

    /// So many outcomes are not in flight any more.
    pub(super) fn record_done(&self, outcomes: u64) {
        self.shared.done.fetch_add(outcomes, SeqCst);
    }

    /// How many outcomes are not in flight any more.
    pub(super) fn done_count(&self) -> u64 {
        self.shared.done.load(SeqCst)
    }

    /// Whether a lease is to be held at the moment of a write.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.is_shared.then(|| self.lease.clone())
    }

    /// Whether others may take over what is ours.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether lines may land now: what is ours is certainly ours, and nothing has landed
    /// since the group last held every position but what belongs to one settle batch.
    pub(super) fn may_write<'a>(&self, mut ledgers: impl Iterator<Item = &'a Ledger>) -> bool {
        if !self.is_shared {
            return true;
        }
        if !self.lease.holds() {
            return false;
        }
        if self.shared.is_open.load(SeqCst) {
            return true;
        }
        // Open before the look: whoever closes it meanwhile has changed what is looked at.
        self.shared.is_open.store(true, SeqCst);
        let is_held = ledgers.all(Ledger::group_holds_all);
        if !is_held {
            self.close();
        }
        is_held
    }

    /// The settle batch is complete, or there is a position that the group may not hold.
    pub(super) fn close(&self) {
        self.shared.is_open.store(false, SeqCst);
    }

    /// Whether the disk takes nothing just now.
    pub(super) fn is_refused(&self, counters: &Counters) -> bool {
        counters.disk_refuses.load(SeqCst)
    }

    /// A write was not finished when what it belongs to was lost.
    pub(super) fn lose_in_write(&self) {
        self.shared.lost_in_write.store(true, SeqCst);
    }

    pub(super) fn lost_in_write(&self) -> bool {
        self.shared.lost_in_write.load(SeqCst)
    }

    /// Somebody else is what we would be.
    pub(super) fn fence(&self) {
        self.shared.is_fenced.store(true, SeqCst);
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.shared.is_fenced.load(SeqCst)
    }

    /// The group was left because the disk takes nothing.
    pub(super) fn give_up(&self) {
        self.shared.gave_up.store(true, SeqCst);
    }

    pub(super) fn gave_up(&self) -> bool {
        self.shared.gave_up.load(SeqCst)
    }
}
