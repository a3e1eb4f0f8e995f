//! The places where an outcome can be cut, so that the log file ends at the size at which it is rotated.

/// Cuts are at most this many bytes apart, unless a single record is longer.
const CUT_BYTES: usize = 4096;

/// A place between two records of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cut {
    /// Bytes of lines before the cut.
    pub(super) bytes: usize,
    /// Offset of the record after the cut.
    pub(super) next: i64,
    /// Records with lines before the cut.
    pub(super) records: u64,
    /// Records without lines before the cut.
    pub(super) filtered: u64,
}

/// Collects the cuts of an outcome while its lines are made.
#[derive(Debug)]
pub(super) struct CutList {
    pub(super) cuts: Vec<Cut>,
    /// The end of the last record.
    end: Cut,
    is_on: bool,
}

impl CutList {
    pub(super) fn new(is_on: bool) -> Self {
        Self { cuts: Vec::new(), end: Cut::default(), is_on }
    }

    /// Records the end of a record's line, or of a record without one.
    pub(super) fn record(&mut self, end: Cut) {
        let before = std::mem::replace(&mut self.end, end);
        let begin = self.cuts.last().map_or(0, |cut| cut.bytes);
        if self.is_on && end.bytes - begin > CUT_BYTES && before.bytes > begin {
            self.cuts.push(before);
        }
    }
}
