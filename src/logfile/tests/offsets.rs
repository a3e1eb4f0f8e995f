//! What is logged of an offset that the group holds, and where reading goes on then.

use log::Level::{self, Error, Warn};

use super::*;
use crate::record::Token;
use crate::test_log::lines_of;

/// The position after a start at which the group holds this offset, and what is logged of it.
fn resume(log: &LogFile, of: &TopicPartition, held: i64, beside: &str) -> (i64, Vec<(Level, String)>) {
    let mut position = None;
    let metadata = OffsetMetadata::Text(beside.to_owned());
    let told = lines_of(|| position = log.ledger.resume(of, Some(held), &metadata).unwrap().position);
    (position.unwrap_or(-1), told)
}

/// A log file with five records, all settled.
fn with_five(dir: &Dir) -> LogFile {
    let mut log = fresh(dir);
    append(&mut log, 0, 5);
    settle(&mut log);
    log
}

#[test]
fn an_offset_that_another_program_set_is_named() {
    let dir = Dir::new();
    let log = with_five(&dir);
    let claim = |epoch, offset| Token::claim(epoch, offset).to_string();
    let (position, told) = resume(&log, &partition(), 70, &claim(3, 70));
    assert_eq!(position, 70);
    let text = "t/0: another program set the group's offset to 70 (the journal is at 5); going there";
    assert!(matches!(&told[..], [(Warn, line)] if line.ends_with(text)), "{told:?}");
    // It leads nowhere else.
    assert_eq!(resume(&log, &partition(), 70, &claim(4, 70)), (70, vec![]));
    assert_eq!(resume(&log, &partition(), 70, &claim(4, 70)), (70, vec![]), "the same claim again");
}

#[test]
fn a_commit_of_ours_that_the_journal_does_not_know_is_named() {
    let dir = Dir::new();
    let log = with_five(&dir);
    let ours = |epoch, offset| Token { identity: log.ledger.identity(), epoch, offset }.to_string();
    let (position, told) = resume(&log, &partition(), 9, &ours(3, 9));
    assert_eq!(position, 5);
    let [(Warn, line)] = &told[..] else { panic!("{told:?}") };
    assert!(line.contains("t/0: the group's offset 9 was committed under this journal's name"), "{line}");
    assert!(line.ends_with("going on at the journal's position 5"), "{line}");
    let other = TopicPartition::new("t", 8);
    let (position, told) = resume(&log, &other, 9, &ours(3, 9));
    assert_eq!(position, 0);
    let [(Warn, line)] = &told[..] else { panic!("{told:?}") };
    assert!(line.contains("t/8: the group's offset 9 was committed under this journal's name"), "{line}");
    assert!(line.ends_with("going to the first record"), "{line}");
}

/// Only a journal that was begun just now may have lost its predecessor.
#[test]
fn a_journal_that_was_here_before_is_named_once() {
    let dir = Dir::new();
    for is_new in [true, false] {
        let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        let theirs = |identity, offset| Token { identity, epoch: 3, offset }.to_string();
        let mut named = Vec::new();
        for (number, identity) in [7, 7, 8, log.ledger.identity()].into_iter().enumerate() {
            let of = TopicPartition::new("t", number as i32);
            named.extend(resume(&log, &of, 9, &theirs(identity, 9)).1);
        }
        named.extend(resume(&log, &TopicPartition::new("t", 9), 9, &Token::claim(3, 9).to_string()).1);
        named.retain(|(level, _)| *level == Error);
        let expected = if is_new { vec![7, 8] } else { vec![] };
        assert_eq!(named.len(), expected.len(), "{named:?}");
        for ((_, line), identity) in named.iter().zip(expected) {
            assert!(line.contains(&format!("the journal {identity:032x} committed")), "{line}");
        }
    }
}
