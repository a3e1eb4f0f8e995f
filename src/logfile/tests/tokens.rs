//! Commits that carry a token: whose they are, and what an operator's reset is.

use super::*;
use crate::record::Token;

/// The group as it is asked and told: its offset and what stands beside it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Group(Option<(i64, String)>);

impl Group {
    fn take(&mut self, commits: &[Commit]) {
        if let [one] = commits {
            self.0 = Some((one.offset, one.metadata.clone()));
        }
    }

    /// As the tools do it, without anything beside the offset.
    fn reset(&mut self, to: i64) {
        self.0 = Some((to, String::new()));
    }

    fn token(&self) -> Option<Token> {
        self.0.as_ref().and_then(|(_, metadata)| Token::parse(metadata))
    }

    fn offset(&self) -> Option<i64> {
        self.0.as_ref().map(|(offset, _)| *offset)
    }
}

/// Starts: opened, the partition assigned, and what is then committed at once taken by
/// the group. Gives the position.
fn start(dir: &Dir, group: &mut Group) -> (LogFile, i64) {
    let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    let mut position = assign(&log, group);
    if position < 0 {
        log.ledger.set_position(&partition(), 0).unwrap();
        position = 0;
    }
    commit(&mut log, group);
    (log, position)
}

/// What somebody else set is claimed before it is told.
fn assign(log: &LogFile, group: &mut Group) -> i64 {
    if let Some((offset, text)) = &mut group.0
        && Token::naming(*offset, text).is_none()
    {
        *text = Token::claim(fastrand::u64(..), *offset).to_string();
    }
    let (offset, text) = group.0.clone().map_or((None, String::new()), |(at, text)| (Some(at), text));
    log.ledger.resume(&partition(), offset, &OffsetMetadata::Text(text)).unwrap().position.unwrap_or(-1)
}

/// Settles, and the group takes what is committed; the answer comes back.
fn commit(log: &mut LogFile, group: &mut Group) {
    let commits = settle_some(log);
    group.take(&commits);
    let answer: Vec<_> = commits.iter().map(|one| (one.partition.clone(), one.offset)).collect();
    log.ledger.record_committed(&answer);
}

fn settle_some(log: &mut LogFile) -> Vec<Commit> {
    let checkpoint = log.writer.checkpoint();
    log.settler.settle(checkpoint).unwrap().commits
}

#[test]
fn every_commit_carries_its_token() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, position) = start(&dir, &mut group);
    assert_eq!((position, group.offset()), (0, Some(0)), "the place is committed at once");
    append(&mut log, 0, 5);
    commit(&mut log, &mut group);
    let token = group.token().unwrap();
    assert_eq!((token.offset, group.offset()), (5, Some(5)));
    assert!(!log.ledger.needs_commit());
    drop(log);
    // The same journal goes on in the same history.
    let (mut log, position) = start(&dir, &mut group);
    assert_eq!(position, 5);
    append(&mut log, 5, 6);
    commit(&mut log, &mut group);
    assert_eq!(group.token().unwrap(), Token { offset: 6, ..token });
}

/// Ten resets, back and forward, each honoured, also to values that were committed
/// before, and also when the process is killed before it could commit.
#[test]
fn an_operators_reset_to_any_offset_is_honoured() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 50);
    commit(&mut log, &mut group);
    drop(log);
    for to in [20, 20, 50, 0, 70, 60, 60, 20, 70, 1] {
        group.reset(to);
        let (mut log, position) = start(&dir, &mut group);
        assert_eq!(position, to);
        assert_eq!(group.token().unwrap().offset, to, "committed with a token before anything lands");
        append(&mut log, to, to + 10);
        if to % 20 == 0 {
            commit(&mut log, &mut group);
        }
        drop(log);
        let (_, position) = start(&dir, &mut group);
        assert_eq!(position, to + 10, "and once only");
    }
}

/// The same value once more, before any commit came through: a reset of its own.
#[test]
fn a_repeated_reset_counts_as_a_new_one() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 50);
    commit(&mut log, &mut group);
    drop(log);
    // To where it is, and back to where it was before.
    for to in [50, 50, 50, 20, 20, 20] {
        group.reset(to);
        let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        assert_eq!(assign(&log, &mut group), to);
        append(&mut log, to, to + 10);
        settle_some(&mut log);
    }
}

/// Killed again and again before any commit comes through, it goes on where it was.
#[test]
fn a_reset_that_was_followed_is_not_followed_again() {
    let (dir, mut group) = (Dir::new(), Group::default());
    group.reset(30);
    let mut at = 30;
    for _ in 0..5 {
        let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        assert_eq!(assign(&log, &mut group), at);
        append(&mut log, at, at + 2);
        at += 2;
        // Handed out, and lost with the process.
        assert_eq!(settle_some(&mut log).len(), 1);
    }
}

/// A group that an older pandad committed to without tokens.
#[test]
fn offsets_committed_without_tokens_are_recognized() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 7);
    let committed = settle(&mut log);
    append(&mut log, 7, 9);
    drop(log);
    let mut group = Group::default();
    group.reset(committed[0].1);
    let (_, position) = start(&dir, &mut group);
    assert_eq!(position, 9, "the value is known again");
    assert_eq!(group.token().map(|token| token.offset), Some(9));
    // From then on it is known no more: whoever sets it means it.
    group.reset(7);
    assert_eq!(start(&dir, &mut group).1, 7);
}

/// The topic was made anew: a commit of the old history that is still under way, or
/// whose successor is lost, does not bring its offset back.
#[test]
fn a_late_commit_of_a_former_history_is_not_followed() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 100);
    let under_way = settle_some(&mut log);
    log.ledger.set_position(&partition(), 40).unwrap();
    group.take(&under_way);
    log.ledger.record_committed(&[(partition(), 100)]);
    assert!(log.ledger.needs_commit(), "that commit was of the old history");
    append(&mut log, 40, 60);
    drop(log);
    let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    assert_eq!(assign(&log, &mut group), 60);
    commit(&mut log, &mut group);
    assert_eq!(group.token().unwrap().offset, 60);
    drop(log);
    // An operator may still ask for it.
    group.reset(100);
    assert_eq!(start(&dir, &mut group).1, 100);
}

/// The place in the new log is the one that the group held of the old one.
#[test]
fn a_new_history_at_the_same_offset_is_committed() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 8);
    commit(&mut log, &mut group);
    let old = group.token().unwrap();
    log.ledger.set_position(&partition(), 8).unwrap();
    commit(&mut log, &mut group);
    let new = group.token().unwrap();
    assert_eq!(new.offset, 8);
    assert_ne!(new.epoch, old.epoch);
}

/// Copied by a tool from another group, a token names another offset than its own.
#[test]
fn a_token_for_another_offset_is_ignored() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 8);
    commit(&mut log, &mut group);
    drop(log);
    group.0 = group.0.map(|(_, metadata)| (3, metadata));
    assert_eq!(start(&dir, &mut group).1, 3);
}

/// Where the group's storage has no room for a token there is none.
#[test]
fn commits_carry_no_token_if_the_storage_has_no_room() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    assert_eq!(settle(&mut log), [(partition(), 2)]);
}
