//! The journal says which offsets the lines of the log file are.

use super::super::inspect;
use super::*;

/// What the journal says of the partition.
fn held(dir: &Dir) -> String {
    let lines = inspect::lines(&dir.log()).unwrap();
    let last = lines.iter().rev().find(|line| line.starts_with("partition 0:")).unwrap();
    last.split_once("holds ").unwrap().1.to_owned()
}

/// A reset to offset `to` that somebody has made in the group.
fn reset(log: &mut LogFile, to: i64) {
    let other = OffsetMetadata::Text("another program".to_owned());
    assert_eq!(log.ledger.resume(&partition(), Some(to), &other).unwrap().position, Some(to));
}

#[test]
fn resets_begin_ranges_that_outlive_restarts() {
    let dir = Dir::new();
    let mut log = with(&dir, true, 4096, Some(1));
    log.ledger.resume(&partition(), Some(7), &OffsetMetadata::Text(String::new())).unwrap();
    append(&mut log, 7, 20);
    log.settler.settle(log.writer.checkpoint()).unwrap();
    reset(&mut log, 10);
    append(&mut log, 10, 12);
    assert_eq!(held(&dir), "7..20 10..");
    // The journal begins anew, and its unsettled range is adopted.
    drop(log);
    let mut log = with(&dir, true, 4096, Some(1));
    reset(&mut log, 5);
    assert_eq!(held(&dir), "7..20 10..12 5..");
    drop(log);
    inspect::forget(&dir.log()).unwrap();
    let log = with(&dir, true, 4096, Some(1));
    log.ledger.resume(&partition(), Some(3), &OffsetMetadata::Text(String::new())).unwrap();
    assert_eq!(held(&dir), "3..", "what was forgotten is before it");
}

/// A range ends where its last line was written, be it settled or not.
#[test]
fn what_is_written_and_not_settled_belongs_to_the_range_that_ends() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 4);
    settle(&mut log);
    append(&mut log, 4, 6);
    append(&mut log, 6, 9);
    reset(&mut log, 2);
    assert_eq!(held(&dir), "0..9 2..");
}

#[test]
fn the_records_of_a_log_that_is_gone_are_not_sure() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 9);
    log.ledger.set_position(&partition(), 6).unwrap();
    append(&mut log, 6, 8);
    assert_eq!(held(&dir), "0..6 6.., and perhaps others of 6..9");
}

/// Another member of the group has gone on in the same history, and the entry that says so is damaged.
#[test]
fn a_mark_repeats_what_is_held() {
    let dir = Dir::new();
    let mut log = with(&dir, true, 4096, Some(1));
    log.ledger.resume(&partition(), Some(0), &OffsetMetadata::Text(String::new())).unwrap();
    append(&mut log, 0, 9);
    log.settler.settle(log.writer.checkpoint()).unwrap();
    log.ledger.record_committed(&[(partition(), 9)]);
    let known = inspect::lines(&dir.log()).unwrap().join("\n");
    let epoch = known.split_once("epoch ").and_then(|(_, rest)| rest.get(..16)).unwrap();
    let token = format!("pandad1:{:032x}:{epoch}:20", 9);
    let journal = dir.0.join("out.log.journal");
    let before = fs::read(&journal).unwrap();
    let resumed = log.ledger.resume(&partition(), Some(20), &OffsetMetadata::Text(token)).unwrap();
    assert_eq!(resumed.position, Some(20));
    let after = fs::read(&journal).unwrap();
    let changed: Vec<usize> = (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
    append(&mut log, 20, 22);
    log.settler.settle(log.writer.checkpoint()).unwrap();
    drop(log);
    let mut damaged = fs::read(&journal).unwrap();
    changed.iter().for_each(|at| damaged[*at] ^= 1);
    fs::write(&journal, damaged).unwrap();
    let shown = inspect::lines(&dir.log()).unwrap().join("\n");
    assert!(!shown.contains("t/0 at 20"), "the entry is whole: {shown}");
    drop(open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap());
    assert_eq!(held(&dir), "0..9 20..");
}
