//! Outcomes are cut where the log file reaches the size at which it is rotated.

use super::*;
use crate::jobs::kafka_to_file::cut::{Cut, CutList};
use crate::jobs::kafka_to_file::split::split;

const SIZE: u64 = 20_000;

/// A batch whose records have lines of these lengths.
fn batch_of(mut batch: FormattedBatch, lengths: &[usize]) -> FormattedBatch {
    let mut cuts = CutList::new(true);
    batch.lines.clear();
    for (length, offset) in lengths.iter().zip(batch.from..) {
        let line = format!("{offset} {}\n", "x".repeat(length - 10));
        batch.lines.extend_from_slice(format!("{line:>length$}").as_bytes());
        let records = (offset + 1 - batch.from) as u64;
        cuts.record(Cut { bytes: batch.lines.len(), next: offset + 1, records, filtered: 0 });
    }
    (batch.cuts, batch.records, batch.crc) = (cuts.cuts, lengths.len() as u64, crc32fast::Hasher::new());
    batch.crc.update(&batch.lines);
    batch
}

/// The rotated files in their order, and the file itself last.
fn contents(member: &Member) -> Vec<String> {
    let all = std::fs::read_dir(&member.dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = all.filter(|path| path.to_str().unwrap().contains("out.log-")).collect();
    files.sort();
    files.push(member.dir.join("out.log"));
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn no_file_is_larger_than_the_size_of_its_rotation() {
    let rotation = Rotation { size: Some(SIZE), ..Rotation::off() };
    let mut member = Member::with(None, rotation).begins();
    let mut dice = fastrand::Rng::with_seed(7);
    let (mut from, mut written, mut done) = (0, String::new(), member.sink.gate.done_count());
    for round in 0..60 {
        let count = dice.usize(1..120);
        // Sometimes a record is longer than a whole file may be.
        let long = |dice: &mut fastrand::Rng| if dice.u8(..) == 0 { 30_000 } else { dice.usize(12..900) };
        let lengths: Vec<usize> = (0..count).map(|_| long(&mut dice)).collect();
        let next = from + count as i64;
        let mut batches = vec![batch_of(member.fetches(from, next), &lengths)];
        if round % 3 == 0 {
            batches.push(batch_of(member.fetches(next, next + 1), &[50]));
        }
        done += batches.len() as u64;
        from = batches.last().unwrap().next;
        batches.iter().for_each(|batch| written += std::str::from_utf8(&batch.lines).unwrap());
        member.writes(batches).unwrap();
        assert_eq!(member.sink.gate.done_count(), done, "a cut outcome counts once");
        assert_eq!(member.ledger.written(&partition()).unwrap().1, from);
        let message = member.settles();
        member.source.feedback(message);
        member.is_committed();
    }
    let files = contents(&member);
    assert!(files.len() > 50, "{}", files.len());
    for file in &files {
        let is_one_record = file.lines().count() == 1;
        assert!(file.len() as u64 <= SIZE || is_one_record, "{} bytes", file.len());
    }
    let full = files.iter().filter(|file| file.len() as u64 > SIZE - 5000).count();
    assert!(full * 2 > files.len(), "files are filled, but {full} of {}", files.len());
    assert_eq!(files.concat(), written);
}

/// A file is filled to the last byte, if records end there.
#[test]
fn what_fits_exactly_needs_no_new_file() {
    let rotation = Rotation { size: Some(SIZE), ..Rotation::off() };
    let mut member = Member::with(None, rotation).begins();
    let first = batch_of(member.fetches(0, 24), &[500; 24]);
    member.writes(vec![first]).unwrap();
    let exact = batch_of(member.fetches(24, 40), &[500; 16]);
    let more = batch_of(member.fetches(40, 41), &[500]);
    member.writes(vec![exact, more]).unwrap();
    let sizes: Vec<u64> = contents(&member).iter().map(|file| file.len() as u64).collect();
    assert_eq!(sizes, [SIZE, 500]);
}

/// An outcome can be cut before and behind a record that is longer than a file.
#[test]
fn a_long_record_stands_between_two_cuts() {
    let mut member = Member::at_work();
    let batch = batch_of(member.fetches(0, 4), &[500, 30_000, 31_000, 500]);
    let cuts: Vec<usize> = batch.cuts.iter().map(|cut| cut.bytes).collect();
    assert_eq!(cuts, [500, 30_500, 61_500]);
}

/// Each part says which offsets it covers, so a crash between two parts repeats or loses nothing.
#[test]
fn parts_continue_one_another() {
    let mut member = Member::at_work();
    let mut batch = batch_of(member.fetches(0, 100), &[500; 100]);
    batch.truncated = Some(Truncated::Full);
    let whole = batch.lines.clone();
    let parts = split(batch, 4500, 9000);
    assert_eq!(parts.len(), 7);
    let (mut at, mut bytes, mut records) = (0, Vec::new(), 0);
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(part.from, at);
        assert_eq!((part.next - part.from) as u64, part.records);
        assert_eq!(part.crc.clone().finalize(), crc32fast::hash(&part.lines));
        assert!(part.lines.len() <= if number == 0 { 4500 } else { 9000 });
        let is_last = number + 1 == parts.len();
        assert_eq!((part.is_part, part.truncated.is_some()), (!is_last, is_last));
        (at, records) = (part.next, records + part.records);
        bytes.extend_from_slice(&part.lines);
    }
    assert_eq!((at, records, bytes), (100, 100, whole));
}
