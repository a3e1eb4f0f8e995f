//! The order of a partition's lines in the files of one host: offsets must rise. They fall only where the
//! journal says that the partition was set to an earlier offset; if files are written side by side, in each
//! of them.

use std::collections::BTreeMap;

/// How many breaks of the order are kept of a partition.
const BREAKS_MAX: usize = 1000;

/// A line that stands behind one of a later record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrderBreak {
    /// The offset of the line before.
    pub(super) after: i64,
    pub(super) offset: i64,
    /// The file, and the byte at which the line begins.
    pub(super) place: (usize, u64),
}

/// Sees the lines of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct OrderCheck {
    last: Option<i64>,
    /// The lowest offset.
    pub(super) first: Option<i64>,
    breaks: Vec<OrderBreak>,
    /// Breaks that are not kept.
    more: u64,
}

impl OrderCheck {
    pub(super) fn take(&mut self, offset: i64, place: (usize, u64)) {
        // The same offset again is a line that is there twice, which is found otherwise.
        if let Some(after) = self.last.filter(|last| *last > offset) {
            if self.breaks.len() < BREAKS_MAX {
                self.breaks.push(OrderBreak { after, offset, place });
            } else {
                self.more += 1;
            }
        }
        self.last = Some(offset);
        self.first = Some(self.first.map_or(offset, |first| first.min(offset)));
    }

    /// What follows may be lines of before those that were seen.
    pub(super) fn begin_anew(&mut self) {
        self.last = None;
    }

    /// The breaks that no step back in the ranges explains, and how many more there are. `written`: the
    /// ranges of this host, in the order in which they were written. `is_sequence`: whether the files follow
    /// each other.
    pub(super) fn unexplained(self, written: &[(i64, i64)], is_sequence: bool) -> (Vec<OrderBreak>, u64) {
        let mut files: BTreeMap<usize, Vec<OrderBreak>> = BTreeMap::new();
        for one in self.breaks {
            let file = if is_sequence { 0 } else { one.place.0 };
            files.entry(file).or_default().push(one);
        }
        let unexplained = files.into_values().flat_map(|breaks| unexplained(breaks, written));
        (unexplained.collect(), self.more)
    }
}

/// The breaks that no step back explains, of files that follow each other, or of one file.
fn unexplained(mut breaks: Vec<OrderBreak>, written: &[(i64, i64)]) -> Vec<OrderBreak> {
    let steps = written.iter().zip(written.get(1..).unwrap_or_default());
    let mut highest = i64::MIN;
    for ((_, end), (from, _)) in steps {
        highest = highest.max(*end);
        if from >= end {
            continue;
        }
        // Transactions, compaction and filters leave offsets out, so the nearest break is the one. It
        // leads from what was written before the step to what was written behind it.
        let distance = |one: &OrderBreak| end.abs_diff(one.after + 1) + from.abs_diff(one.offset);
        let is_over = |one: &OrderBreak| one.offset >= *from && one.after < highest;
        let nearest = breaks.iter().enumerate().filter(|(_, one)| is_over(one));
        if let Some((at, _)) = nearest.min_by_key(|(_, one)| distance(one)) {
            breaks.remove(at);
        }
    }
    breaks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaks(offsets: &[i64], written: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let mut check = OrderCheck::default();
        offsets.iter().enumerate().for_each(|(at, offset)| check.take(*offset, (0, at as u64)));
        check.unexplained(written, true).0.iter().map(|one| (one.after, one.offset)).collect()
    }

    #[test]
    fn only_a_reset_explains_that_offsets_fall() {
        let whole = [(0, 9)];
        assert_eq!(breaks(&[0, 2, 3, 3, 8], &whole), []);
        assert_eq!(breaks(&[0, 1, 3, 2, 4], &whole), [(3, 2)]);
        let reset = [(0, 9), (4, 12)];
        assert_eq!(breaks(&[0, 5, 7, 4, 5, 11], &reset), []);
        assert_eq!(breaks(&[0, 6, 5, 7, 4, 5, 11], &reset), [(6, 5)]);
        assert_eq!(breaks(&[0, 5, 7, 4, 11, 8], &reset), [(11, 8)]);
        // A step over which no line has fallen explains no other place. Here 85 to 99 have no lines.
        assert_eq!(breaks(&[0, 84, 100, 151, 150], &[(0, 100), (85, 200)]), [(151, 150)]);
        // Nothing was written between two steps.
        assert_eq!(breaks(&[0, 99, 20, 30], &[(0, 100), (50, 60), (20, 31)]), []);
        // A step forward explains nothing.
        assert_eq!(breaks(&[0, 3, 9, 8, 10], &[(0, 4), (8, 12)]), [(9, 8)]);
    }

    #[test]
    fn breaks_beyond_the_kept_ones_are_counted() {
        let mut check = OrderCheck::default();
        (0..3000).for_each(|n| check.take(5000 - n, (0, 0)));
        let (kept, more) = check.unexplained(&[], true);
        assert_eq!((kept.len(), more), (BREAKS_MAX, 2999 - BREAKS_MAX as u64));
    }
}
