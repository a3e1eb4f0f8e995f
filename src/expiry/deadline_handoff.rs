//! Deadlines on their way to where they outlive us: from the thread that learns them to
//! the one that writes them down. Bounded; never a reason to wait for whoever learns.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// What a deadline costs beside the key's bytes.
const DEADLINE_OVERHEAD_BYTES: usize = 48;

/// See the module.
pub(super) struct DeadlineHandoff {
    state: Mutex<HandoffState>,
    wake: (Sender<()>, Receiver<()>),
}

/// A key, and when it expires: in milliseconds since 1970 by its server's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyDeadline {
    pub(super) key: Vec<u8>,
    pub(super) deadline_ms: u64,
}

struct HandoffState {
    entries: Vec<KeyDeadline>,
    bytes: usize,
    limit: usize,
    /// Some did not fit: a sweep must ask for all of them.
    missed: bool,
    /// The same since the last sweep ended.
    missed_lately: bool,
}

impl DeadlineHandoff {
    /// Holds up to `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let state =
            HandoffState { entries: Vec::new(), bytes: 0, limit, missed: false, missed_lately: false };
        Self { state: Mutex::new(state), wake: bounded(1) }
    }

    pub(super) fn put(&self, entry: KeyDeadline) {
        let mut state = self.lock();
        let cost = entry.key.len() + DEADLINE_OVERHEAD_BYTES;
        if state.bytes + cost > state.limit {
            (state.missed, state.missed_lately) = (true, true);
            return;
        }
        state.bytes += cost;
        state.entries.push(entry);
        drop(state);
        // Full means that a wake-up is waiting there already.
        let _already_there = self.wake.0.try_send(());
    }

    /// All of them; waits for the first for so long.
    pub(super) fn take(&self, wait: Duration) -> Vec<KeyDeadline> {
        // Either way it is looked at.
        let _woken = self.wake.1.recv_timeout(wait);
        let mut state = self.lock();
        state.bytes = 0;
        std::mem::take(&mut state.entries)
    }

    /// Whether some were missed that no sweep has found since.
    pub(super) fn has_missed(&self) -> bool {
        self.lock().missed
    }

    /// A sweep has ended.
    pub(super) fn record_sweep(&self) {
        let mut state = self.lock();
        state.missed = std::mem::take(&mut state.missed_lately);
    }

    fn lock(&self) -> MutexGuard<'_, HandoffState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_found_by_a_sweep_that_began_after_it() {
        let handoff = DeadlineHandoff::new(2 * (DEADLINE_OVERHEAD_BYTES as u64 + 1));
        let entry = |key: &[u8]| KeyDeadline { key: key.to_vec(), deadline_ms: 7 };
        [b"a", b"b"].iter().for_each(|key| handoff.put(entry(*key)));
        assert!(!handoff.has_missed());
        handoff.put(entry(b"c"));
        assert_eq!(handoff.take(Duration::ZERO), [entry(b"a"), entry(b"b")]);
        // The sweep that is under way may have passed over the key before it was missed.
        handoff.record_sweep();
        assert!(handoff.has_missed());
        handoff.record_sweep();
        assert!(!handoff.has_missed() && handoff.take(Duration::ZERO).is_empty());
    }
}
