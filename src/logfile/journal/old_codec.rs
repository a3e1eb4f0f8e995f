//! How a journal of version 1 or 2 is read. Nothing is written in these versions any more. All
//! numbers are big-endian.
//!
//! ```text
//! half    magic 8 | version 2 | identity 16 | generation 8 | CRC 4 | zeros up to byte 64 | frames
//! frame   length 4 | CRC 4 | payload
//! ```

#[cfg(test)]
pub(in crate::logfile) mod older;
#[cfg(test)]
mod tests;

use super::codec::{commit, file_id, range_part};
use super::entry::{
    FilePlace, JournalEntry, Landmark, Mark, MemberIdentity, ONLY_FILE, PartitionState, PositionChange,
    Range, Session,
};
use super::entry_reader::EntryReader;
use crate::record::TopicPartition;

/// Where the frames of these versions begin.
const HALF_HEADER_BYTES: usize = 64;
const FRAME_HEADER_BYTES: usize = 8;

/// The entries of a half up to the first frame that is not whole.
pub(super) fn read_frames(half: &[u8], generation: u64) -> Vec<(u64, JournalEntry)> {
    let mut entries = Vec::new();
    let mut at = HALF_HEADER_BYTES;
    while let Some((entry, end)) = read_frame(half, at, generation) {
        entries.push((at as u64, entry));
        at = end;
    }
    entries
}

fn read_frame(half: &[u8], at: usize, generation: u64) -> Option<(JournalEntry, usize)> {
    let (length, rest) = half.get(at..)?.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*length) as usize;
    let payload = rest.get(..length)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&generation.to_be_bytes());
    hasher.update(payload);
    if length == 0 || hasher.finalize() != u32::from_be_bytes(*crc) {
        return None;
    }
    Some((decode(payload)?, at + FRAME_HEADER_BYTES + length))
}

fn decode(payload: &[u8]) -> Option<JournalEntry> {
    let mut reader = EntryReader(payload);
    let entry = match reader.u8()? {
        1 => JournalEntry::Partition(reader.u32()?, state(&mut reader)?),
        2 => JournalEntry::Range(range(&mut reader)?),
        3 => JournalEntry::Mark(mark(&mut reader)?),
        4 => {
            let boot = u128::from_be_bytes(reader.array()?);
            JournalEntry::Session(Session { boot, closed: reader.u8()? != 0 })
        }
        5 => {
            let id = reader.text()?.to_owned();
            JournalEntry::Member(MemberIdentity { id, silent: reader.u8()? != 0 })
        }
        _ => return None,
    };
    reader.0.is_empty().then_some(entry)
}

fn state(reader: &mut EntryReader<'_>) -> Option<PartitionState> {
    Some(PartitionState {
        partition: TopicPartition::new(reader.text()?, reader.i32()?),
        position: reader.i64()?,
        epoch: reader.u64()?,
        landmarks: reader.list(landmark)?,
        committed: reader.list(EntryReader::i64)?,
        // Version 1 had no such list.
        left: if reader.0.is_empty() { Vec::new() } else { reader.list(EntryReader::u64)? },
        held: None,
        former: Vec::new(),
        topic_id: None,
        leader_epochs: Default::default(),
    })
}

fn landmark(reader: &mut EntryReader<'_>) -> Option<Landmark> {
    Some(Landmark { offset: reader.i64()?, fingerprint: reader.u32()? })
}

fn range(reader: &mut EntryReader<'_>) -> Option<Range> {
    Some(Range {
        sequence: reader.u64()?,
        parts: vec![range_part(ONLY_FILE, reader)?],
        changes: reader.list(|reader| {
            Some(PositionChange {
                index: reader.u32()?,
                position: reader.i64()?,
                last: match reader.u8()? {
                    0 => None,
                    _ => Some(landmark(reader)?),
                },
            })
        })?,
    })
}

fn mark(reader: &mut EntryReader<'_>) -> Option<Mark> {
    let sequence = reader.u64()?;
    let (file, end, before) = (file_id(reader)?, reader.u64()?, reader.u32()?);
    let place = FilePlace { file, end, before, head: None };
    Some(Mark { commits: reader.list(commit)?, ..Mark::of_only_file(sequence, place) })
}
