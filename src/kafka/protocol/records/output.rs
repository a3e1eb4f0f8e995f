//! What leaves the decoder: records in order, each once, none below the offset asked for.

use std::ops::ControlFlow;

use super::decode_error::DecodeErrorKind;
use super::set_entry::SetEntry;
use crate::record::Record;

/// Why decoding stopped before the end of the set.
#[derive(Debug)]
pub(super) enum DecodeStop {
    /// The caller has had enough.
    Enough,
    /// It cannot be read on.
    Broken(DecodeErrorKind),
}

impl From<DecodeErrorKind> for DecodeStop {
    fn from(why: DecodeErrorKind) -> Self {
        Self::Broken(why)
    }
}

/// See the module.
pub(super) struct RecordOutput<'a> {
    /// The offset to go on at: what is below was delivered, or is not to be.
    pub(super) next: i64,
    /// Offsets that a record of the entry may have.
    lowest: i64,
    highest: i64,
    /// Offset and fingerprint of the last record that was given at an entry's end.
    pub(super) last: Option<(i64, u32)>,
    each: &'a mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
}

impl<'a> RecordOutput<'a> {
    pub(super) fn new(from: i64, each: &'a mut dyn FnMut(&Record<'_>) -> ControlFlow<()>) -> Self {
        Self { next: from, lowest: 0, highest: -1, last: None, each }
    }

    /// At the beginning of an entry, whose records follow.
    pub(super) fn begin_entry(&mut self, entry: &SetEntry<'_>) {
        self.lowest = self.highest + 1;
        if entry.magic == 2 {
            self.lowest = self.lowest.max(entry.offset);
        }
        self.highest = entry.last;
    }

    /// At its end: what it has no record for, compaction or a control batch took.
    pub(super) fn end_entry(&mut self) {
        self.next = self.next.max(self.highest.saturating_add(1));
    }

    /// Whether nothing at or below this offset is wanted.
    pub(super) fn is_below_next(&self, offset: i64) -> bool {
        offset < self.next
    }

    /// A record of the entry; `ends`: it may be its last. Fingerprints cost, so only
    /// such ones get one.
    ///
    /// Its offset must be one that the entry may have, and above the one before it:
    /// what is written once per offset could not be told apart otherwise.
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
