//! The entries of a record set, by their headers alone: messages of format 0 and 1, plain or as
//! wrappers of others, and batches of format 2. Each begins with an offset and a size, and has the
//! number of its format (magic) at the same place.

use super::decode_error::{DecodeError, DecodeErrorKind};
use crate::record::EpochStart;

/// The bytes of offset and size. The size does not count them.
pub(super) const FRAMING_BYTES: usize = 12;
/// The least size of an entry of format 0, 1 and 2: CRC, magic, attributes, timestamp and two
/// lengths; in format 2 the header of a batch.
const ENTRY_SIZES_MIN: [usize; 3] = [14, 22, 49];

/// One complete element of a record set: a batch, a message, or a message that wraps others.
#[derive(Debug, Clone, Copy)]
pub(super) struct SetEntry<'a> {
    /// The offset in its framing: the base offset of a batch, the offset of a message, the last
    /// offset of a wrapper.
    pub(super) offset: i64,
    /// The offset of its last record, even if compaction removed that record.
    pub(super) last: i64,
    /// Its format: 0, 1 or 2.
    pub(super) magic: u8,
    /// All its bytes, framing included.
    pub(super) bytes: &'a [u8],
}

/// Walks the entries of a set. It ends at the end of the set, before a cut entry, and after the
/// first malformed one.
#[derive(Debug, Clone)]
pub(super) struct SetEntries<'a> {
    rest: &'a [u8],
    /// The least offset that the next entry may have, because offsets ascend.
    floor: i64,
    /// The offset below which all entries lie.
    end: i64,
    /// The whole length of the cut entry in bytes.
    cut: Option<usize>,
}

impl<'a> SetEntries<'a> {
    pub(super) fn new(set: &'a [u8]) -> Self {
        Self::below(set, i64::MAX)
    }

    /// No entry reaches this offset, because the log ends there. The checksum of a batch does not cover its
    /// offset.
    fn below(set: &'a [u8], end: i64) -> Self {
        Self { rest: set, floor: 0, end, cut: None }
    }

    /// After the walk: the whole length of the cut entry in bytes, if its size field is there.
    fn cut(&self) -> Option<usize> {
        self.cut
    }

    fn next_entry(&mut self) -> Result<Option<SetEntry<'a>>, DecodeErrorKind> {
        let Some((framing, behind)) = self.rest.split_first_chunk::<FRAMING_BYTES>() else { return Ok(None) };
        let magic = behind.get(4).copied();
        if let Some(magic) = magic
            && magic > 2
        {
            return Err(DecodeErrorKind::Format(magic));
        }
        // The size is not compared with the least size of the format here, because a broker that cannot
        // convert a batch sends a stub in its place. The stub's size field may be below the least size,
        // but always exceeds the bytes that follow.
        let whole = FRAMING_BYTES.saturating_add(size_field(framing)?);
        let (Some(magic), Some((bytes, rest))) = (magic, self.rest.split_at_checked(whole)) else {
            self.cut = Some(whole);
            return Ok(None);
        };
        entry_len(framing, magic)?;
        let offset = i64::from_be_bytes(field_at(framing, 0)?);
        let last = if magic == 2 {
            let delta = i32::from_be_bytes(field_at(bytes, 23)?);
            if delta < 0 {
                return Err(DecodeErrorKind::Malformed("a batch ends before it begins"));
            }
            offset.checked_add(i64::from(delta))
        } else {
            Some(offset)
        };
        // `last + 1`, the offset to go on at, must not overflow.
        let last = last
            .filter(|last| *last < i64::MAX)
            .ok_or(DecodeErrorKind::Malformed("an offset is too high"))?;
        if offset < self.floor {
            return Err(DecodeErrorKind::Malformed("offsets do not ascend"));
        }
        if last >= self.end {
            return Err(DecodeErrorKind::Malformed(
                "an offset lies beyond the end of the log, so the header of its batch is damaged",
            ));
        }
        self.floor = last + 1;
        self.rest = rest;
        Ok(Some(SetEntry { offset, last, magic, bytes }))
    }
}

impl<'a> Iterator for SetEntries<'a> {
    type Item = Result<SetEntry<'a>, DecodeErrorKind>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.next_entry().transpose();
        if !matches!(taken, Some(Ok(_))) {
            self.rest = &[];
        }
        taken
    }
}

/// The whole length in bytes of the entry with this framing, checked by its format.
pub(super) fn entry_len(framing: &[u8], magic: u8) -> Result<usize, DecodeErrorKind> {
    let size = size_field(framing)?;
    let least = ENTRY_SIZES_MIN.get(usize::from(magic)).copied().ok_or(DecodeErrorKind::Format(magic))?;
    if size < least {
        return Err(DecodeErrorKind::Malformed("an entry is smaller than its header"));
    }
    Ok(size.saturating_add(FRAMING_BYTES))
}

fn size_field(framing: &[u8]) -> Result<usize, DecodeErrorKind> {
    let size = i32::from_be_bytes(field_at(framing, 8)?);
    usize::try_from(size).map_err(|_| DecodeErrorKind::Malformed("an entry's size is negative"))
}

/// The field at this place of a header.
pub(super) fn field_at<const N: usize>(header: &[u8], place: usize) -> Result<[u8; N], DecodeErrorKind> {
    let field = header.get(place..).and_then(|from| from.first_chunk::<N>());
    field.copied().ok_or(DecodeErrorKind::Malformed("an entry is smaller than its header"))
}

/// The whole entries of a record set, by their headers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The offset to request next: the one after the last whole entry, and never below the
    /// requested one.
    pub next: i64,
    /// The base offset of the first whole entry, if it is of format 2; otherwise the requested
    /// offset.
    pub base: i64,
    /// How many bytes of the set the whole entries take.
    pub bytes: usize,
    /// How many whole entries there are.
    pub entries: usize,
    /// If not even the first entry is whole: its whole length in bytes, provided that its size
    /// field is there.
    pub cut: Option<usize>,
}

/// The offset behind the entry that holds the record at `at`, or behind the next one, by the headers alone.
/// `None` if there is no such entry.
pub fn entry_end(set: &[u8], at: i64) -> Option<i64> {
    let mut lasts = SetEntries::new(set).map_while(Result::ok).map(|entry| entry.last);
    lasts.find(|last| *last >= at).map(|last| last + 1)
}

/// The leader epochs of the whole entries of a set from this offset on, and where each begins; -1 where a
/// format has none. A malformed entry ends the walk.
pub fn epoch_starts(set: &[u8], from: i64) -> Vec<EpochStart> {
    let mut starts: Vec<EpochStart> = Vec::new();
    for entry in SetEntries::new(set).map_while(Result::ok).filter(|entry| entry.last >= from) {
        let epoch = match entry.magic {
            2 => field_at(entry.bytes, FRAMING_BYTES).map_or(-1, i32::from_be_bytes),
            _ => -1,
        };
        if starts.last().is_none_or(|last| last.epoch != epoch) {
            starts.push(EpochStart { epoch, from: entry.offset.max(from) });
        }
    }
    starts
}

/// Finds the whole entries of a set. Nothing is decompressed, and no checksum is computed.
///
/// A malformed entry after a whole one ends the span: the entries before it are good, and the next
/// answer begins with it.
///
/// # Errors
/// The first entry is malformed; `next` is then the requested offset.
pub fn span(set: &[u8], from: i64) -> Result<Span, DecodeError> {
    span_below(set, from, i64::MAX)
}

/// As [`span`], for a log that ends before this offset: an entry that reaches it is malformed.
///
/// # Errors
/// As of [`span`].
pub fn span_below(set: &[u8], from: i64, end: i64) -> Result<Span, DecodeError> {
    let mut entries = SetEntries::below(set, end);
    let mut span = Span { next: from, base: from, bytes: 0, entries: 0, cut: None };
    for entry in entries.by_ref() {
        match entry {
            Ok(entry) => {
                if span.entries == 0 && entry.magic == 2 {
                    span.base = entry.offset;
                }
                span.next = span.next.max(entry.last + 1);
                span.bytes += entry.bytes.len();
                span.entries += 1;
            }
            Err(why) if span.entries == 0 => return Err(DecodeError { next: from, why }),
            Err(_) => break,
        }
    }
    span.cut = entries.cut().filter(|_| span.entries == 0);
    Ok(span)
}
