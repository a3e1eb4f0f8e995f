//! The queue from the expire probe to the reconciler: deadlines that are to be remembered
//! beside the work list, and keys that were deleted. It is bounded in bytes, and the expire probe never waits
//! for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// How much memory a deadline takes in addition to the bytes of the key's name.
const DEADLINE_OVERHEAD_BYTES: usize = 48;

/// See the module.
pub(super) struct DeadlineHandoff {
    state: Mutex<HandoffState>,
    wake: (Sender<()>, Receiver<()>),
}

/// A key, and when it expires by the clock of its server.
///
/// `deadline_ms` is in milliseconds since 1970; `None` if the key was deleted, or has no deadline any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyDeadline {
    pub(super) key: Vec<u8>,
    pub(super) deadline_ms: Option<u64>,
}

struct HandoffState {
    entries: Vec<KeyDeadline>,
    bytes: usize,
    limit: usize,
    /// Whether a deadline was left out, for want of room, and no sweep has asked for all keys since.
    missed: bool,
    /// Whether a deadline was left out, for want of room, after the last sweep had ended.
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

    /// Adds a deadline. A sweep finds the key of a deadline that does not fit. A deleted key that does not
    /// fit is remembered until its deadline.
    pub(super) fn put(&self, entry: KeyDeadline) {
        let mut state = self.lock();
        let cost = entry.key.len() + DEADLINE_OVERHEAD_BYTES;
        if state.bytes + cost > state.limit {
            let is_missed = entry.deadline_ms.is_some();
            state.missed |= is_missed;
            state.missed_lately |= is_missed;
            return;
        }
        state.bytes += cost;
        state.entries.push(entry);
        drop(state);
        // The channel is full when a wake-up is waiting in it already.
        let _already_there = self.wake.0.try_send(());
    }

    /// Removes all deadlines. Waits up to `wait` for the first one.
    pub(super) fn take(&self, wait: Duration) -> Vec<KeyDeadline> {
        // The queue may have deadlines even if no wake-up came.
        let _woken = self.wake.1.recv_timeout(wait);
        let mut state = self.lock();
        state.bytes = 0;
        std::mem::take(&mut state.entries)
    }

    /// Whether deadlines did not fit, and no sweep that asks for all keys has found them yet.
    pub(super) fn has_missed(&self) -> bool {
        self.lock().missed
    }

    /// Records the end of a sweep. The sweep has found every deadline that was left out before it began,
    /// but perhaps not those that were left out during it.
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
    fn a_later_sweep_finds_what_was_missed() {
        let handoff = DeadlineHandoff::new(2 * (DEADLINE_OVERHEAD_BYTES as u64 + 1));
        let entry = |key: &[u8]| KeyDeadline { key: key.to_vec(), deadline_ms: Some(7) };
        [b"a", b"b"].iter().for_each(|key| handoff.put(entry(*key)));
        handoff.put(KeyDeadline { key: b"gone".to_vec(), deadline_ms: None });
        assert!(!handoff.has_missed());
        handoff.put(entry(b"c"));
        assert_eq!(handoff.take(Duration::ZERO), [entry(b"a"), entry(b"b")]);
        // The sweep under way may have passed the key before its deadline was left out.
        handoff.record_sweep();
        assert!(handoff.has_missed());
        handoff.record_sweep();
        assert!(!handoff.has_missed() && handoff.take(Duration::ZERO).is_empty());
    }
}
