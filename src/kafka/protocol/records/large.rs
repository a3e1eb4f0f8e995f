//! A large compressed record that is alone in its set. It is decompressed whole before it is
//! delivered, so that the compressed bytes can be freed before its line takes memory, too.

use std::ops::ControlFlow;

use super::batch::{Batch, record, record_len};
use super::decode_error::{DecodeError, DecodeErrorKind};
use super::feed::Feed;
use super::output::{DecodeStop, RecordOutput};
use super::set_entry::{SetEntries, SetEntry};
use super::{Aborted, Decoded, Scratch};
use crate::record::Record;

/// Smaller sets are not worth it, in bytes.
const LARGE_SET_BYTES_MIN: usize = 4 << 20;

/// A record whose bytes are in the window of the [`Scratch`], and what its batch says of it.
pub struct LargeRecord {
    batch: Batch<'static>,
    /// The last offset of the batch.
    last: i64,
    len: usize,
}

/// Decompresses the record, if the set holds a single one and is large. `None` for any other set, and
/// for one that is broken: [`super::decode`] reads the one and says what is wrong with the other.
pub fn unpack_large(
    set: &[u8],
    from: i64,
    aborted: Option<&[Aborted]>,
    scratch: &mut Scratch,
) -> Option<LargeRecord> {
    if set.len() < LARGE_SET_BYTES_MIN || aborted.is_some_and(|aborted| !aborted.is_empty()) {
        return None;
    }
    let mut entries = SetEntries::new(set);
    let entry = entries.next()?.ok().filter(|entry| entry.magic == 2 && entry.last >= from)?;
    if entries.next().is_some() {
        return None;
    }
    let unpacked = unpack(&entry, scratch);
    unpacked.ok().flatten()
}

fn unpack(entry: &SetEntry<'_>, scratch: &mut Scratch) -> Result<Option<LargeRecord>, DecodeErrorKind> {
    let batch = Batch::read(entry)?;
    if batch.codec() == 0 || batch.count != 1 || batch.is_control() {
        return Ok(None);
    }
    scratch.window.clear();
    let compressed = scratch.codecs.open(batch.codec(), entry, batch.records)?;
    let mut feed = Feed::Through(compressed, &mut scratch.window);
    let len = record_len(&mut feed)?;
    feed.require(len)?;
    while feed.bytes().len() == len {
        if !feed.decompress_more()? {
            return Ok(Some(LargeRecord { batch: batch.without_records(), last: entry.last, len }));
        }
    }
    // More bytes than records.
    Ok(None)
}

impl LargeRecord {
    /// Does what [`super::decode`] does. The scratch is the one of [`unpack_large`], and nothing else was
    /// decoded with it since.
    ///
    /// # Errors
    /// The bytes are no record.
    pub fn deliver(
        &self,
        from: i64,
        scratch: &mut Scratch,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Decoded, DecodeError> {
        let mut out = RecordOutput::new(from, each);
        out.begin_entry(&SetEntry { offset: self.batch.base, last: self.last, magic: 2, bytes: &[] });
        let bytes = scratch.window.bytes().get(..self.len).unwrap_or_default();
        let read = record(&self.batch, bytes).map_err(DecodeStop::from);
        let done = read.and_then(|record| out.deliver(&record, true));
        if done.is_ok() {
            out.end_entry();
        }
        let ended = match done {
            Ok(()) | Err(DecodeStop::Enough) => Ok(Decoded { next: out.next, last: out.last }),
            Err(DecodeStop::Broken(why)) => Err(DecodeError { next: out.next, why }),
        };
        scratch.window.shrink();
        scratch.codecs.shrink();
        ended
    }
}
