//! Keys that are due and whose events have not been received. The server says of such a key that it is
//! gone, but that may mean three things: the event is on its way; the key was deleted; or the server is
//! paused, and says of an expired key that it is gone without deleting it.
//!
//! A key is settled by its event. Without one it is settled as deleted, when it was gone twice, each time
//! before the setting of a canary whose event was received. Bounded in bytes: keys that find no room are
//! counted. Pure, except for the lock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::canary::CanaryProof;

/// How much memory a key takes in addition to the bytes of its name, which may be held twice.
const KEY_OVERHEAD_BYTES: usize = 100;
/// The map of keys does not become smaller than this.
const MAP_KEYS_MIN: usize = 1000;
/// How often a key must be gone before it counts as deleted. Once would do, if it were sure that the server
/// carries out a packet without a pause in its middle.
const PROOFS_NEEDED: u8 = 2;

/// See the module.
pub(super) struct AwaitedEvents {
    state: Mutex<AwaitedState>,
}

#[derive(Default)]
struct AwaitedState {
    keys: HashMap<Vec<u8>, AwaitedKey>,
    /// Keys to ask for once more. Some of these may be settled already.
    again: VecDeque<Vec<u8>>,
    bytes: usize,
    limit: usize,
    overflowed: u64,
}

#[derive(Default)]
struct AwaitedKey {
    /// The number of the last canary when the key was gone; `None` while the key is being asked for.
    gone: Option<u64>,
    proofs: u8,
    /// Whether its deadline had passed when it was asked for.
    was_due: bool,
}

impl AwaitedEvents {
    /// Holds up to `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { state: Mutex::new(AwaitedState { limit, ..AwaitedState::default() }) }
    }

    /// Sets how many bytes may be held. The name of a due key has left the deadlines, so what these do not
    /// use is free for it.
    pub(super) fn set_limit(&self, limit: u64) {
        self.lock().limit = usize::try_from(limit).unwrap_or(usize::MAX);
    }

    /// How many bytes are held.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes as u64
    }

    /// Begins to await a key's event. Call this before the key is asked for, since the event may come before
    /// the reply. `was_due`: its deadline has passed.
    pub(super) fn begin(&self, key: &[u8], was_due: bool) {
        let mut state = self.lock();
        let cost = cost(key);
        if state.keys.contains_key(key) {
            return;
        }
        if state.bytes + cost > state.limit {
            state.overflowed += 1;
            return;
        }
        state.bytes += cost;
        state.keys.insert(key.to_vec(), AwaitedKey { was_due, ..AwaitedKey::default() });
    }

    /// Settles a key: its event was received, or the key is there. False if it was not awaited.
    pub(super) fn settle(&self, key: &[u8]) -> bool {
        self.remove(key).is_some()
    }

    /// Settles a key that was evicted. True if it was awaited because its deadline had passed.
    pub(super) fn settle_evicted(&self, key: &[u8]) -> bool {
        self.remove(key).is_some_and(|known| known.was_due)
    }

    fn remove(&self, key: &[u8]) -> Option<AwaitedKey> {
        let mut state = self.lock();
        let known = state.keys.remove(key)?;
        state.bytes -= cost(key).min(state.bytes);
        // A pause of the server may have filled the map.
        if state.keys.len() < state.keys.capacity() / 8 {
            state.keys.shrink_to(MAP_KEYS_MIN);
        }
        Some(known)
    }

    /// Records that the server says that the key is gone, and could have deleted it. `canary` is the number
    /// of the last canary.
    pub(super) fn record_gone(&self, key: &[u8], canary: u64) {
        if let Some(known) = self.lock().keys.get_mut(key) {
            known.gone = Some(canary);
        }
    }

    /// Uses a proof: keys that were gone before it are asked for again, or settled as deleted.
    pub(super) fn record_proof(&self, proof: CanaryProof) {
        let mut state = self.lock();
        let AwaitedState { keys, again, bytes, .. } = &mut *state;
        keys.retain(|key, known| {
            if known.gone.is_none_or(|gone| gone >= proof.number) {
                return true;
            }
            (known.gone, known.proofs) = (None, known.proofs + 1);
            let is_settled = known.proofs >= PROOFS_NEEDED;
            if is_settled {
                *bytes -= cost(key).min(*bytes);
            } else {
                again.push_back(key.clone());
            }
            !is_settled
        });
    }

    /// Asks for all keys anew, after a new subscription: what is on its way on the old one is lost.
    pub(super) fn restart(&self) {
        let mut state = self.lock();
        let AwaitedState { keys, again, .. } = &mut *state;
        again.clear();
        for (key, known) in keys {
            *known = AwaitedKey { was_due: known.was_due, ..AwaitedKey::default() };
            again.push_back(key.clone());
        }
    }

    /// Removes up to `count` keys from those to ask for again.
    pub(super) fn take_again(&self, count: usize) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some(key) = state.again.pop_front()
        {
            if state.keys.contains_key(&key) {
                taken.push(key);
            }
        }
        taken
    }

    /// Whether some keys are to be asked for again.
    pub(super) fn has_again(&self) -> bool {
        !self.lock().again.is_empty()
    }

    /// Forgets all keys.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        *state = AwaitedState { limit: state.limit, overflowed: state.overflowed, ..AwaitedState::default() };
    }

    /// How many keys found no room since the last call.
    pub(super) fn take_overflowed(&self) -> u64 {
        std::mem::take(&mut self.lock().overflowed)
    }

    fn lock(&self) -> MutexGuard<'_, AwaitedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(key: &[u8]) -> usize {
    2 * key.len() + KEY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn proof(number: u64) -> CanaryProof {
        CanaryProof { number, at: Instant::now() }
    }

    #[test]
    fn a_key_without_an_event_is_settled_by_two_later_canaries() {
        let awaited = AwaitedEvents::new(1 << 20);
        awaited.begin(b"a", true);
        awaited.record_proof(proof(9));
        assert!(!awaited.has_again(), "it is being asked for");
        awaited.record_gone(b"a", 9);
        awaited.record_proof(proof(9));
        assert!(!awaited.has_again(), "that canary was set before the reply");
        awaited.record_proof(proof(10));
        assert_eq!(awaited.take_again(9), [b"a"]);
        awaited.record_gone(b"a", 10);
        awaited.record_proof(proof(11));
        awaited.restart();
        assert!(!awaited.has_again() && awaited.lock().bytes == 0, "it is settled");
    }

    #[test]
    fn an_event_settles_a_key() {
        let awaited = AwaitedEvents::new(1 << 20);
        for key in [b"a", b"b"] {
            awaited.begin(key, true);
            awaited.record_gone(key, 1);
        }
        awaited.settle(b"a");
        awaited.record_gone(b"a", 1);
        awaited.record_proof(proof(2));
        assert_eq!(awaited.take_again(9), [b"b"]);
        // A new subscription may have missed the event that was on its way.
        awaited.restart();
        assert_eq!(awaited.take_again(9), [b"b"]);
        awaited.clear();
        awaited.restart();
        assert!(!awaited.has_again() && awaited.lock().bytes == 0);
    }

    #[test]
    fn keys_without_room_are_counted() {
        let awaited = AwaitedEvents::new(2 * cost(b"a") as u64);
        [b"a", b"b", b"b", b"c"].iter().for_each(|key| awaited.begin(*key, true));
        assert_eq!((awaited.take_overflowed(), awaited.take_overflowed()), (1, 0));
        awaited.settle(b"a");
        awaited.begin(b"c", true);
        assert_eq!(awaited.take_overflowed(), 0);
    }

    /// A key whose deadline is far away may be evicted while it is asked for: it has not expired.
    #[test]
    fn only_a_key_that_was_due_has_expired_when_it_is_evicted() {
        let awaited = AwaitedEvents::new(10_000);
        awaited.begin(b"due", true);
        awaited.begin(b"later", false);
        awaited.restart();
        assert_eq!(
            [b"due" as &[u8], b"later", b"other"].map(|key| awaited.settle_evicted(key)),
            [true, false, false]
        );
        assert!(!awaited.settle(b"due") && !awaited.settle(b"later"), "both are settled");
    }
}
