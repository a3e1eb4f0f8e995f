//! Which key is due when: a priority queue of deadlines, bounded in bytes, that takes some forty bytes for
//! each key in addition to its name. Pure. Times are microseconds since 1970 by the clock of the server.
//!
//! The heap holds moments, each with a place in the arena of names. The index leads from a key's hash to
//! the moment that counts for the key. An entry of the heap that the index does not name is *stale*: its key
//! was forgotten, or has got an earlier deadline. Stale entries are skipped when they are due, and removed
//! when they take more room than the others.

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::time::Duration;

use super::name_arena::{NameArena, NameSlot};

/// Moments are counted in ticks of this length.
const TICK_MICROS: u64 = 100;
/// A key with a later deadline is probed after this time, which gives its deadline again. The index
/// compares moments by 31 bits, which works only for moments less than 29 hours apart.
pub(super) const DEADLINE_HORIZON: Duration = Duration::from_secs(20 * 3600);
/// A deadline that is earlier than the known one by no more than this is the same: it was only measured
/// anew.
const SAME_DEADLINE_TICKS: i32 = 20;
/// How much memory a key takes in addition to its place in the arena: an entry of the heap, and one of the
/// index, at the usual load of a hash map.
const KEY_OVERHEAD_BYTES: usize = HEAP_ENTRY_BYTES + 22;
/// Stale entries that take less than this are left alone.
const STALE_BYTES_MIN: usize = 16 << 10;
/// If a key finds no room, stale entries are removed if these take more than this fraction (one divided by
/// the number) of the memory. Each removal looks at every entry, so it must free many.
const STALE_DIVISOR: usize = 64;
/// Memory that holds nothing is given back if it is more than what is needed, and more than this.
const SPARE_BYTES_MIN: usize = 64 << 10;
/// What an entry of the heap takes, and a place in the index, whose maps are full to seven eighths at most.
const HEAP_ENTRY_BYTES: usize = size_of::<HeapEntry>();
const INDEX_PLACE_BYTES: usize = 13 * 8 / 7;
/// The index is many small maps: they grow one at a time, so that no insertion takes long.
const INDEX_SHARDS: usize = 256;

/// See the module.
pub(super) struct Deadlines {
    limit: usize,
    /// What all entries take, and the stale ones among these.
    bytes: usize,
    stale: usize,
    /// What others have borrowed of the limit.
    lent: usize,
    /// Whether a key has found no room, and no quarter of the memory has become free since.
    is_full: bool,
    names: NameArena,
    heap: BinaryHeap<Reverse<HeapEntry>>,
    index: Vec<HashMap<[u32; 2], KnownMoment, BuildHasherDefault<IdentityHasher>>>,
    hasher: RandomState,
    /// The mark of keys that the sweep under way, or a later event, has shown to be there.
    seen: u32,
}

/// A deadline and the place of its key. The deadline is kept as two `u32`, because a `u64` would pad the
/// twelve bytes to sixteen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct HeapEntry {
    high: u32,
    low: u32,
    slot: NameSlot,
}

/// The lower 31 bits of the moment that counts for a key, and behind these the mark of the last sweep that
/// has seen the key.
#[derive(Clone, Copy)]
struct KnownMoment(u32);

impl HeapEntry {
    fn tick(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }

    fn micros(self) -> u64 {
        self.tick().saturating_mul(TICK_MICROS)
    }
}

impl KnownMoment {
    fn new(low: u32, seen: u32) -> Self {
        Self(low << 1 | seen)
    }

    /// By how many ticks a moment is later.
    fn ticks_until(self, low: u32) -> i32 {
        (low << 1).wrapping_sub(self.0 & !1).cast_signed() >> 1
    }

    fn is(self, low: u32) -> bool {
        self.ticks_until(low) == 0
    }

    fn was_seen(self, seen: u32) -> bool {
        self.0 & 1 == seen
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
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            bytes: 0,
            stale: 0,
            lent: 0,
            is_full: false,
            names: NameArena::default(),
            heap: BinaryHeap::new(),
            index: std::iter::repeat_with(HashMap::default).take(INDEX_SHARDS).collect(),
            hasher: RandomState::new(),
            seen: 0,
        }
    }

    /// Keeps a key's deadline, which must lie within [`DEADLINE_HORIZON`].
    pub(super) fn learn(&mut self, key: &[u8], due: u64) -> Learned {
        let learned = self.keep(key, due, self.limit.saturating_sub(self.lent));
        self.is_full |= learned == Learned::Full;
        learned
    }

    /// Keeps a key's deadline even if the memory is full.
    pub(super) fn learn_always(&mut self, key: &[u8], due: u64) {
        self.keep(key, due, usize::MAX);
    }

    /// Sets how many bytes of the limit others have in use now.
    pub(super) fn set_lent(&mut self, lent: u64) {
        self.lent = usize::try_from(lent).unwrap_or(usize::MAX);
    }

    fn keep(&mut self, key: &[u8], due: u64, limit: usize) -> Learned {
        // The tick is rounded up, so that no key is due early.
        let tick = due.div_ceil(TICK_MICROS);
        let (low, seen) = (tick as u32, self.seen);
        let hash = self.hash(key);
        let cost = cost(key);
        if self.bytes.saturating_add(cost) > limit && self.stale > self.limit / STALE_DIVISOR {
            self.remove_stale();
        }
        let full = self.bytes.saturating_add(cost) > limit;
        let Some(shard) = shard(&mut self.index, hash) else { return Learned::Full };
        match shard.get_mut(&hash) {
            Some(known) if known.ticks_until(low) >= -SAME_DEADLINE_TICKS => {
                known.0 = known.0 & !1 | seen;
                return Learned::AlreadyKnown;
            }
            _ if full => return Learned::Full,
            _ => {}
        }
        let Some(slot) = self.names.put(key) else { return Learned::Full };
        if shard.insert(hash, KnownMoment::new(low, seen)).is_some() {
            self.stale += cost;
        }
        self.heap.push(Reverse(HeapEntry { high: (tick >> 32) as u32, low, slot }));
        self.bytes += cost;
        self.limit_stale();
        Learned::Kept
    }

    /// Whether a deadline of the key is kept. The sweep under way has seen the key.
    pub(super) fn record_seen(&mut self, key: &[u8]) -> bool {
        let (hash, seen) = (self.hash(key), self.seen);
        let known = shard(&mut self.index, hash).and_then(|shard| shard.get_mut(&hash));
        known.map(|known| known.0 = known.0 & !1 | seen).is_some()
    }

    /// Whether the known deadline of the key has passed.
    pub(super) fn is_due(&mut self, key: &[u8], now: u64) -> bool {
        let hash = self.hash(key);
        let known = shard(&mut self.index, hash).and_then(|shard| shard.get(&hash));
        known.is_some_and(|known| known.ticks_until((now / TICK_MICROS) as u32) >= 0)
    }

    /// Drops the deadline of a key.
    pub(super) fn forget(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        if shard(&mut self.index, hash).is_some_and(|shard| shard.remove(&hash).is_some()) {
            self.stale += cost(key);
            self.limit_stale();
        }
    }

    /// Removes the first key that is due. Returns the key, and since when it is due.
    pub(super) fn pop(&mut self, now: u64) -> Option<(Vec<u8>, u64)> {
        loop {
            let entry = self.heap.peek().filter(|next| next.0.micros() <= now)?.0;
            self.heap.pop();
            let key = self.names.get(entry.slot).to_vec();
            self.names.free(entry.slot);
            let cost = cost(&key);
            self.bytes -= cost.min(self.bytes);
            let hash = self.hash(&key);
            if let Some(shard) = shard(&mut self.index, hash)
                && shard.get(&hash).is_some_and(|known| known.is(entry.low))
            {
                shard.remove(&hash);
                return Some((key, entry.micros()));
            }
            self.stale -= cost.min(self.stale);
        }
    }

    /// When the next key is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.heap.peek().map(|next| next.0.micros())
    }

    /// How many bytes are free for others to borrow. What has just left counts as free before its memory is
    /// given back: in a burst the keys that leave need it at once.
    pub(super) fn free_bytes(&self) -> u64 {
        self.limit.saturating_sub(self.bytes).saturating_sub(self.lent) as u64
    }

    /// Whether there is room for more keys. If a key has found none, there must be room for many.
    pub(super) fn has_room(&mut self) -> bool {
        let enough = self.limit.saturating_sub(self.lent) / 4 * 3;
        self.is_full &= self.live() >= enough;
        !self.is_full
    }

    /// Gives back the memory of keys that have left, if more than twice as much is allocated as is needed.
    /// Call this often: it does nothing unless many keys have left since.
    pub(super) fn give_memory_back(&mut self) {
        if self.allocated() <= self.live().saturating_mul(2).saturating_add(SPARE_BYTES_MIN) {
            return;
        }
        self.remove_stale();
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        let mut names = NameArena::default();
        let places: Option<Vec<NameSlot>> =
            entries.iter().map(|Reverse(entry)| names.put(self.names.get(entry.slot))).collect();
        if let Some(places) = places {
            entries.iter_mut().zip(places).for_each(|(Reverse(entry), place)| entry.slot = place);
            self.names = names;
        }
        entries.shrink_to_fit();
        self.heap = BinaryHeap::from(entries);
        self.index.iter_mut().for_each(HashMap::shrink_to_fit);
    }

    /// How many bytes are counted.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// What the keys that are there take.
    fn live(&self) -> usize {
        self.bytes.saturating_sub(self.stale)
    }

    /// How much memory is allocated.
    fn allocated(&self) -> usize {
        let places: usize = self.index.iter().map(HashMap::capacity).sum();
        self.names.allocated() + self.heap.capacity() * HEAP_ENTRY_BYTES + places * INDEX_PLACE_BYTES
    }

    /// Records that a sweep over all keys begins.
    pub(super) fn begin_sweep(&mut self) {
        self.seen ^= 1;
    }

    /// Records that the sweep has ended: keys that neither the sweep nor an event has shown are gone, and
    /// nothing has announced that.
    pub(super) fn end_sweep(&mut self) {
        let (before, seen) = (self.known(), self.seen);
        for shard in &mut self.index {
            shard.retain(|_, known| known.was_seen(seen));
        }
        if self.known() < before {
            // The names are not at hand here, so only this tells how much memory they take.
            self.remove_stale();
        }
    }

    /// How many keys are there.
    pub(super) fn known(&self) -> usize {
        self.index.iter().map(HashMap::len).sum()
    }

    /// Removes stale entries if these take more room than the others.
    fn limit_stale(&mut self) {
        if self.stale > STALE_BYTES_MIN && self.stale > self.bytes / 2 {
            self.remove_stale();
        }
    }

    fn remove_stale(&mut self) {
        if self.stale == 0 && self.heap.len() == self.known() {
            return;
        }
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        let mut kept = Vec::new();
        entries.retain(|Reverse(entry)| {
            let hash = hash_of(&self.hasher, self.names.get(entry.slot));
            let shard = shard(&mut self.index, hash);
            // What is kept leaves the index, so that a second entry of the same moment is removed.
            let known = shard.and_then(|shard| shard.remove(&hash));
            match known {
                Some(known) if known.is(entry.low) => kept.push((hash, known)),
                Some(other) => {
                    if let Some(shard) = self::shard(&mut self.index, hash) {
                        shard.insert(hash, other);
                    }
                }
                None => {}
            }
            let is_kept = known.is_some_and(|known| known.is(entry.low));
            if !is_kept {
                self.bytes -= cost(self.names.get(entry.slot)).min(self.bytes);
                self.names.free(entry.slot);
            }
            is_kept
        });
        for (hash, known) in kept {
            if let Some(shard) = shard(&mut self.index, hash) {
                shard.insert(hash, known);
            }
        }
        self.heap = BinaryHeap::from(entries);
        self.stale = 0;
    }

    fn hash(&self, key: &[u8]) -> [u32; 2] {
        hash_of(&self.hasher, key)
    }
}

fn hash_of(hasher: &RandomState, key: &[u8]) -> [u32; 2] {
    let hash = hasher.hash_one(key);
    [(hash >> 32) as u32, hash as u32]
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
