//! A range that is announced but not completely written, and how much of it the file still holds after
//! another program or a person has handled the file.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};

use super::Piece;
use crate::logfile::disk::Handle;
use crate::logfile::journal::{Range, RangePart};

/// How many bytes after the range's place are searched for its last write.
const SEARCHED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct PendingRange {
    pub(super) range: Range,
    /// Its bytes.
    pub(super) part: RangePart,
    /// How many bytes of the range were seen in the file, at the range's place.
    seen: u64,
    /// How many bytes the last write had; they have not been looked for yet.
    unseen: u64,
    /// Whether it was logged that the file was moved away.
    pub(super) is_move_logged: bool,
}

impl PendingRange {
    pub(super) fn new(range: Range, part: RangePart) -> Self {
        Self { range, part, seen: 0, unseen: 0, is_move_logged: false }
    }

    /// How many bytes the file has taken.
    pub(super) fn written(&self) -> u64 {
        self.seen + self.unseen
    }

    pub(super) fn is_complete(&self) -> bool {
        self.unseen == 0 && self.part.from + self.seen == self.part.to
    }

    /// The length that the file has if nobody else has changed it.
    pub(super) fn expected_len(&self) -> u64 {
        self.part.from + self.written()
    }

    pub(super) fn record_write(&mut self, count: usize) {
        self.unseen += count as u64;
    }

    /// Records that this many bytes of the range are in the file, at its place.
    pub(super) fn record_seen(&mut self, seen: u64) {
        (self.seen, self.unseen) = (seen, 0);
    }

    /// Looks for the range's bytes in a file of this length.
    pub(super) fn find(&self, file: &Handle, len: u64, bytes: &[u8]) -> io::Result<Found> {
        let at_place = common_prefix(file, len, self.part.from, bytes)?;
        let last = if at_place < to_index(self.written()) {
            self.find_last(file, len, at_place, bytes)?
        } else {
            None
        };
        if last.is_none() && self.part.from.checked_add(at_place as u64) == Some(len) {
            return Ok(Found::Prefix(at_place as u64));
        }
        let kept = line_end(bytes, at_place);
        let mut torn = (at_place > kept).then(|| self.part.from + kept as u64);
        // If the last write is not found, the file holds nothing else of the range.
        let (mut from, mut to) = (kept, kept);
        if let Some(at) = last {
            let seen = to_index(self.seen);
            let end = seen + common_prefix(file, len, at, bytes.get(seen..).unwrap_or_default())?;
            let begins_line = line_end(bytes, seen) == seen && is_line_start(file, at)?;
            from = if begins_line { seen } else { next_line(bytes, seen).min(end) };
            to = line_end(bytes, end).max(from);
            if from > seen || end > to {
                torn = torn.or(Some(at));
            }
        }
        let (from, to) = (from.max(kept), to.max(kept));
        let mut left = bytes.get(kept..from).unwrap_or_default().to_vec();
        left.extend_from_slice(bytes.get(to..).unwrap_or_default());
        Ok(Found::Parts { left, torn })
    }

    /// Where the last write is, if it does not follow the bytes that were seen before.
    fn find_last(&self, file: &Handle, len: u64, at_place: usize, bytes: &[u8]) -> io::Result<Option<u64>> {
        let is_shorter = len < self.expected_len();
        let start = if is_shorter { 0 } else { self.part.from + at_place as u64 };
        let last = bytes.get(to_index(self.seen)..to_index(self.written())).unwrap_or_default();
        search(file, len, start, last)
    }
}

/// How much of a range is in its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The first bytes of the range, this many, are at the range's place, and the file ends there. The
    /// range can go on there.
    Prefix(u64),
    /// Whole lines of the range may be anywhere in the file.
    Parts {
        /// The lines that are not whole in the file.
        left: Vec<u8>,
        /// Where a part of a line begins that will never be completed.
        torn: Option<u64>,
    },
}

pub(super) fn to_index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The pieces from byte `from` on, at most as many as one system call takes.
pub(super) fn rest_of<'a>(pieces: &[Piece<'a>], from: u64) -> Vec<IoSlice<'a>> {
    const SLICES_MAX: usize = 256;
    let mut skip = to_index(from);
    let mut rest = Vec::new();
    for piece in pieces {
        match piece.bytes.get(skip..) {
            Some(bytes) if !bytes.is_empty() => {
                rest.push(IoSlice::new(bytes));
                skip = 0;
            }
            _ => skip -= piece.bytes.len().min(skip),
        }
        if rest.len() == SLICES_MAX {
            break;
        }
    }
    rest
}

/// The end of the last whole line among the first `count` bytes.
fn line_end(bytes: &[u8], count: usize) -> usize {
    let begun = bytes.get(..count).unwrap_or(bytes);
    begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// Where the line after the one at `from` begins.
fn next_line(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| from + at + 1)
}

fn is_line_start(file: &Handle, at: u64) -> io::Result<bool> {
    let Some(before) = at.checked_sub(1) else { return Ok(true) };
    Ok(read(file, at, before, 1)?.first() == Some(&b'\n'))
}

/// At most `count` bytes of a file of this length, from `at` on.
fn read(file: &Handle, len: u64, at: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; to_index(len.saturating_sub(at).min(count))];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// How many of these bytes are in the file from `at` on.
fn common_prefix(file: &Handle, len: u64, at: u64, bytes: &[u8]) -> io::Result<usize> {
    let there = read(file, len, at, bytes.len() as u64)?;
    Ok(there.iter().zip(bytes).take_while(|(there, byte)| there == byte).count())
}

/// Where these bytes are in the file, from `start` on.
fn search(file: &Handle, len: u64, start: u64, bytes: &[u8]) -> io::Result<Option<u64>> {
    let there = read(file, len, start, SEARCHED_BYTES_MAX + bytes.len() as u64)?;
    // The last match counts: the write came after all earlier changes of the file's length.
    let Some(first) = bytes.first() else { return Ok(None) };
    let mut end = there.len().checked_sub(bytes.len()).map_or(0, |last| last + 1);
    while let Some(at) = there.get(..end).unwrap_or_default().iter().rposition(|byte| byte == first) {
        if there.get(at..).is_some_and(|rest| rest.starts_with(bytes)) {
            return Ok(Some(start + at as u64));
        }
        end = at;
    }
    Ok(None)
}
