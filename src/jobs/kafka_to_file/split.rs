//! Cuts an outcome into parts, so that the log file ends at the size at which it is rotated.

use super::cut::Cut;
use super::formatter::FormattedBatch;

/// Cuts an outcome: the first part has at most `room` bytes, and each of the others at most `size`. A part
/// without a cut inside may be longer: it holds a record longer than `size`, or it is the first part and
/// needs a new file anyway.
pub(super) fn split(mut batch: FormattedBatch, room: u64, size: u64) -> Vec<FormattedBatch> {
    let mut places = places(&batch, room, size);
    let mut parts = Vec::new();
    while let Some(cut) = places.pop() {
        let rest = batch.lines.split_off(cut.bytes);
        let (records, filtered) = (batch.records - cut.records, batch.filtered - cut.filtered);
        parts.push(FormattedBatch {
            partition: batch.partition.clone(),
            from: cut.next,
            next: std::mem::replace(&mut batch.next, cut.next),
            assignment: batch.assignment,
            crc: crc_of(&rest),
            lines: rest,
            last: batch.last.take(),
            truncated: batch.truncated.take(),
            records,
            filtered,
            is_part: std::mem::replace(&mut batch.is_part, true),
            cuts: Vec::new(),
            spans: Vec::new(),
            last_time: None,
        });
        (batch.records, batch.filtered) = (cut.records, cut.filtered);
    }
    if !parts.is_empty() {
        batch.crc = crc_of(&batch.lines);
        batch.cuts.clear();
    }
    parts.push(batch);
    parts.reverse();
    parts
}

fn places(batch: &FormattedBatch, mut room: u64, size: u64) -> Vec<Cut> {
    let end =
        Cut { bytes: batch.lines.len(), next: batch.next, records: batch.records, filtered: batch.filtered };
    let (mut places, mut begin, mut before) = (Vec::new(), 0, Cut::default());
    for cut in batch.cuts.iter().copied().filter(|cut| cut.bytes < end.bytes).chain([end]) {
        if (cut.bytes - begin) as u64 > room {
            if before.bytes > begin {
                places.push(before);
                begin = before.bytes;
            }
            room = size;
        }
        before = cut;
    }
    places
}

fn crc_of(lines: &[u8]) -> crc32fast::Hasher {
    let mut crc = crc32fast::Hasher::new();
    crc.update(lines);
    crc
}
