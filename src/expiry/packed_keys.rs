//! A queue of keys, packed: a key takes the bytes of its name and eight more, so that a burst of millions of
//! keys finds room. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much memory a key takes in addition to the bytes of its name: when it was received, in microseconds
/// after its chunk was begun, and the length of the name.
pub(super) const PACKED_OVERHEAD_BYTES: usize = 4 + 4;
/// The size of a chunk, unless one name is longer.
const CHUNK_BYTES: usize = 64 << 10;

/// A key that expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedKey {
    /// When the key's event was received.
    pub at: Instant,
    /// The key's name.
    pub key: Vec<u8>,
}

/// See the module.
#[derive(Default)]
pub(super) struct PackedKeys {
    chunks: VecDeque<KeyChunk>,
    len: usize,
}

struct KeyChunk {
    began: Instant,
    bytes: Vec<u8>,
    /// How many of the bytes were taken.
    taken: usize,
}

impl PackedKeys {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a key at the end.
    pub(super) fn push(&mut self, key: &[u8], at: Instant) {
        let size = PACKED_OVERHEAD_BYTES + key.len();
        let room = |chunk: &KeyChunk| chunk.bytes.capacity() - chunk.bytes.len();
        let last = self.chunks.back().filter(|chunk| room(chunk) >= size);
        let after = last.and_then(|chunk| offset(chunk.began, at));
        if after.is_none() {
            let bytes = Vec::with_capacity(CHUNK_BYTES.max(size));
            self.chunks.push_back(KeyChunk { began: at, bytes, taken: 0 });
        }
        let Some(chunk) = self.chunks.back_mut() else { return };
        chunk.bytes.extend_from_slice(&after.unwrap_or(0).to_le_bytes());
        chunk.bytes.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
        chunk.bytes.extend_from_slice(key);
        self.len += 1;
    }

    /// When the first key was received.
    pub(super) fn first_at(&self) -> Option<Instant> {
        self.chunks.front()?.first().map(|(at, _)| at)
    }

    /// Removes the first key.
    pub(super) fn pop(&mut self) -> Option<ReceivedKey> {
        let chunk = self.chunks.front_mut()?;
        let (at, name) = chunk.first()?;
        let key = name.to_vec();
        chunk.taken += PACKED_OVERHEAD_BYTES + key.len();
        self.len -= 1;
        if chunk.taken >= chunk.bytes.len() {
            self.chunks.pop_front();
        }
        Some(ReceivedKey { at, key })
    }
}

impl KeyChunk {
    fn first(&self) -> Option<(Instant, &[u8])> {
        let (after, rest) = self.bytes.get(self.taken..)?.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let after = Duration::from_micros(u64::from(u32::from_le_bytes(*after)));
        Some((self.began + after, rest.get(..u32::from_le_bytes(*length) as usize)?))
    }
}

/// The time from `began` to `at` in microseconds, rounded down: a key must not seem to be received later than
/// it was, or a canary that came right behind it would seem to prove that the key was pushed.
fn offset(began: Instant, at: Instant) -> Option<u32> {
    u32::try_from(at.checked_duration_since(began)?.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        /// What comes out is what went in, in order; times are exact to a microsecond.
        #[test]
        fn keys_come_back_as_they_were(
            steps in vec((any::<bool>(), vec(any::<u8>(), 0..70), 0_u64..2_000_000_000), 0..300),
            long in 0_usize..200_000,
        ) {
            let mut now = Instant::now();
            let (mut packed, mut model) = (PackedKeys::default(), VecDeque::new());
            for (takes, key, pause) in steps {
                if takes {
                    let popped = packed.pop();
                    let expected: Option<ReceivedKey> = model.pop_front();
                    prop_assert_eq!(popped.is_some(), expected.is_some());
                    if let (Some(popped), Some(expected)) = (popped, expected) {
                        let early = expected.at.checked_duration_since(popped.at);
                        prop_assert!(early.is_some_and(|early| early < Duration::from_micros(1)));
                        prop_assert_eq!(popped.key, expected.key);
                    }
                } else {
                    now += Duration::from_nanos(pause * 7);
                    let key = if key.len() == 69 { vec![7; long] } else { key };
                    packed.push(&key, now);
                    model.push_back(ReceivedKey { at: now, key });
                }
                prop_assert_eq!((packed.len(), packed.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(packed.first_at().is_some(), !model.is_empty());
            }
        }
    }

    /// Two million names of 16 bytes fit into the default of 64 MiB.
    #[test]
    fn a_burst_takes_little_memory() {
        let (now, mut packed) = (Instant::now(), PackedKeys::default());
        (0..20_000_u32).for_each(|n| packed.push(format!("k:{n:014}").as_bytes(), now));
        let memory: usize = packed.chunks.iter().map(|chunk| chunk.bytes.capacity()).sum();
        assert!(memory < 20_000 * (16 + PACKED_OVERHEAD_BYTES) + 2 * CHUNK_BYTES, "{memory}");
        const { assert!(2_000_000 * (16 + PACKED_OVERHEAD_BYTES) < 64 << 20) };
    }
}
