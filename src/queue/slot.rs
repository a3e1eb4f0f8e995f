//! The batch lists of this instance, by number. The list of a free number is certainly empty: a number is
//! never used again while the server may still carry out its last command.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::items::Items;

/// The number of one batch list, and the memory that is reused for the items of its batches. Whoever works
/// on the batch holds the slot.
#[derive(Debug, PartialEq, Eq)]
pub struct BatchSlot {
    number: u32,
    pub(super) memory: Items,
}

impl BatchSlot {
    /// The number of the batch list.
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// The free slots, and how many numbers were ever used.
#[derive(Debug, Clone)]
pub struct BatchSlots {
    give: Sender<BatchSlot>,
    free: Receiver<BatchSlot>,
    used: Arc<AtomicU32>,
}

impl BatchSlots {
    /// Slots for `count` batches at the same time.
    pub fn new(count: u32) -> Self {
        let (give, free) = unbounded();
        let slots = Self { give, free, used: Arc::default() };
        (0..count).for_each(|_| slots.add());
        slots
    }

    fn add(&self) {
        // The receiver lives as long as the sender: both are fields of this value.
        let _open =
            self.give.send(BatchSlot { number: self.used.fetch_add(1, SeqCst), memory: Items::default() });
    }

    /// Waits until `until` for a free slot.
    pub(super) fn take(&self, until: Instant) -> Option<BatchSlot> {
        self.free.recv_deadline(until).ok()
    }

    /// Frees a slot whose batch list does not exist any more, as an answer of the server has shown.
    pub fn give_back(&self, mut slot: BatchSlot) {
        slot.memory.clear();
        let _open = self.give.send(slot);
    }

    /// Gives up a slot whose last command had no answer: the server may carry the command out
    /// later. A slot with a new number takes its place.
    pub fn retire(&self, _slot: BatchSlot) {
        self.add();
    }

    /// All numbers below this one have been used.
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
