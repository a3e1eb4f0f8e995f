//! The queue from the listener to the expire probe: keys whose deadlines may have changed.
//! It is bounded in bytes, and the listener never waits for it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

/// How much memory a key takes in addition to the bytes of its name.
const KEY_OVERHEAD_BYTES: usize = 48;

/// See the module.
pub(super) struct ChangedKeys {
    state: Mutex<ChangedKeysState>,
    wake: (Sender<()>, Receiver<()>),
}

struct ChangedKeysState {
    keys: VecDeque<Vec<u8>>,
    bytes: usize,
    limit: usize,
    /// Whether some keys did not fit. Only a sweep finds these.
    missed: bool,
}

impl ChangedKeys {
    /// Holds up to `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let state = ChangedKeysState { keys: VecDeque::new(), bytes: 0, limit, missed: false };
        Self { state: Mutex::new(state), wake: bounded(1) }
    }

    /// Adds a key. The next sweep finds a key that does not fit.
    pub(super) fn put(&self, key: &[u8]) {
        let mut state = self.lock();
        let cost = key.len() + KEY_OVERHEAD_BYTES;
        if state.bytes + cost > state.limit {
            state.missed = true;
            return;
        }
        state.bytes += cost;
        state.keys.push_back(key.to_vec());
        let first = state.keys.len() == 1;
        drop(state);
        if first {
            self.wake();
        }
    }

    /// Removes up to `count` keys, the oldest first.
    pub(super) fn take(&self, count: usize) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        let count = count.min(state.keys.len());
        let keys: Vec<Vec<u8>> = state.keys.drain(..count).collect();
        state.bytes -= keys.iter().map(|key| key.len() + KEY_OVERHEAD_BYTES).sum::<usize>();
        keys
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().keys.is_empty()
    }

    /// Whether some keys did not fit since the last call.
    pub(super) fn take_missed(&self) -> bool {
        std::mem::take(&mut self.lock().missed)
    }

    /// Wakes the expire probe.
    pub(super) fn wake(&self) {
        // The channel is full when a wake-up is waiting in it already.
        let _already_there = self.wake.0.try_send(());
    }

    /// Receives a message when there may be something to do.
    pub(super) fn waker(&self) -> &Receiver<()> {
        &self.wake.1
    }

    fn lock(&self) -> MutexGuard<'_, ChangedKeysState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_do_not_fit_are_noticed() {
        let changed_keys = ChangedKeys::new(2 * (KEY_OVERHEAD_BYTES as u64 + 1));
        [b"a", b"b"].iter().for_each(|key| changed_keys.put(*key));
        assert!(!changed_keys.take_missed());
        changed_keys.put(b"c");
        assert_eq!(changed_keys.take(9), [b"a", b"b"]);
        assert!(changed_keys.take_missed() && !changed_keys.take_missed() && changed_keys.is_empty());
        changed_keys.put(b"d");
        assert_eq!(changed_keys.take(9), [b"d"]);
    }
}
