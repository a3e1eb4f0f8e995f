//! Deadlines on their way to where they outlive us: from the thread that learns them to
//! the one that writes them down. Bounded; never a reason to wait for whoever learns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// What a deadline costs beside the key's bytes.
const DEADLINE_OVERHEAD_BYTES: usize = 48;

/// See the module.
#[derive(Clone)]
pub(super) struct DeadlineHandoff {
    inner: Arc<Mutex<HandoffState>>,
    wake: (Sender<()>, Receiver<()>),
}

struct HandoffState {
    entries: Vec<(Vec<u8>, u64)>,
    bytes: usize,
    limit: usize,
    /// Some did not fit: a sweep must ask for all of them.
    missed: bool,
    /// The same since the last sweep ended.
    missed_lately: bool,
}

impl DeadlineHandoff {
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let inner =
            HandoffState { entries: Vec::new(), bytes: 0, limit, missed: false, missed_lately: false };
        Self { inner: Arc::new(Mutex::new(inner)), wake: bounded(1) }
    }

    /// The key expires then, in milliseconds since 1970 by its server's clock.
    pub(super) fn put(&self, key: Vec<u8>, deadline: u64) {
        let mut inner = self.lock();
        let cost = key.len() + DEADLINE_OVERHEAD_BYTES;
        if inner.bytes + cost > inner.limit {
            (inner.missed, inner.missed_lately) = (true, true);
            return;
        }
        inner.bytes += cost;
        inner.entries.push((key, deadline));
        drop(inner);
        // Full means that a wake-up is waiting there already.
        let _already_there = self.wake.0.try_send(());
    }

    /// All of them; waits for the first for so long.
    pub(super) fn take(&self, wait: Duration) -> Vec<(Vec<u8>, u64)> {
        // Either way it is looked at.
        let _woken = self.wake.1.recv_timeout(wait);
        let mut inner = self.lock();
        inner.bytes = 0;
        std::mem::take(&mut inner.entries)
    }

    /// Whether some were missed that no sweep has found since.
    pub(super) fn has_missed(&self) -> bool {
        self.lock().missed
    }

    /// A sweep has ended.
    pub(super) fn record_sweep(&self) {
        let mut inner = self.lock();
        inner.missed = std::mem::take(&mut inner.missed_lately);
    }

    fn lock(&self) -> MutexGuard<'_, HandoffState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
