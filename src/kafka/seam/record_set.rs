//! The records of one partition as a broker sent these, not decoded yet.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, PoisonError};

use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::records::{self, Aborted, DecodeError, DecodeErrorKind, Decoded, Scratch};
use crate::record::Record;

/// A record set in a frame that several partitions share.
pub struct RecordSet {
    /// `None` once the set is decompressed and the frame is not needed any more.
    frame: Mutex<Option<Arc<Frame>>>,
    /// The range of the frame; only whole entries.
    set: Range<usize>,
    /// The aborted transactions in the set; `None` if their records are delivered, too.
    aborted: Option<Vec<Aborted>>,
}

impl RecordSet {
    pub(in crate::kafka) fn new(
        frame: &Arc<Frame>,
        set: Range<usize>,
        aborted: Option<Vec<Aborted>>,
    ) -> Self {
        Self { frame: Mutex::new(Some(Arc::clone(frame))), set, aborted }
    }

    /// The offset behind the batch that holds the record at `at`; `None` if that is not known.
    pub(super) fn batch_end(&self, at: i64) -> Option<i64> {
        let frame = self.frame.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        records::entry_end(frame.bytes().get(self.set.clone())?, at)
    }

    /// A message without a key, as brokers before 0.10 stored it.
    #[cfg(test)]
    pub(crate) fn message_for_test(offset: i64, value: &[u8]) -> Vec<u8> {
        let length = i32::try_from(value.len()).unwrap().to_be_bytes();
        let checked = [[0; 2].as_slice(), &(-1_i32).to_be_bytes(), &length, value].concat();
        let size = i32::try_from(checked.len() + 4).unwrap().to_be_bytes();
        let crc = crc32fast::hash(&checked).to_be_bytes();
        [offset.to_be_bytes().as_slice(), &size, &crc, &checked].concat()
    }

    /// All of these bytes, without transactions.
    #[cfg(test)]
    pub(crate) fn for_test(set: &[u8]) -> Self {
        let (mut frame, mut rest) = (Frame::default(), set);
        frame.fill(set.len(), |room| std::io::Read::read(&mut rest, room)).unwrap();
        Self::new(&Arc::new(frame), 0..set.len(), None)
    }

    pub(super) fn decode(
        &self,
        from: i64,
        scratch: &mut Scratch,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Decoded, DecodeError> {
        let held = || self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        // The worker panicked after the frame was freed. What cannot be decoded is fetched again.
        let gone = DecodeErrorKind::Malformed("they were freed before an internal error");
        let frame = held().clone().ok_or(DecodeError { next: from, why: gone })?;
        let set = frame.bytes().get(self.set.clone()).unwrap_or_default();
        let aborted = self.aborted.as_deref();
        let Some(large) = records::unpack_large(set, from, aborted, scratch) else {
            return records::decode(set, from, aborted, scratch, each);
        };
        drop(frame);
        *held() = None;
        large.deliver(from, scratch, each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set with one record of five MiB, which snappy does not make smaller.
    fn large_set() -> Vec<u8> {
        let mut dice = fastrand::Rng::with_seed(5);
        let value: Vec<u8> = std::iter::repeat_with(|| dice.u8(..)).take(5 << 20).collect();
        // Attributes, deltas of timestamp and offset, no key; then the value, and no headers. The
        // numbers are varints.
        let length = |mut number: usize| {
            let mut bytes = Vec::new();
            while number >= 0x80 {
                bytes.push(number as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
            bytes
        };
        let body = [&[0, 0, 0, 1], length(value.len() * 2).as_slice(), &value, &[0]].concat();
        let records = [length(body.len() * 2), body].concat();
        let mut checked = [[0, 2].as_slice(), &[0; 4], &[0; 16], &[0xff; 14], &1_i32.to_be_bytes()].concat();
        checked.extend(snap::raw::Encoder::new().compress_vec(&records).unwrap());
        let framing = [0_i64.to_be_bytes().as_slice(), &(checked.len() as i32 + 9).to_be_bytes()].concat();
        [framing.as_slice(), &[0, 0, 0, 7, 2], &crc32c::crc32c(&checked).to_be_bytes(), &checked].concat()
    }

    #[test]
    fn the_frame_of_a_large_record_is_freed_before_its_line_is_made() {
        let (set, mut frame) = (large_set(), Frame::default());
        let mut rest = set.as_slice();
        frame.fill(set.len(), |room| std::io::Read::read(&mut rest, room)).unwrap();
        let frame = Arc::new(frame);
        let freed = Arc::downgrade(&frame);
        let set = RecordSet::new(&frame, 0..set.len(), None);
        drop(frame);
        let (mut scratch, mut held) = (Scratch::default(), Vec::new());
        let mut decode = || {
            set.decode(0, &mut scratch, &mut |record| {
                held.push((record.value.map(<[u8]>::len), freed.strong_count()));
                ControlFlow::Continue(())
            })
        };
        assert_eq!(decode().map(|decoded| decoded.next), Ok(1));
        // As after a panic.
        assert_eq!(decode().map_err(|error| error.next), Err(0));
        assert_eq!(held, [(Some(5 << 20), 0)]);
    }
}
