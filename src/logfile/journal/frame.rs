//! How entries stand in a half.
//!
//! ```text
//! frame   CRC 4 | length 4 | position 4 | payload
//! ```
//!
//! The CRC covers the half's generation and everything that follows in the frame, so a frame that an
//! earlier generation left is never read. The position is the frame's place in its half: with it a reader
//! finds the next whole frame after damage. Unused space is filled with non-zero bytes with which no frame
//! begins, so that lost pages are distinguished from the end.

#[cfg(test)]
mod tests;

use std::io;

use super::JournalEntry;
use super::header::HALF_HEADER_BYTES;

pub(super) const FRAME_HEADER_BYTES: usize = 12;
/// The byte that fills unused space.
pub(super) const FILL: u8 = 0xff;
/// No entry has so many bytes one behind the other that look unused.
const UNUSED_BYTES: usize = 64;
/// The smallest piece that the kernel writes, or loses, as a whole.
const PAGE_BYTES: usize = 4096;

/// Bytes of a half that are not a whole frame and stand where one must be, up to the next whole
/// frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logfile) struct Hole {
    pub(in crate::logfile) from: u64,
    pub(in crate::logfile) to: u64,
}

/// What a half holds.
#[derive(Debug, Default)]
pub(in crate::logfile) struct HalfContents {
    /// The whole frames, and where each begins.
    pub(in crate::logfile) entries: Vec<(u64, JournalEntry)>,
    /// The bytes that are not a whole frame, with a whole frame somewhere after them.
    pub(in crate::logfile) holes: Vec<Hole>,
    /// The bytes after the last whole frame, unless they are unused or the beginning of an entry whose
    /// writing was cut short.
    pub(in crate::logfile) tail: Option<Hole>,
}

/// Appends one frame. `start` is the byte of the half at which `out` begins.
///
/// The entry is checked before anything is written, so that the next start reads exactly the entry that is
/// in memory now.
pub(super) fn encode_frame(
    out: &mut Vec<u8>,
    entry: &JournalEntry,
    generation: u64,
    start: u64,
) -> io::Result<()> {
    let at = out.len();
    let too_far = |_| unreadable("an entry so far behind");
    let position = u32::try_from(start + at as u64).map_err(too_far)?;
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    let payload_at = out.len();
    entry.encode(out);
    if !entry.is_expressible() {
        return Err(unreadable("an entry"));
    }
    let length = u32::try_from(out.len() - payload_at).map_err(too_far)?;
    if let Some((crc, rest)) = out.get_mut(at..).and_then(|frame| frame.split_at_mut_checked(4)) {
        if let Some((first, second)) = rest.split_first_chunk_mut::<4>() {
            *first = length.to_be_bytes();
            if let Some((second, _)) = second.split_first_chunk_mut() {
                *second = position.to_be_bytes();
            }
        }
        crc.copy_from_slice(&frame_crc(generation, rest).to_be_bytes());
    }
    Ok(())
}

/// The kind of this error says that the fault is in memory and not on the disk.
pub(super) fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("internal error: {what} could not be read back"))
}

fn frame_crc(generation: u64, rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&generation.to_be_bytes());
    hasher.update(rest);
    hasher.finalize()
}

/// Reads a half: every whole frame of the generation, and the bytes between the frames.
pub(super) fn read_half(half: &[u8], generation: u64) -> HalfContents {
    let mut contents = HalfContents::default();
    let mut at = HALF_HEADER_BYTES as usize;
    loop {
        while let Some((entry, end)) = read_frame(half, at, generation) {
            contents.entries.push((at as u64, entry));
            at = end;
        }
        let rest = half.get(at..).unwrap_or_default();
        if is_fill(rest) {
            return contents;
        }
        let next = (at + 1..half.len()).find(|next| read_frame(half, *next, generation).is_some());
        let to = next.unwrap_or(at + rest.len() - fill_at_end(rest));
        let hole = Hole { from: at as u64, to: to as u64 };
        match next {
            Some(next) => {
                contents.holes.push(hole);
                at = next;
            }
            None => {
                contents.tail = Some(hole).filter(|_| !is_cut_short(half, at, to) && !begins_unused(rest));
                return contents;
            }
        }
    }
}

fn read_frame(half: &[u8], at: usize, generation: u64) -> Option<(JournalEntry, usize)> {
    let (crc, rest) = half.get(at..)?.split_first_chunk()?;
    let (length, position) = rest.split_first_chunk()?;
    let (position, _) = position.split_first_chunk()?;
    // Usually this check alone shows that no frame begins here.
    if u32::from_be_bytes(*position) as usize != at {
        return None;
    }
    let length = u32::from_be_bytes(*length) as usize;
    let rest = rest.get(..length.checked_add(FRAME_HEADER_BYTES - 4)?)?;
    if frame_crc(generation, rest) != u32::from_be_bytes(*crc) {
        return None;
    }
    let payload = rest.get(FRAME_HEADER_BYTES - 4..)?;
    Some((JournalEntry::decode(payload)?, at + FRAME_HEADER_BYTES + length))
}

/// Whether nothing was ever written here.
pub(super) fn is_fill(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<64>();
    chunks.iter().all(|chunk| *chunk == [FILL; 64]) && rest.iter().all(|byte| *byte == FILL)
}

/// Entries are appended one behind the other, so none was written behind unused bytes, and damage
/// there harms nothing.
fn begins_unused(bytes: &[u8]) -> bool {
    bytes.get(..UNUSED_BYTES).is_some_and(is_fill)
}

/// Whether the bytes end behind the last entry.
pub(super) fn ends_unused(bytes: &[u8]) -> bool {
    bytes.len().checked_sub(UNUSED_BYTES).and_then(|at| bytes.get(at..)).is_some_and(is_fill)
}

fn fill_at_end(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == FILL).count()
}

/// Whether the bytes [at, to) are the beginning of a frame whose writing was cut short. A kill ends a write
/// between two pages, so the rest of the frame has its old bytes. If the entry is a range, nothing of that
/// range was written to the log file.
fn is_cut_short(half: &[u8], at: usize, to: usize) -> bool {
    let Some([_, _, _, _, a, b, c, d, w, x, y, z]) = half.get(at..).and_then(<[u8]>::first_chunk) else {
        return false;
    };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    // The last bytes before the cut may look unused.
    let cut = to.next_multiple_of(PAGE_BYTES);
    let end = length.checked_add(at + FRAME_HEADER_BYTES);
    u32::from_be_bytes([*w, *x, *y, *z]) as usize == at
        && to >= at + FRAME_HEADER_BYTES
        && cut - to < UNUSED_BYTES
        && end.is_some_and(|end| cut < end && end <= half.len())
}
