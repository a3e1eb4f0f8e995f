//! The queue from the listener to the workers: expired keys that were received and not yet
//! pushed. It is bounded in bytes and the listener never waits for it: keys that do not fit
//! are dropped and counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::packed_keys::{PACKED_OVERHEAD_BYTES, PackedKeys, ReceivedKey};
use crate::report::Outage;

/// How much memory a key of a batch takes in addition to the bytes of its name.
const KEY_OVERHEAD_BYTES: u64 = 64;

/// See the module. Clones share the same inbox.
#[derive(Clone)]
pub struct Inbox {
    state: Arc<Mutex<InboxState>>,
    /// A condition variable, because a channel would spin before it sleeps: the source waits here ten times
    /// a second while the inbox is empty.
    filled: Arc<Condvar>,
}

/// Keys that are pushed by one command.
#[derive(Debug, Default)]
pub struct KeyBatch {
    /// The keys, the oldest first.
    pub keys: Vec<ReceivedKey>,
    /// How much memory the keys take.
    pub bytes: u64,
    number: u64,
}

struct InboxState {
    keys: PackedKeys,
    /// The batches in flight by number, each with the moment in which its oldest key was
    /// received.
    in_flight: BTreeMap<u64, Instant>,
    /// The number of the next batch.
    next_number: u64,
    bytes: u64,
    limit: u64,
    /// How many bytes more it may hold now.
    extra: u64,
    /// Whether the inbox is closed and accepts no more keys.
    closed: bool,
    /// How many keys were received in all.
    received: u64,
    /// How many keys did not fit since the last call of `take_dropped`.
    dropped: u64,
    overflow: Outage,
}

impl Inbox {
    /// Holds up to `limit` bytes; `subject` is the beginning of the log lines about keys that did not fit.
    pub fn new(subject: &str, limit: u64) -> Self {
        let overflow = Outage::new(subject);
        let state = InboxState {
            keys: PackedKeys::default(),
            in_flight: BTreeMap::new(),
            next_number: 0,
            bytes: 0,
            limit,
            extra: 0,
            closed: false,
            received: 0,
            dropped: 0,
            overflow,
        };
        Self { state: Arc::new(Mutex::new(state)), filled: Arc::default() }
    }

    /// Adds a key whose event was received now.
    pub(super) fn put(&self, key: &[u8]) {
        let mut state = self.lock();
        let cost = packed_cost(key);
        if state.closed {
            return;
        }
        state.received += 1;
        if state.bytes + cost > state.limit + state.extra {
            state.dropped += 1;
            state
                .overflow
                .down(Instant::now(), "more keys expire than can be pushed: the newest are dropped");
            return;
        }
        state.bytes += cost;
        // The clock is read under the lock. Otherwise `done_until` could return a later moment while this
        // key is not in the inbox yet.
        state.keys.push(key, Instant::now());
        let first = state.keys.len() == 1;
        drop(state);
        if first {
            self.filled.notify_one();
        }
    }

    /// Sets how many bytes more than its limit the inbox may hold: what the deadlines do not use, since the
    /// names of expired keys have left these.
    pub(super) fn set_extra(&self, extra: u64) {
        self.lock().extra = extra;
    }

    /// How many bytes it holds in addition to its limit.
    pub(super) fn borrowed(&self) -> u64 {
        let state = self.lock();
        state.bytes.saturating_sub(state.limit)
    }

    /// Removes up to `count` keys; waits until `until` for the first. The batch is in flight
    /// until [`Inbox::record_done`].
    pub fn take(&self, count: usize, until: Instant) -> KeyBatch {
        let wait = until.saturating_duration_since(Instant::now());
        let waited = self.filled.wait_timeout_while(self.lock(), wait, |state| state.keys.is_empty());
        let (mut state, _timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
        let count = count.min(state.keys.len());
        let keys: Vec<ReceivedKey> = (0..count).map_while(|_| state.keys.pop()).collect();
        let bytes = keys.iter().map(|received| received.key.len() as u64 + KEY_OVERHEAD_BYTES).sum();
        state.bytes -= keys.iter().map(|received| packed_cost(&received.key)).sum::<u64>();
        if state.bytes < state.limit / 2 {
            state.overflow.up(Instant::now(), "there is room for expired keys again");
        }
        let number = state.next_number;
        if let Some(oldest) = keys.first() {
            state.next_number += 1;
            state.in_flight.insert(number, oldest.at);
        }
        KeyBatch { keys, bytes, number }
    }

    /// Records that a batch was pushed, or need not be pushed.
    pub fn record_done(&self, batch: &KeyBatch) {
        self.lock().in_flight.remove(&batch.number);
    }

    /// The moment before which every received key has been pushed or dropped.
    pub(super) fn done_until(&self) -> Instant {
        let state = self.lock();
        let waiting = state.keys.first_at();
        state.in_flight.values().copied().chain(waiting).min().unwrap_or_else(Instant::now)
    }

    /// Accepts no more keys; returns how many were received in all.
    pub fn close(&self) -> u64 {
        let mut state = self.lock();
        state.closed = true;
        state.received
    }

    /// How many keys were dropped since the last call.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// How many keys wait to be taken.
    pub fn waiting(&self) -> u64 {
        self.lock().keys.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a key takes while it waits to be taken.
fn packed_cost(key: &[u8]) -> u64 {
    (key.len() + PACKED_OVERHEAD_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_do_not_fit_are_counted() {
        let inbox = Inbox::new("test", 3 * packed_cost(b"a"));
        for key in [b"a", b"b", b"c", b"d", b"e"] {
            inbox.put(key);
        }
        let names =
            |taken: &KeyBatch| taken.keys.iter().map(|received| received.key.clone()).collect::<Vec<_>>();
        let taken = inbox.take(2, Instant::now());
        assert_eq!(
            (names(&taken), taken.bytes),
            (vec![b"a".to_vec(), b"b".to_vec()], 2 * (KEY_OVERHEAD_BYTES + 1))
        );
        inbox.put(b"f");
        assert_eq!((inbox.waiting(), inbox.take_dropped(), inbox.take_dropped()), (2, 2, 0));
        assert_eq!(names(&inbox.take(9, Instant::now())), vec![b"c".to_vec(), b"f".to_vec()]);
        inbox.set_extra(2 * packed_cost(b"a"));
        [b"g", b"h", b"i", b"j", b"k", b"l"].iter().for_each(|key| inbox.put(*key));
        assert_eq!((inbox.waiting(), inbox.take_dropped()), (5, 1));
        assert_eq!(inbox.borrowed(), 2 * packed_cost(b"a"));
    }

    #[test]
    fn a_key_that_was_taken_is_not_done_yet() {
        let inbox = Inbox::new("test", 1 << 20);
        let before = Instant::now();
        assert!(inbox.done_until() >= before);
        inbox.put(b"a");
        let (began, first) = (inbox.done_until(), inbox.take(1, Instant::now()));
        inbox.put(b"b");
        let second = inbox.take(1, Instant::now());
        assert_eq!(inbox.done_until(), began);
        inbox.record_done(&first);
        assert!(inbox.done_until() > began);
        inbox.record_done(&second);
        assert!(inbox.done_until() > second.keys[0].at);
    }
}
