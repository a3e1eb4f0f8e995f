//! What the source and the sink share beside the records: how many outcomes are finished, and
//! whether a member of a group may write more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::kafka::Lease;
use crate::logfile::{Guard, Ledger};

/// See the module. Clones share the same gate.
#[derive(Clone)]
pub(super) struct WriteGate {
    /// Outcomes that were written or dropped.
    done: Arc<AtomicU64>,
    /// Outcomes in the writes that one of several files refuses.
    refused: Arc<AtomicU64>,
    /// Whether a settle batch is being written.
    is_open: Arc<AtomicBool>,
    lease: Lease,
    /// Whether other members may take over this member's partitions. If so, the file may be ahead of the
    /// group by one settle batch at most.
    is_shared: bool,
}

impl WriteGate {
    pub(super) fn new(lease: Lease, is_shared: bool) -> Self {
        Self { done: Arc::default(), refused: Arc::default(), is_open: Arc::default(), lease, is_shared }
    }

    /// Records that this many outcomes are no longer in flight.
    pub(super) fn record_done(&self, outcomes: u64) {
        self.done.fetch_add(outcomes, SeqCst);
    }

    /// How many outcomes are no longer in flight.
    pub(super) fn done_count(&self) -> u64 {
        self.done.load(SeqCst)
    }

    /// Records how many outcomes wait in writes that one of several files refuses.
    pub(super) fn record_refused(&self, outcomes: u64) {
        self.refused.store(outcomes, SeqCst);
    }

    /// How many outcomes wait in writes that one of several files refuses.
    pub(super) fn refused_count(&self) -> u64 {
        self.refused.load(SeqCst)
    }

    /// The check that the lease holds, to be called immediately before each write. `None` if no other
    /// member may take over.
    pub(super) fn guard(&self) -> Option<Guard> {
        let lease = self.lease.clone();
        self.is_shared.then(|| Arc::new(move || lease.holds()) as Guard)
    }

    /// Whether other members may take over this member's partitions.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether lines may be written now. The lease must hold, and only one settle batch may be begun while
    /// the group does not hold every written position. Begins a settle batch if none is being written.
    pub(super) fn open(&self, ledger: &Ledger) -> bool {
        if !self.is_shared {
            return true;
        }
        if !self.lease.holds() {
            return false;
        }
        if self.is_open.load(SeqCst) {
            return true;
        }
        // The gate opens before the ledger is examined. If another thread closes the gate during that,
        // the ledger has changed, and the gate must stay closed.
        self.is_open.store(true, SeqCst);
        let group_holds_all = ledger.group_holds_all();
        if !group_holds_all {
            self.close();
        }
        group_holds_all
    }

    /// Ends the settle batch: it is complete, or a position was set that the group may not hold.
    pub(super) fn close(&self) {
        self.is_open.store(false, SeqCst);
    }
}
