//! The batch lists of this instance, by number. One that is free is certainly empty:
//! a number whose last command may still be under way is never used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Items;

/// The number of one batch list, held by whoever works on its batch; and the memory that
/// its batches lie in, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub struct BatchSlot {
    number: u32,
    pub(super) memory: Items,
}

impl BatchSlot {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// The free ones, and how many there have ever been.
#[derive(Debug, Clone)]
pub struct BatchSlots {
    give: Sender<BatchSlot>,
    free: Receiver<BatchSlot>,
    used: Arc<AtomicU32>,
}

impl BatchSlots {
    /// So many batches can be in work at a time.
    pub fn new(count: u32) -> Self {
        let (give, free) = unbounded();
        let slots = Self { give, free, used: Arc::default() };
        (0..count).for_each(|_| slots.add());
        slots
    }

    fn add(&self) {
        // Both ends are ours.
        let _open =
            self.give.send(BatchSlot { number: self.used.fetch_add(1, SeqCst), memory: Items::default() });
    }

    /// A free slot, waited for until `until`.
    pub(super) fn take(&self, until: Instant) -> Option<BatchSlot> {
        self.free.recv_deadline(until).ok()
    }

    /// Its list is gone by an answer that came: it can be used again.
    pub fn give_back(&self, mut slot: BatchSlot) {
        slot.memory.clear();
        let _open = self.give.send(slot);
    }

    /// A command on its list had no answer and may be carried out late: another number
    /// takes its place.
    pub fn retire(&self, _slot: BatchSlot) {
        self.add();
    }

    /// Numbers from 0 up to here have been used.
    pub fn used(&self) -> u32 {
        self.used.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_number_does_not_come_back() {
        let slots = BatchSlots::new(2);
        let (a, b) = (slots.take(Instant::now()).unwrap(), slots.take(Instant::now()).unwrap());
        assert_eq!(slots.take(Instant::now()), None);
        slots.retire(a);
        slots.give_back(b);
        let mut left: Vec<u32> =
            std::iter::from_fn(|| slots.take(Instant::now())).map(|slot| slot.number()).collect();
        left.sort_unstable();
        assert_eq!((left, slots.used()), (vec![1, 2], 3));
    }
}
