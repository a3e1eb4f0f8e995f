//! Which half of a journal is in force, and whether it can be all that was written last.

#[cfg(test)]
mod tests;

use super::JournalEntry;
use super::frame::{HalfContents, ends_unused, is_fill, read_half};
use super::header::{HALF_HEADER_BYTES, HalfHeader};
use super::old_codec;
use super::replay::JournalContents;

/// The two halves and the length that each should have. If the file was cut off, the second is
/// shorter, or both are; what stands behind the halves is nobody's.
pub(super) fn split(bytes: &[u8]) -> ([&[u8]; 2], u64) {
    let known = HalfHeader::read(bytes).map(|header| header.half).filter(|half| *half > 0);
    let half = known.unwrap_or(bytes.len() as u64 / 2);
    let length = usize::try_from(half).unwrap_or(usize::MAX);
    let (first, rest) = bytes.split_at(length.min(bytes.len()));
    ([first, rest.get(..length).unwrap_or(rest)], half)
}

/// Why the half that was read may not be all that was written last.
pub(super) fn lacks_newest(
    halves: [&[u8]; 2],
    half: u64,
    header: &HalfHeader,
    active: usize,
) -> Option<String> {
    let [first, second] = halves;
    let read = if active == 0 { first } else { second };
    let bytes = first.len() + second.len();
    if header.is_followed {
        return Some("the half that was written last is lost".to_owned());
    }
    let is_cut = (read.len() as u64) < half && !ends_unused(read);
    is_cut.then(|| format!("it was cut off behind byte {bytes}"))
}

/// The half in force and what it holds.
pub(super) fn newest_half(
    halves: [&[u8]; 2],
    headers: [Option<HalfHeader>; 2],
) -> Option<(HalfHeader, usize, JournalContents)> {
    let [first, second] = headers;
    let ((header, active), other) = match (first, second) {
        (Some(first), Some(second)) if first.generation < second.generation => ((second, 1), Some(first)),
        (Some(first), second) => ((first, 0), second),
        (None, second) => ((second?, 1), None),
    };
    let [half, older] = if active == 0 { halves } else { [halves[1], halves[0]] };
    if header.version < 3 {
        let entries = old_codec::read_frames(half, header.generation);
        let newest = HalfContents { entries, ..HalfContents::default() };
        return Some((header, active, JournalContents { newest, ..JournalContents::default() }));
    }
    let start = |active: usize| active as u64 * half.len() as u64;
    // The other half has a header too, unless that header is damaged, or is being written for the first
    // time.
    let lost = HalfHeader { generation: header.generation + 1, base: 0, is_followed: false, ..header };
    if other.is_none() && !is_fill(older.get(..HALF_HEADER_BYTES as usize).unwrap_or_default()) {
        let newest = read_half(older, lost.generation);
        if !newest.entries.is_empty() {
            let older = base_entries(half, header);
            let start = start(1 - active);
            let contents = JournalContents { newest, base: 0, older, start, has_no_header: true };
            return Some((lost, 1 - active, contents));
        }
    }
    let newest = read_half(half, header.generation);
    let damaged_at = newest.holes.first().or(newest.tail.as_ref());
    let needs_older = damaged_at.is_some_and(|hole| hole.from < header.base);
    let before = other.filter(|other| needs_older && other.generation + 1 == header.generation);
    let older = before.and_then(|other| base_entries(older, other));
    let (base, start) = (header.base, start(active));
    Some((header, active, JournalContents { newest, base, older, start, has_no_header: false }))
}

/// The entries of a half from which a snapshot was made, if nothing in the half is damaged.
///
/// A half that is being rewritten keeps its last header until it is durable, and none of the entries of
/// that generation. Every half begins with a snapshot, so one without the snapshot's mark is no such half.
fn base_entries(half: &[u8], header: HalfHeader) -> Option<Vec<(u64, JournalEntry)>> {
    let contents = if header.version < 3 {
        HalfContents { entries: old_codec::read_frames(half, header.generation), ..HalfContents::default() }
    } else {
        read_half(half, header.generation)
    };
    // The first two versions do not say which mark is a snapshot's.
    let has_snapshot = contents.entries.iter().any(|(_, entry)| match entry {
        JournalEntry::Mark(mark) => header.version < 3 || mark.repeat.is_snapshot,
        _ => false,
    });
    (has_snapshot && contents.holes.is_empty()).then_some(contents.entries)
}
