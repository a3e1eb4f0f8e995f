//! Which offsets of a partition the lines of a log file are: the offset ranges that were written, one after
//! the other. Pure.
//!
//! A range grows with the partition's position. Where the position is set anew, the range ends and another
//! one begins. So an offset that was read again after a reset lies in two ranges, and its line is in the
//! files twice.

use super::entry_reader::EntryReader;

/// How many ranges are kept beside the one that grows.
const ENDED_MAX: usize = 32;
/// How [`HeldOffsets::encode`] writes. Bytes that begin with another number are not read.
const FORM: u8 = 1;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOffsets {
    /// The ranges `[from, to)` that have ended, oldest first.
    ended: Vec<(i64, i64)>,
    /// Where the range begins that grows. It ends at the partition's position.
    from: i64,
    /// The offsets `[from, to)` of which the files may hold lines beside those of the ranges, any number of
    /// times. Empty if there are none.
    unsure: (i64, i64),
}

impl HeldOffsets {
    /// Nothing was written of the partition. Its first line will be that of this offset or a later one.
    pub(in crate::logfile) fn begin(from: i64) -> Self {
        Self { ended: Vec::new(), from, unsure: (0, 0) }
    }

    /// Nobody knows what was written below this position.
    pub(in crate::logfile) fn begin_unknown(position: i64) -> Self {
        Self { ended: Vec::new(), from: position, unsure: (0, position.max(0)) }
    }

    /// All was written up to `end`, and the partition goes on at another offset.
    pub(in crate::logfile) fn move_to(&mut self, end: i64, to: i64) {
        if end == to {
            return;
        }
        if self.from < end {
            self.ended.push((self.from, end));
        }
        self.from = to;
        if self.ended.len() > ENDED_MAX {
            let (from, to) = self.ended.remove(0);
            self.add_unsure(from, to);
        }
    }

    /// The log of the partition has other records from this offset on than those that were written. What
    /// was written there can be compared with nothing any more.
    pub(in crate::logfile) fn replaced_from(&mut self, end: i64, to: i64) {
        self.move_to(end, to);
        for (from, end) in std::mem::take(&mut self.ended) {
            if end > to {
                self.add_unsure(from.max(to), end);
            }
            if from < to {
                self.ended.push((from, end.min(to)));
            }
        }
        self.from = to;
    }

    /// What two journals have written one after the other, the first one up to `end`.
    pub(in crate::logfile) fn joined(first: &Self, end: i64, then: &Self) -> Self {
        let (mut joined, mut end) = (first.clone(), end);
        for (from, to) in &then.ended {
            joined.move_to(end, *from);
            end = *to;
        }
        joined.move_to(end, then.from);
        if let Some((from, to)) = then.unsure() {
            joined.add_unsure(from, to);
        }
        joined
    }

    fn add_unsure(&mut self, from: i64, to: i64) {
        self.unsure = match self.unsure {
            (known, end) if known < end => (known.min(from), end.max(to)),
            _ => (from, to),
        };
    }

    /// The ranges in the order in which they were written, up to this position.
    pub fn ranges(&self, position: i64) -> Vec<(i64, i64)> {
        let grows = (self.from, position.max(self.from));
        self.ended.iter().copied().chain([grows]).collect()
    }

    /// The offsets `[from, to)` of which the files may hold lines beside those of the ranges.
    pub fn unsure(&self) -> Option<(i64, i64)> {
        Some(self.unsure).filter(|(from, to)| from < to)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORM);
        out.extend_from_slice(&self.from.to_be_bytes());
        if self.ended.is_empty() && self.unsure().is_none() {
            return;
        }
        for (from, to) in [self.unsure].iter().chain(&self.ended) {
            out.extend_from_slice(&from.to_be_bytes());
            out.extend_from_slice(&to.to_be_bytes());
        }
    }

    /// `None`: a later pandad has written this, in another form.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = EntryReader(bytes);
        if reader.u8()? != FORM {
            return None;
        }
        let mut held = Self::begin(reader.i64()?);
        let mut pairs = Vec::new();
        while !reader.0.is_empty() {
            pairs.push((reader.i64()?, reader.i64()?));
        }
        let mut pairs = pairs.into_iter();
        held.unsure = pairs.next().unwrap_or((0, 0));
        held.ended = pairs.collect();
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_ends_a_range_and_begins_another() {
        let mut held = HeldOffsets::begin(5);
        held.move_to(20, 20);
        assert_eq!((held.ranges(20), held.ranges(4)), (vec![(5, 20)], vec![(5, 5)]));
        held.move_to(30, 10);
        held.move_to(12, 40);
        assert_eq!(held.ranges(50), [(5, 30), (10, 12), (40, 50)]);
        // Nothing was written in between.
        held.move_to(40, 60);
        assert_eq!((held.ranges(61), held.unsure()), (vec![(5, 30), (10, 12), (60, 61)], None));
    }

    #[test]
    fn the_oldest_of_many_ranges_are_not_sure_any_more() {
        let mut held = HeldOffsets::begin(0);
        (1..=ENDED_MAX as i64).for_each(|n| held.move_to(n * 10 - 5, n * 10));
        assert_eq!((held.ranges(999).len(), held.unsure()), (ENDED_MAX + 1, None));
        held.move_to(321, 330);
        held.move_to(331, 340);
        assert_eq!((held.ranges(999).len(), held.unsure()), (ENDED_MAX + 1, Some((0, 15))));
        assert_eq!(held.ranges(999)[0], (20, 25));
    }

    #[test]
    fn what_a_replaced_log_had_is_not_sure_any_more() {
        let mut held = HeldOffsets::begin(0);
        held.move_to(100, 50);
        held.replaced_from(70, 60);
        assert_eq!((held.ranges(80), held.unsure()), (vec![(0, 60), (50, 60), (60, 80)], Some((60, 100))));
        // A topic that was created anew.
        held.replaced_from(80, 0);
        assert_eq!((held.ranges(9), held.unsure()), (vec![(0, 9)], Some((0, 100))));
        // Its position is the very one at which the log was.
        let mut held = HeldOffsets::begin(0);
        held.replaced_from(0, 0);
        held.move_to(8, 4);
        held.replaced_from(4, 4);
        assert_eq!((held.ranges(6), held.unsure()), (vec![(0, 4), (4, 6)], Some((4, 8))));
        assert_eq!(HeldOffsets::begin_unknown(7).unsure(), Some((0, 7)));
    }

    #[test]
    fn two_journals_hold_what_they_wrote_one_after_the_other() {
        let mut first = HeldOffsets::begin(0);
        first.move_to(10, 5);
        let mut then = HeldOffsets::begin_unknown(8);
        then.move_to(20, 3);
        let joined = HeldOffsets::joined(&first, 8, &then);
        // The second one goes on where the first one ended.
        assert_eq!((joined.ranges(9), joined.unsure()), (vec![(0, 10), (5, 20), (3, 9)], Some((0, 8))));
        let apart = HeldOffsets::joined(&first, 6, &HeldOffsets::begin(8));
        assert_eq!(apart.ranges(9), [(0, 10), (5, 6), (8, 9)]);
    }

    #[test]
    fn what_is_held_is_read_as_it_was_written() {
        let mut many = HeldOffsets::begin_unknown(3);
        many.move_to(9, 1);
        for held in [HeldOffsets::begin(-1), HeldOffsets::begin_unknown(7), many] {
            let mut bytes = Vec::new();
            held.encode(&mut bytes);
            assert_eq!(HeldOffsets::decode(&bytes), Some(held));
            bytes.pop();
            assert_eq!(HeldOffsets::decode(&bytes), None);
        }
        assert_eq!(HeldOffsets::decode(&[FORM + 1; 9]), None);
    }
}
