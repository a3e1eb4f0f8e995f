//! The entries of a record set, by their headers alone: messages of format 0 and 1,
//! plain or wrapping others, and batches of format 2. All begin with an offset and a
//! size, and have the number of their format at the same place.

use super::decode_error::{DecodeError, DecodeErrorKind};

/// Offset and size, which the size does not count.
pub(super) const FRAMING_BYTES: usize = 12;
/// The least size of an entry of each format: CRC, magic, attributes, timestamp, two
/// lengths; and a batch's header.
const ENTRY_SIZES_MIN: [usize; 3] = [14, 22, 49];

/// One whole entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct SetEntry<'a> {
    /// Its first bytes' offset: a batch's base, a message's own, a wrapper's last.
    pub(super) offset: i64,
    /// The offset of the last record in it, also where compaction took that.
    pub(super) last: i64,
    /// Its format: 0, 1 or 2.
    pub(super) magic: u8,
    /// All of it, framing included.
    pub(super) bytes: &'a [u8],
}

/// Walks the entries of a set; ends where they end or where one is cut, and after the
/// first that is malformed.
#[derive(Debug, Clone)]
pub(super) struct SetEntries<'a> {
    rest: &'a [u8],
    /// Offsets ascend: none may be below.
    floor: i64,
    /// How many bytes the entry that is cut has in all.
    cut: Option<usize>,
}

impl<'a> SetEntries<'a> {
    pub(super) fn new(set: &'a [u8]) -> Self {
        Self { rest: set, floor: 0, cut: None }
    }

    /// Once it has ended: how many bytes the entry that is cut has in all, if that much
    /// of it is there that it says so.
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
        // Not the least size: what a broker sends in the place of what it cannot convert
        // may say less, but always more than is there.
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
        // The one above the last must be an offset too.
        let last = last
            .filter(|last| *last < i64::MAX)
            .ok_or(DecodeErrorKind::Malformed("an offset is too high"))?;
        if offset < self.floor {
            return Err(DecodeErrorKind::Malformed("offsets do not ascend"));
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

/// How many bytes the entry that begins so has in all, by its format.
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

/// Which entries of a record set are whole, by their headers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The offset to ask for next: one above the last whole entry's last, never below
    /// the one asked for.
    pub next: i64,
    /// The first offset of the first whole entry, as far as its header tells: in format 2,
    /// otherwise the offset asked for.
    pub base: i64,
    /// How many bytes of the set the whole entries take.
    pub bytes: usize,
    /// How many there are.
    pub entries: usize,
    /// Where not even one is whole: how many bytes the first has in all, if so much of
    /// it came that it says so.
    pub cut: Option<usize>,
}

/// Looks which entries of a set are whole; nothing is decompressed, no checksum computed.
///
/// Ends at an entry that is malformed too, if one before it is whole: those before it
/// are good, and the next answer begins with it.
///
/// # Errors
/// The first entry is malformed; `next` is then the offset asked for.
pub fn span(set: &[u8], from: i64) -> Result<Span, DecodeError> {
    let mut entries = SetEntries::new(set);
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
