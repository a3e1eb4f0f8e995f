//! Which key is due when: a priority queue of deadlines, bounded in bytes, that takes some forty bytes for
//! each key in addition to its name. Pure: the caller has the clock.
//!
//! The heap holds moments, each with a place in the arena of names. The index leads from a key's hash to
//! the moment that counts for the key. A key that gets an earlier deadline has two entries in the heap; the
//! entry that the index does not name is skipped.

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use super::name_arena::{NameArena, NameSlot};

/// Moments are counted in ticks of this length.
const TICK_MICROS: u64 = 100;
/// A key with a later deadline is probed after this time, which gives its deadline again. The index
/// compares moments by 32 bits, which works only for moments less than 2.5 days apart.
pub(super) const DEADLINE_HORIZON: Duration = Duration::from_secs(48 * 3600);
/// How much memory a key takes in addition to its place in the arena: an entry of the heap, and one of the
/// index, at the usual load of a hash map.
const KEY_OVERHEAD_BYTES: usize = 12 + 22;
/// The index is many small maps: they grow one at a time, so that no insertion takes long.
const INDEX_SHARDS: usize = 256;

/// See the module.
pub(super) struct Deadlines {
    /// Ticks are counted from here.
    base: Instant,
    limit: usize,
    bytes: usize,
    names: NameArena,
    heap: BinaryHeap<Reverse<HeapEntry>>,
    /// From a key's hash to the lower bits of its moment.
    index: Vec<HashMap<[u32; 2], u32, BuildHasherDefault<IdentityHasher>>>,
    hasher: RandomState,
}

/// A deadline and the place of its key. The deadline is kept as two `u32`, because a `u64` would pad the
/// twelve bytes to sixteen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct HeapEntry {
    high: u32,
    low: u32,
    slot: NameSlot,
}

impl HeapEntry {
    fn tick(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

/// What happened to a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learned {
    /// The deadline is kept.
    Kept,
    /// The key is kept with an earlier deadline, at which it will be probed anyway.
    AlreadyKnown,
    /// The deadline was dropped, because the memory is full.
    Full,
}

impl Deadlines {
    /// Holds up to `limit` bytes.
    pub(super) fn new(limit: u64, now: Instant) -> Self {
        Self {
            base: now,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            bytes: 0,
            names: NameArena::default(),
            heap: BinaryHeap::new(),
            index: std::iter::repeat_with(HashMap::default).take(INDEX_SHARDS).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Keeps a key's deadline, which must lie within [`DEADLINE_HORIZON`].
    pub(super) fn learn(&mut self, key: &[u8], due: Instant) -> Learned {
        self.keep(key, due, self.limit)
    }

    /// Keeps a key's deadline even if the memory is full.
    pub(super) fn learn_always(&mut self, key: &[u8], due: Instant) {
        self.keep(key, due, usize::MAX);
    }

    fn keep(&mut self, key: &[u8], due: Instant, limit: usize) -> Learned {
        let tick = self.tick(due);
        let low = tick as u32;
        let hash = self.hash(key);
        let cost = cost(key);
        let full = self.bytes + cost > limit;
        let Some(shard) = shard(&mut self.index, hash) else { return Learned::Full };
        match shard.get(&hash) {
            Some(known) if low.wrapping_sub(*known).cast_signed() >= 0 => return Learned::AlreadyKnown,
            _ if full => return Learned::Full,
            _ => {}
        }
        let Some(slot) = self.names.put(key) else { return Learned::Full };
        shard.insert(hash, low);
        self.heap.push(Reverse(HeapEntry { high: (tick >> 32) as u32, low, slot }));
        self.bytes += cost;
        Learned::Kept
    }

    /// Whether a deadline of the key is kept.
    pub(super) fn knows(&self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        self.index.get(hash[0] as usize % INDEX_SHARDS).is_some_and(|shard| shard.contains_key(&hash))
    }

    /// Drops the deadline of a key.
    pub(super) fn forget(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        if let Some(shard) = shard(&mut self.index, hash) {
            shard.remove(&hash);
        }
    }

    /// Removes the first key that is due. Returns the key, and the time since which it is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Vec<u8>, Instant)> {
        loop {
            let entry = self.heap.peek().filter(|next| self.moment(next.0) <= now)?.0;
            self.heap.pop();
            let key = self.names.get(entry.slot).to_vec();
            self.names.free(entry.slot);
            self.bytes -= cost(&key).min(self.bytes);
            let hash = self.hash(&key);
            if let Some(shard) = shard(&mut self.index, hash)
                && shard.get(&hash) == Some(&entry.low)
            {
                shard.remove(&hash);
                return Some((key, self.moment(entry)));
            }
        }
    }

    /// When the next key is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|next| self.moment(next.0))
    }

    /// Whether there is room for many more keys.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.limit / 4 * 3
    }

    fn moment(&self, entry: HeapEntry) -> Instant {
        self.base + Duration::from_micros(entry.tick().saturating_mul(TICK_MICROS))
    }

    fn tick(&self, due: Instant) -> u64 {
        let since = due.saturating_duration_since(self.base).as_micros();
        // The tick is rounded up, so that no key is due early.
        u64::try_from(since).unwrap_or(u64::MAX).div_ceil(TICK_MICROS)
    }

    fn hash(&self, key: &[u8]) -> [u32; 2] {
        let hash = self.hasher.hash_one(key);
        [(hash >> 32) as u32, hash as u32]
    }
}

fn cost(key: &[u8]) -> usize {
    NameArena::cost(key.len()) + KEY_OVERHEAD_BYTES
}

fn shard<M>(index: &mut [M], hash: [u32; 2]) -> Option<&mut M> {
    index.get_mut(hash[0] as usize % INDEX_SHARDS)
}

/// A hasher for values that are hashes already: it returns them unchanged.
#[derive(Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 ^ self.0 >> 56 ^ u64::from(*byte));
    }

    fn write_u32(&mut self, half: u32) {
        self.0 = self.0 << 32 | u64::from(half);
    }
}

#[cfg(test)]
mod tests;
