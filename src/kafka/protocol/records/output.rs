//! Hands decoded records to the caller: in order, each once, and none below the requested offset.

use std::ops::ControlFlow;

use super::decode_error::DecodeErrorKind;
use super::set_entry::SetEntry;
use crate::record::Record;

/// Why decoding stopped before the end of the set.
#[derive(Debug)]
pub(super) enum DecodeStop {
    /// The caller broke off.
    Enough,
    /// The rest cannot be decoded.
    Broken(DecodeErrorKind),
}

impl From<DecodeErrorKind> for DecodeStop {
    fn from(why: DecodeErrorKind) -> Self {
        Self::Broken(why)
    }
}

/// The caller's function, and how far it was served.
pub(super) struct RecordOutput<'a> {
    /// The offset to go on at. Records below it were delivered or are left out.
    pub(super) next: i64,
    /// The range of offsets that the next record of the entry may have.
    lowest: i64,
    highest: i64,
    /// Offset and fingerprint of the last record that was delivered at the end of an entry.
    pub(super) last: Option<(i64, u32)>,
    each: &'a mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
}

impl<'a> RecordOutput<'a> {
    pub(super) fn new(from: i64, each: &'a mut dyn FnMut(&Record<'_>) -> ControlFlow<()>) -> Self {
        Self { next: from, lowest: 0, highest: -1, last: None, each }
    }

    /// Begins an entry, whose records follow.
    pub(super) fn begin_entry(&mut self, entry: &SetEntry<'_>) {
        self.lowest = self.highest + 1;
        if entry.magic == 2 {
            self.lowest = self.lowest.max(entry.offset);
        }
        self.highest = entry.last;
    }

    /// Ends an entry. Offsets for which it has no record are skipped: compaction removed them, or
    /// they belong to a control batch.
    pub(super) fn end_entry(&mut self) {
        self.next = self.next.max(self.highest.saturating_add(1));
    }

    /// Whether this offset, and all below it, need not be delivered.
    pub(super) fn is_below_next(&self, offset: i64) -> bool {
        offset < self.next
    }

    /// Delivers a record of the entry; `ends` says that it may be the last one. Only such records
    /// get a fingerprint, because that costs time.
    ///
    /// The offset must be one that the entry may have, and above that of the record before.
    /// Otherwise two records with one offset could not be told apart in the log file.
    pub(super) fn deliver(&mut self, record: &Record<'_>, ends: bool) -> Result<(), DecodeStop> {
        if record.offset < self.lowest || record.offset > self.highest {
            return Err(DecodeErrorKind::Malformed("offsets do not ascend").into());
        }
        self.lowest = record.offset + 1;
        if self.is_below_next(record.offset) {
            return Ok(());
        }
        self.next = record.offset + 1;
        let flow = (self.each)(record);
        if ends || flow.is_break() {
            self.last = Some((record.offset, record.fingerprint()));
        }
        if flow.is_break() { Err(DecodeStop::Enough) } else { Ok(()) }
    }
}
