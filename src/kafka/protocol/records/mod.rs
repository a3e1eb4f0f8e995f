//! Record sets as a Fetch answer has them, made into records: message formats 0, 1 and
//! 2 in one set, plain or compressed. Pure: bytes in, records out.
//!
//! Nothing here trusts the bytes. What is compressed is decompressed piece by piece
//! into a window that grows no further than one record needs, so that a set takes no
//! more memory than its largest record, whatever it expands to.

mod aborted;
mod batch;
mod codec;
mod decode_error;
mod feed;
mod message;
mod output;
mod set_entry;
#[cfg(test)]
mod tests;
mod window;

use std::ops::ControlFlow;

pub use decode_error::{DecodeError, DecodeErrorKind};
pub use set_entry::{Span, span};

use crate::record::Record;
use output::{DecodeStop, RecordOutput};
use set_entry::SetEntries;

/// The largest record that is taken into memory, in bytes.
pub const RECORD_BYTES_MAX: usize = 128 << 20;

/// A transaction that was aborted, as a Fetch answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aborted {
    /// The offset of its first record in the partition.
    pub first_offset: i64,
    /// Whose it was: the producer's id.
    pub producer: i64,
}

/// What decoding needs beside the set; kept from call to call, so that it allocates
/// nothing once it has its size.
#[derive(Debug, Default)]
pub struct Scratch {
    codecs: codec::Codecs,
    window: window::Window,
    filter: aborted::AbortedFilter,
}

/// How far a set was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// The offset to go on at: one above the record that `each` broke at, or else
    /// [`Span::next`].
    pub next: i64,
    /// Offset and fingerprint of the last record; of one before it where the set ends
    /// in a batch whose last records are not wanted.
    pub last: Option<(i64, u32)>,
}

/// Calls `each` for every record of the set at or above `from`, in order, until it
/// breaks. A cut entry at the end is left alone.
///
/// `aborted` lists the aborted transactions that the Fetch answer told of, in any order;
/// their records are left out. `None` delivers them (`read_uncommitted`). Control batches
/// are never delivered. The list is that of the whole answer, so `set` must begin where
/// the answer began, also when `from` is well behind it; see [`still_aborted`].
///
/// # Errors
/// The set cannot be read on; what came before was delivered.
pub fn decode(
    set: &[u8],
    from: i64,
    aborted: Option<&[Aborted]>,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<Decoded, DecodeError> {
    let mut out = RecordOutput::new(from, each);
    scratch.filter.start(aborted);
    let done = entries(set, scratch, &mut out);
    scratch.window.shrink();
    scratch.codecs.shrink();
    match done {
        Ok(()) | Err(DecodeStop::Enough) => Ok(Decoded { next: out.next, last: out.last }),
        Err(DecodeStop::Broken(why)) => Err(DecodeError { next: out.next, why }),
    }
}

fn entries(set: &[u8], scratch: &mut Scratch, out: &mut RecordOutput<'_>) -> Result<(), DecodeStop> {
    let Scratch { codecs, window, filter } = scratch;
    for entry in SetEntries::new(set) {
        let entry = entry?;
        out.begin_entry(&entry);
        match entry.magic {
            2 => batch::decode(&entry, filter, codecs, window, out)?,
            _ => message::decode(&entry, codecs, window, out)?,
        }
        out.end_entry();
    }
    Ok(())
}

/// What is left of a Fetch answer's list of aborted transactions behind these entries
/// from its beginning: the list for the rest of the answer, where that is decoded by
/// itself. Behind its marker a transaction is over, and its producer's next one good.
///
/// # Errors
/// A batch among them is malformed; `next` is the offset that it begins at.
pub fn still_aborted(passed: &[u8], aborted: &[Aborted]) -> Result<Vec<Aborted>, DecodeError> {
    let mut filter = aborted::AbortedFilter::default();
    filter.start(Some(aborted));
    let mut next = 0;
    for entry in SetEntries::new(passed) {
        let entry = entry.map_err(|why| DecodeError { next, why })?;
        if entry.magic == 2 {
            batch::skip(&entry, &mut filter).map_err(|why| DecodeError { next, why })?;
        }
        next = entry.last + 1;
    }
    Ok(filter.remaining())
}
