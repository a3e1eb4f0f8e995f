//! Keys that are due and whose events have not been received. The server says of such a key that it is
//! gone, but that may mean three things: the event is on its way; the key was deleted; or the server is
//! paused, and says of an expired key that it is gone without deleting it.
//!
//! A key is settled by its event. Without one it is settled as deleted, when it was gone twice, each time
//! before the setting of a canary whose event was received. Bounded in bytes: of keys that find no room only
//! a hash is kept, to count those whose events were not received. Pure, except for the lock.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::canary::CanaryProof;

/// How much memory a key takes in addition to the bytes of its name, which may be held twice.
const KEY_OVERHEAD_BYTES: usize = 100;
/// What the hash of a key without room takes.
const HASH_BYTES: usize = 32;
/// Hashes may take this fraction (one divided by the number) of the memory.
const HASHES_DIVISOR: usize = 4;
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
    /// The hashes of keys without room, each with the number of the last canary when the key was gone; `None`
    /// while the key is being asked for.
    hashes: HashMap<u64, Option<u64>>,
    hasher: RandomState,
    unsettled: u64,
}

#[derive(Default)]
struct AwaitedKey {
    /// The number of the last canary when the key was gone; `None` while the key is being asked for.
    gone: Option<u64>,
    proofs: u8,
    /// The deadline that had passed when it was asked for, in microseconds of the server's clock.
    due: Option<u64>,
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
        let state = self.lock();
        (state.bytes + state.hashes.len() * HASH_BYTES) as u64
    }

    /// Begins to await a key's event. Call this before the key is asked for, since the event may come before
    /// the reply. `due`: the deadline that has passed, in microseconds of the server's clock.
    pub(super) fn begin(&self, key: &[u8], due: Option<u64>) {
        let mut state = self.lock();
        let cost = cost(key);
        if state.keys.contains_key(key) {
            return;
        }
        let for_hashes = state.limit / HASHES_DIVISOR;
        if state.bytes + cost > state.limit - for_hashes {
            let hash = state.hasher.hash_one(key);
            if (state.hashes.len() + 1) * HASH_BYTES <= for_hashes {
                state.hashes.insert(hash, None);
            } else if !state.hashes.contains_key(&hash) {
                // It may be settled by its event, but nothing would tell.
                state.unsettled += 1;
            }
            return;
        }
        state.bytes += cost;
        state.keys.insert(key.to_vec(), AwaitedKey { due, ..AwaitedKey::default() });
    }

    /// Settles a key that is there, or was deleted. False if it was not awaited.
    pub(super) fn settle(&self, key: &[u8]) -> bool {
        self.remove(key).is_some()
    }

    /// Settles a key whose event was received. The deadline that had passed, if it was awaited for that.
    pub(super) fn settle_expired(&self, key: &[u8]) -> Option<u64> {
        self.remove(key)?.due
    }

    /// Settles a key that was evicted. True if it was awaited because its deadline had passed.
    pub(super) fn settle_evicted(&self, key: &[u8]) -> bool {
        self.remove(key).is_some_and(|known| known.due.is_some())
    }

    fn remove(&self, key: &[u8]) -> Option<AwaitedKey> {
        let mut state = self.lock();
        if !state.hashes.is_empty() {
            let hash = state.hasher.hash_one(key);
            state.hashes.remove(&hash);
        }
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
        let mut state = self.lock();
        if let Some(known) = state.keys.get_mut(key) {
            known.gone = Some(canary);
        } else if !state.hashes.is_empty() {
            let hash = state.hasher.hash_one(key);
            state.hashes.entry(hash).and_modify(|gone| *gone = Some(canary));
        }
    }

    /// Uses a proof: keys that were gone before it are asked for again, or settled as deleted.
    pub(super) fn record_proof(&self, proof: CanaryProof) {
        let mut state = self.lock();
        let AwaitedState { keys, again, bytes, hashes, unsettled, .. } = &mut *state;
        let before = hashes.len();
        hashes.retain(|_, gone| gone.is_none_or(|gone| gone >= proof.number));
        *unsettled += (before - hashes.len()) as u64;
        if hashes.is_empty() {
            *hashes = HashMap::new();
        }
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
        let AwaitedState { keys, again, hashes, unsettled, .. } = &mut *state;
        // Without their names these cannot be asked for again.
        *unsettled += std::mem::take(hashes).len() as u64;
        again.clear();
        for (key, known) in keys {
            *known = AwaitedKey { due: known.due, ..AwaitedKey::default() };
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
        *state = AwaitedState { limit: state.limit, unsettled: state.unsettled, ..AwaitedState::default() };
    }

    /// How many keys found no room, and were gone without a received event, since the last call.
    pub(super) fn take_unsettled(&self) -> u64 {
        std::mem::take(&mut self.lock().unsettled)
    }

    fn lock(&self) -> MutexGuard<'_, AwaitedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(key: &[u8]) -> usize {
    2 * key.len() + KEY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
