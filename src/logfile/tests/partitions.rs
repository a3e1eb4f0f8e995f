//! Several partitions of one log file, of which this run has some: what is committed, and what is known of
//! the group.

use super::*;
use crate::record::Token;

fn numbered(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn text(text: &str) -> OffsetMetadata {
    OffsetMetadata::Text(text.to_owned())
}

/// Partitions 0 to 2 are at 10, 11 and 12.
fn three() -> Dir {
    let dir = Dir::new();
    let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    for number in 0..3 {
        log.ledger.set_position(&numbered(number), i64::from(number) + 10).unwrap();
    }
    dir
}

/// Appends a line for the partition.
fn write(log: &mut LogFile, number: i32) {
    let (index, written) = log.ledger.written(&numbered(number)).unwrap();
    let line = format!("line {written} of {number}\n");
    let mut crc = crc32fast::Hasher::new();
    crc.update(line.as_bytes());
    let last = Some(Landmark { offset: written, fingerprint: number as u32 });
    let change = PositionChange { index, position: written + 1, last };
    log.writer.append(&[Piece { bytes: line.as_bytes(), crc: &crc }], &[change]).unwrap();
}

fn commits(log: &mut LogFile) -> Vec<(i32, i64)> {
    let checkpoint = log.writer.checkpoint();
    let commits = log.settler.settle(checkpoint).unwrap().commits;
    commits.into_iter().map(|one| (one.partition.partition, one.offset)).collect()
}

/// Others may have the other partitions, and commit for them.
#[test]
fn only_assigned_partitions_are_committed() {
    let dir = three();
    let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    assert!(log.ledger.knows_topic("t") && !log.ledger.knows_topic("u"));
    assert_eq!(log.ledger.written(&numbered(1)), None, "not assigned yet");
    assert!(!log.ledger.needs_commit() && log.ledger.group_holds_all());
    log.ledger.resume(&numbered(1), None, &text("")).unwrap();
    assert_eq!(log.ledger.written(&numbered(1)).map(|(_, position)| position), Some(11));
    assert!(log.ledger.needs_commit() && !log.ledger.group_holds_all());
    let taken: Vec<_> = log.ledger.take_commits().unwrap().into_iter().map(|one| one.offset).collect();
    assert_eq!(taken, [11]);
    log.ledger.record_committed(&[(numbered(1), 11)]);
    assert!(!log.ledger.needs_commit() && log.ledger.group_holds_all());
    log.ledger.resume(&numbered(2), None, &text("")).unwrap();
    write(&mut log, 1);
    assert!(!log.ledger.group_holds_all());
    write(&mut log, 2);
    assert_eq!(commits(&mut log), [(1, 12), (2, 13)]);
    log.ledger.record_committed(&[(numbered(1), 12)]);
    assert!(log.ledger.needs_commit() && !log.ledger.group_holds_all(), "one of the two was refused");
    assert_eq!(commits(&mut log), [(2, 13)]);
    log.ledger.record_committed(&[(numbered(2), 13)]);
    assert!(!log.ledger.needs_commit() && log.ledger.group_holds_all());
    assert_eq!(commits(&mut log), []);
}

/// While several journals share a group, a member writes only when the others would follow its commits.
#[test]
fn the_group_holds_all_only_by_a_token_of_the_present_history() {
    let dir = three();
    let epoch_of = |log: &LogFile, commits: &[Commit]| {
        assert_eq!(commits.len(), 1);
        let token = Token::parse(&commits[0].metadata).unwrap();
        assert_eq!(token.identity, log.ledger.identity());
        token.epoch
    };
    let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    let identity = log.ledger.identity();
    log.ledger.resume(&numbered(0), None, &text("")).unwrap();
    let commits = log.ledger.take_commits().unwrap();
    let epoch = epoch_of(&log, &commits);
    drop(log);
    let own = |epoch, offset| Token { identity, epoch, offset }.to_string();
    let cases = [
        (10, own(epoch, 10), true),
        // A claim is replaced by a token before anything is written.
        (10, Token::claim(epoch, 10).to_string(), false),
        (9, own(epoch, 9), false),
        // A commit that the journal has no record of.
        (10, own(epoch + 1, 10), false),
        (12, own(epoch, 12), false),
    ];
    for (held, beside, holds_all) in cases {
        let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        let resumed = log.ledger.resume(&numbered(0), Some(held), &text(&beside)).unwrap();
        assert_eq!((resumed.position, log.ledger.group_holds_all()), (Some(10), holds_all), "{beside}");
        assert_eq!(log.ledger.needs_commit(), !holds_all, "{beside}");
    }
}

/// Without tokens: a commit of the former history is under way when the partition goes elsewhere. Its offset
/// must not be taken for a reset when it arrives.
#[test]
fn a_late_bare_commit_of_a_former_history_is_recognized() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 5);
    assert_eq!(settle(&mut log), [(partition(), 5)]);
    log.ledger.set_position(&partition(), 2).unwrap();
    drop(log);
    assert_eq!(again(&dir, Some(5)).1, 2);
    assert_eq!(again(&dir, Some(4)).1, 4, "another offset is a reset");
}

/// Where reading goes on at the journal's position, what was read last is still compared.
#[test]
fn landmarks_stay_with_the_position() {
    let dir = three();
    let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    log.ledger.resume(&numbered(0), None, &text("")).unwrap();
    write(&mut log, 0);
    write(&mut log, 0);
    commits(&mut log);
    drop(log);
    let resumed = |held, epoch| {
        let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        let claim = Token::claim(epoch, held).to_string();
        let resumed = log.ledger.resume(&numbered(0), Some(held), &text(&claim)).unwrap();
        assert_eq!(log.ledger.landmarks(&numbered(0)), resumed.landmarks);
        (resumed.position.unwrap(), resumed.landmarks.iter().map(|mark| mark.offset).collect::<Vec<_>>())
    };
    assert_eq!(resumed(12, 5), (12, vec![10, 11]), "a reset to where the journal is");
    assert_eq!(resumed(9, 6), (9, vec![]));
    assert_eq!(resumed(9, 7), (9, vec![]));
}

/// Commits are frequent: their answers cost no write, unless an offset is forgotten.
#[test]
fn an_answered_commit_costs_no_entry_of_the_journal() {
    let dir = three();
    let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    log.ledger.resume(&numbered(1), None, &text("")).unwrap();
    write(&mut log, 1);
    let journal = || fs::read(dir.0.join("out.log.journal")).unwrap();
    assert_eq!(commits(&mut log), [(1, 12)]);
    let before = journal();
    log.ledger.record_committed(&[(numbered(1), 12)]);
    assert!(journal() == before);
}
