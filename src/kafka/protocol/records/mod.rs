//! Decodes the record sets of Fetch answers: message formats 0, 1 and 2 in one set, plain or
//! compressed. Pure: bytes in, records out.
//!
//! Nothing here trusts the bytes. Compressed bytes are decompressed piece by piece into a window
//! that grows no further than one record needs. So a set takes no more memory than its largest
//! record, whatever size it expands to.

mod aborted;
mod batch;
mod codec;
mod decode_error;
mod feed;
mod large;
mod message;
mod output;
mod set_entry;
#[cfg(test)]
mod tests;
mod window;

use std::ops::ControlFlow;

pub use decode_error::{DecodeError, DecodeErrorKind};
pub use large::{LargeRecord, unpack_large};
pub use set_entry::{Span, entry_end, epoch_starts, span, span_below};

use crate::record::Record;
use output::{DecodeStop, RecordOutput};
use set_entry::SetEntries;

/// The largest record that is decoded, in bytes.
pub const RECORD_BYTES_MAX: usize = 128 << 20;

/// One aborted transaction in the list of a Fetch answer (`AbortedTransaction` in
/// `FetchResponse.json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aborted {
    /// The offset of its first record in the partition.
    pub first_offset: i64,
    /// The id of its producer.
    pub producer: i64,
}

/// Buffers and codecs for [`decode`], kept from call to call, so that decoding allocates nothing
/// once they have their size.
#[derive(Debug, Default)]
pub struct Scratch {
    codecs: codec::Codecs,
    window: window::Window,
    filter: aborted::AbortedFilter,
}

/// How far a set was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// The offset to go on at: the one after the record at which `each` broke off, or else
    /// [`Span::next`].
    pub next: i64,
    /// Offset and fingerprint of the last record; of an earlier one if the last records of the last
    /// batch were left out.
    pub last: Option<(i64, u32)>,
}

/// Calls `each` for every record of the set at or above `from`, in order, until `each` breaks off. A cut
/// entry at the end is ignored.
///
/// `aborted` is the list of aborted transactions of the Fetch answer, in any order; their records are left
/// out. `None` delivers them (`read_uncommitted`). Control batches are never delivered. The list counts
/// from the beginning of the answer, so `set` must begin there, even if `from` is far into the set; see
/// [`still_aborted`].
///
/// # Errors
/// The set cannot be decoded to its end. The records before the fault were delivered.
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

/// The list of aborted transactions for the rest of a Fetch answer, if the rest is decoded by itself;
/// `passed` holds the entries before the rest. A transaction is over after its marker, and its producer's
/// next transaction may have been committed.
///
/// # Errors
/// A batch in `passed` is malformed; `next` is the offset at which it begins.
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
