//! Names of keys in memory, packed by size: a name takes its bytes and one more, rounded up to the size of
//! its class. Freed places are used again. Pure.

/// Where a name is stored: the upper bits are its size class, the lower bits its place in the class.
pub(super) type NameSlot = u32;

/// Bytes of a place in each class: one for the length, the rest for the name.
const PLACE_BYTES: [usize; 11] = [16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256];
/// The class of longer names, each of which has an allocation of its own.
const LONG_CLASS: u32 = PLACE_BYTES.len() as u32;
const PLACE_BITS: u32 = 28;
const CLASS_PLACES_MAX: u32 = 1 << PLACE_BITS;
/// The number that means no place.
const NO_PLACE: u32 = u32::MAX;
/// How much memory a long name takes in addition to its bytes.
const LONG_OVERHEAD_BYTES: usize = 48;

/// See the module.
#[derive(Default)]
pub(super) struct NameArena {
    classes: [SizeClass; PLACE_BYTES.len()],
    long: Vec<Option<Box<[u8]>>>,
    long_free: Vec<u32>,
    /// The bytes of all long names.
    long_bytes: usize,
}

struct SizeClass {
    bytes: Vec<u8>,
    /// The first free place; each free place holds the number of the next.
    free: u32,
}

impl Default for SizeClass {
    fn default() -> Self {
        Self { bytes: Vec::new(), free: NO_PLACE }
    }
}

impl NameArena {
    /// How many bytes of memory a name of this length takes.
    pub(super) fn cost(length: usize) -> usize {
        PLACE_BYTES.iter().copied().find(|size| *size > length).unwrap_or(length + LONG_OVERHEAD_BYTES)
    }

    /// How much memory is allocated, with that of free places.
    pub(super) fn allocated(&self) -> usize {
        let packed: usize = self.classes.iter().map(|class| class.bytes.capacity()).sum();
        let places = self.long.capacity() * size_of::<Option<Box<[u8]>>>() + self.long_free.capacity() * 4;
        packed + self.long_bytes + places
    }

    /// Keeps a name; `None` if its class has no more places.
    pub(super) fn put(&mut self, name: &[u8]) -> Option<NameSlot> {
        let found =
            PLACE_BYTES.iter().zip(&mut self.classes).zip(0..).find(|((size, _), _)| **size > name.len());
        match found {
            Some(((size, class), number)) => Some(number << PLACE_BITS | class.put(name, *size)?),
            None => self.put_long(name),
        }
    }

    fn put_long(&mut self, name: &[u8]) -> Option<NameSlot> {
        let place = match self.long_free.pop() {
            Some(place) => place,
            None => {
                self.long.push(None);
                u32::try_from(self.long.len() - 1).ok().filter(|place| *place < CLASS_PLACES_MAX)?
            }
        };
        *self.long.get_mut(place as usize)? = Some(name.into());
        self.long_bytes += name.len();
        Some(LONG_CLASS << PLACE_BITS | place)
    }

    /// The name in a slot that is in use.
    pub(super) fn get(&self, slot: NameSlot) -> &[u8] {
        let (class, place) = (slot >> PLACE_BITS, slot & (CLASS_PLACES_MAX - 1));
        let name = match (PLACE_BYTES.get(class as usize), self.classes.get(class as usize)) {
            (Some(size), Some(class)) => class.get(place, *size),
            _ => self.long.get(place as usize).and_then(Option::as_deref),
        };
        name.unwrap_or_default()
    }

    /// Frees a slot.
    pub(super) fn free(&mut self, slot: NameSlot) {
        let (class, place) = (slot >> PLACE_BITS, slot & (CLASS_PLACES_MAX - 1));
        match (PLACE_BYTES.get(class as usize), self.classes.get_mut(class as usize)) {
            (Some(size), Some(class)) => class.free(place, *size),
            _ => {
                if let Some(held) = self.long.get_mut(place as usize) {
                    self.long_bytes -= held.take().map_or(0, |name| name.len());
                    self.long_free.push(place);
                }
            }
        }
    }
}

impl SizeClass {
    fn put(&mut self, name: &[u8], size: usize) -> Option<u32> {
        let place = if self.free == NO_PLACE {
            let place =
                u32::try_from(self.bytes.len() / size).ok().filter(|place| *place < CLASS_PLACES_MAX)?;
            // The memory grows by an eighth at a time. If it doubled, half of it could be empty.
            if self.bytes.capacity() - self.bytes.len() < size {
                let more = (self.bytes.len() / 8).max(4 << 10) / size * size;
                self.bytes.reserve_exact(more.max(size));
            }
            self.bytes.resize(self.bytes.len() + size, 0);
            place
        } else {
            let place = self.free;
            let next = self.bytes.get(place as usize * size..)?.first_chunk().copied()?;
            self.free = u32::from_le_bytes(next);
            place
        };
        let (length, rest) = self.bytes.get_mut(place as usize * size..)?.split_first_mut()?;
        *length = u8::try_from(name.len()).ok()?;
        rest.get_mut(..name.len())?.copy_from_slice(name);
        Some(place)
    }

    fn get(&self, place: u32, size: usize) -> Option<&[u8]> {
        let (length, rest) = self.bytes.get(place as usize * size..)?.split_first()?;
        rest.get(..usize::from(*length))
    }

    fn free(&mut self, place: u32, size: usize) {
        let next = self.free.to_le_bytes();
        let held = self.bytes.get_mut(place as usize * size..).and_then(|bytes| bytes.first_chunk_mut());
        if let Some(held) = held {
            *held = next;
            self.free = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn names_come_back_as_they_were(
            steps in vec((any::<bool>(), vec(any::<u8>(), 0..300)), 0..200),
        ) {
            let mut arena = NameArena::default();
            let mut held: HashMap<NameSlot, Vec<u8>> = HashMap::new();
            for (takes, name) in steps {
                if takes && let Some(slot) = held.keys().next().copied() {
                    prop_assert_eq!(arena.get(slot), held.remove(&slot).unwrap());
                    arena.free(slot);
                } else {
                    let slot = arena.put(&name).unwrap();
                    prop_assert!(held.insert(slot, name).is_none(), "a place given twice");
                }
            }
            for (slot, name) in held {
                prop_assert_eq!(arena.get(slot), name);
            }
        }
    }

    #[test]
    fn freed_places_are_used_again() {
        let mut arena = NameArena::default();
        let slots: Vec<NameSlot> = (0..1000).map(|n: u32| arena.put(&n.to_le_bytes()).unwrap()).collect();
        slots.iter().for_each(|slot| arena.free(*slot));
        let again: Vec<NameSlot> = (0..1000).map(|n: u32| arena.put(&n.to_le_bytes()).unwrap()).collect();
        assert_eq!(slots.iter().max(), again.iter().max());
    }
}
