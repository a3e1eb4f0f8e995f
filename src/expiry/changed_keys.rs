//! The queue from the listener to the expire probe: keys whose deadlines may have changed, and keys that are
//! gone. Each key stands in the queue once, with the last that was announced of it: the probe asks the
//! server later anyway. It is bounded in bytes, and the listener never waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

/// How much memory a key takes in addition to the bytes of its name.
const KEY_OVERHEAD_BYTES: usize = 80;

/// See the module.
pub(super) struct ChangedKeys {
    state: Mutex<ChangedKeysState>,
    wake: (Sender<()>, Receiver<()>),
}

/// What was announced of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyChange {
    /// It may have a new deadline.
    Deadline,
    /// It was deleted, renamed or moved, or has no deadline any more.
    Gone,
    /// The server has deleted it because its memory was full.
    Evicted,
}

struct ChangedKeysState {
    order: VecDeque<Arc<[u8]>>,
    changes: HashMap<Arc<[u8]>, KeyChange>,
    bytes: usize,
    limit: usize,
    /// Whether some deadlines did not fit. Only a sweep finds the keys of these.
    missed: bool,
}

impl ChangedKeys {
    /// Holds up to `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (order, changes) = (VecDeque::new(), HashMap::new());
        let state = ChangedKeysState { order, changes, bytes: 0, limit, missed: false };
        Self { state: Mutex::new(state), wake: bounded(1) }
    }

    /// Adds a key. The next sweep finds a key that does not fit.
    pub(super) fn put(&self, key: &[u8], change: KeyChange) {
        let mut state = self.lock();
        if let Some(known) = state.changes.get_mut(key) {
            *known = change;
            return;
        }
        let cost = key.len() + KEY_OVERHEAD_BYTES;
        if state.bytes + cost > state.limit {
            state.missed |= change == KeyChange::Deadline;
            return;
        }
        state.bytes += cost;
        let name: Arc<[u8]> = key.into();
        state.changes.insert(Arc::clone(&name), change);
        state.order.push_back(name);
        let first = state.order.len() == 1;
        drop(state);
        if first {
            self.wake();
        }
    }

    /// Removes up to `count` keys, the oldest first.
    pub(super) fn take(&self, count: usize) -> Vec<(Vec<u8>, KeyChange)> {
        let mut state = self.lock();
        let ChangedKeysState { order, changes, bytes, .. } = &mut *state;
        let count = count.min(order.len());
        let with_change = |name: Arc<[u8]>| Some((name.to_vec(), changes.remove(&name)?));
        let keys: Vec<_> = order.drain(..count).filter_map(with_change).collect();
        *bytes -= keys.iter().map(|(key, _)| key.len() + KEY_OVERHEAD_BYTES).sum::<usize>();
        keys
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().order.is_empty()
    }

    /// Whether some deadlines did not fit since the last call.
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
    use super::KeyChange::{Deadline, Gone};
    use super::*;

    #[test]
    fn keys_that_do_not_fit_are_noticed() {
        let changed_keys = ChangedKeys::new(2 * (KEY_OVERHEAD_BYTES as u64 + 1));
        [b"a", b"b"].iter().for_each(|key| changed_keys.put(*key, Deadline));
        changed_keys.put(b"c", Gone);
        assert!(!changed_keys.take_missed());
        changed_keys.put(b"c", Deadline);
        assert_eq!(changed_keys.take(9), [b"a", b"b"].map(|key| (key.to_vec(), Deadline)));
        assert!(changed_keys.take_missed() && !changed_keys.take_missed() && changed_keys.is_empty());
        changed_keys.put(b"d", Deadline);
        assert_eq!(changed_keys.take(9), [(b"d".to_vec(), Deadline)]);
    }

    /// A lock that is taken and released all the time takes one place.
    #[test]
    fn the_last_change_of_a_key_counts() {
        let changed_keys = ChangedKeys::new(1 << 10);
        for _ in 0..1000 {
            for change in [Deadline, Gone] {
                changed_keys.put(b"lock", change);
            }
            changed_keys.put(b"b", Deadline);
        }
        assert!(!changed_keys.take_missed());
        assert_eq!(changed_keys.take(1), [(b"lock".to_vec(), Gone)]);
        changed_keys.put(b"lock", Deadline);
        assert_eq!(changed_keys.take(9), [(b"b".to_vec(), Deadline), (b"lock".to_vec(), Deadline)]);
        assert_eq!(changed_keys.lock().bytes, 0);
    }
}
