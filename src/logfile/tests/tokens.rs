//! Commits with tokens: which offsets are this journal's own, and which are an operator's reset.

use super::*;
use crate::record::Token;

/// The group: its committed offset and the metadata beside it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Group(Option<(i64, String)>);

impl Group {
    fn take(&mut self, commits: &[Commit]) {
        if let [one] = commits {
            self.0 = Some((one.offset, one.metadata.clone()));
        }
    }

    /// Kafka's tools set an offset without metadata.
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

/// Opens the log file and assigns the partition. The group takes the commit that follows at once. Returns
/// the position.
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

/// An offset that another program set is claimed before the ledger gets it.
fn assign(log: &LogFile, group: &mut Group) -> i64 {
    if let Some((offset, text)) = &mut group.0
        && Token::naming(*offset, text).is_none()
    {
        *text = Token::claim(fastrand::u64(..), *offset).to_string();
    }
    let (offset, text) = group.0.clone().map_or((None, String::new()), |(at, text)| (Some(at), text));
    log.ledger.resume(&partition(), offset, &OffsetMetadata::Text(text)).unwrap().position.unwrap_or(-1)
}

/// Settles. The group takes the commits, and its answer arrives.
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
    assert_eq!((position, group.offset()), (0, Some(0)), "the position is committed at once");
    append(&mut log, 0, 5);
    commit(&mut log, &mut group);
    let token = group.token().unwrap();
    assert_eq!((token.offset, group.offset()), (5, Some(5)));
    assert!(!log.ledger.needs_commit());
    drop(log);
    // The next start stays in the same history.
    let (mut log, position) = start(&dir, &mut group);
    assert_eq!(position, 5);
    append(&mut log, 5, 6);
    commit(&mut log, &mut group);
    assert_eq!(group.token().unwrap(), Token { offset: 6, ..token });
}

/// Resets go back and forward, also to offsets that were committed before, and also while the
/// process is killed before its first commit. Each is honoured once.
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
        assert_eq!(group.token().unwrap().offset, to, "committed with a token before anything is written");
        append(&mut log, to, to + 10);
        if to % 20 == 0 {
            commit(&mut log, &mut group);
        }
        drop(log);
        let (_, position) = start(&dir, &mut group);
        assert_eq!(position, to + 10, "and once only");
    }
}

/// An operator sets the same offset once more before any commit was carried out.
#[test]
fn a_repeated_reset_counts_as_a_new_one() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 50);
    commit(&mut log, &mut group);
    drop(log);
    // First to the committed offset, then to an earlier one.
    for to in [50, 50, 50, 20, 20, 20] {
        group.reset(to);
        let mut log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        assert_eq!(assign(&log, &mut group), to);
        append(&mut log, to, to + 10);
        settle_some(&mut log);
    }
}

/// The process is killed again and again before any commit is carried out. It resumes at its journal's
/// position.
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
        // The commit is ordered, and lost with the process.
        assert_eq!(settle_some(&mut log).len(), 1);
    }
}

/// An older pandad committed to the group without tokens.
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
    assert_eq!(position, 9, "the offset is recognized");
    assert_eq!(group.token().map(|token| token.offset), Some(9));
    // Once a token is committed, the same offset without one is a reset.
    group.reset(7);
    assert_eq!(start(&dir, &mut group).1, 7);
}

/// The topic was recreated while a commit of the old history was under way. When that commit is
/// carried out late, its offset must not be followed.
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
    // An operator may still set that offset.
    group.reset(100);
    assert_eq!(start(&dir, &mut group).1, 100);
}

/// The new history begins at the offset that the group holds of the old one.
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

/// A tool that copies offsets between groups may put a token beside an offset that the token does not name.
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

#[test]
fn commits_carry_no_token_if_the_storage_has_no_room() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2);
    assert_eq!(settle(&mut log), [(partition(), 2)]);
}

/// The journal is gone, for example because its file system is not mounted. The first start that finds
/// another journal's tokens logs that, once.
#[test]
fn a_new_journal_names_the_one_whose_tokens_the_group_holds() {
    let (dir, elsewhere, mut group) = (Dir::new(), Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 3);
    commit(&mut log, &mut group);
    let identity = log.ledger.identity();
    assert_eq!(log.ledger.strangers(), [], "its own tokens are no other journal's");
    let (log, position) = start(&elsewhere, &mut group);
    assert_eq!((log.ledger.strangers(), position), (vec![identity], 3));
    assign(&log, &mut group);
    assert_eq!(log.ledger.strangers(), [identity], "once");
    drop(log);
    let (log, _) = start(&elsewhere, &mut group);
    assert_eq!(log.ledger.strangers(), [], "the journal is not new any more");
}

/// The last batch that was written may be damaged at every broker. The group's offset is after that batch
/// already, but the comparison before reading needs the batch. A journal that has forgotten its landmarks
/// compares nothing.
#[test]
fn a_forgotten_journal_is_not_compared_with_what_it_wrote() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 8);
    commit(&mut log, &mut group);
    drop(log);
    for is_forgotten in [false, true] {
        if is_forgotten {
            assert_eq!(inspect::forget(&dir.log()), Ok(1));
        }
        let (offset, text) = group.0.clone().unwrap();
        assert_eq!(offset, 8);
        let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
        let resumed = log.ledger.resume(&partition(), Some(8), &OffsetMetadata::Text(text)).unwrap();
        assert_eq!(resumed.position, Some(8));
        assert_eq!(resumed.landmarks.is_empty(), is_forgotten);
        assert_eq!(dir.content(), lines(8));
    }
}

/// A commit of a history that the partition has left tells the journal nothing new, and is no sign of an
/// older copy of the journal.
#[test]
fn a_late_commit_of_a_history_that_was_left_is_expected() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 5);
    commit(&mut log, &mut group);
    log.ledger.set_position(&partition(), 2).unwrap();
    drop(log);
    let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    let mut position = 0;
    let told = crate::test_log::lines_of(|| position = assign(&log, &mut group));
    assert_eq!((position, told), (2, vec![]));
}

/// The log of the partition has diverged, and nothing was committed since. An operator may still want to go
/// to the offset that was committed before.
#[test]
fn the_offset_of_a_history_that_was_left_may_be_set_again() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (mut log, _) = start(&dir, &mut group);
    append(&mut log, 0, 100);
    commit(&mut log, &mut group);
    log.ledger.set_position(&partition(), 40).unwrap();
    drop(log);
    group.reset(100);
    let log = open(&dir.log(), &options(true), &mut RestartMemory::default()).unwrap();
    assert_eq!(assign(&log, &mut group), 100);
}

/// A claim can arrive late: when the partition has followed another one since, or when the offset that it
/// names was an earlier commit of this journal.
#[test]
fn a_late_claim_is_not_followed() {
    let (dir, mut group) = (Dir::new(), Group::default());
    let (log, _) = start(&dir, &mut group);
    drop(log);
    drop(start(&dir, &mut Group(Some((70, Token::claim(5, 70).to_string())))));
    drop(start(&dir, &mut Group(Some((80, Token::claim(6, 80).to_string())))));
    let late = &mut Group(Some((70, Token::claim(5, 70).to_string())));
    assert_eq!(start(&dir, late).1, 80, "another one was followed since");
    // An older pandad committed 7 without a token; the claim of that offset was recognized.
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 7);
    settle(&mut log);
    append(&mut log, 7, 9);
    drop(log);
    let claimed = || Group(Some((7, Token::claim(5, 7).to_string())));
    let (log, position) = start(&dir, &mut claimed());
    assert_eq!((position, log.ledger.needs_commit()), (9, false), "committed with a token");
    drop(log);
    assert_eq!(start(&dir, &mut claimed()).1, 9, "the claim again");
}

/// The name of a claim depends on the journal and on the history that the partition is in.
#[test]
fn an_offset_is_claimed_under_the_name_of_the_partition_s_history() {
    let dir = Dir::new();
    let log = fresh(&dir);
    let name = |partition: &TopicPartition| log.ledger.claim_name(partition, 9, 4);
    let unknown = TopicPartition::new("u", 0);
    let expected = |epoch| resume::claim_name(log.ledger.identity(), epoch, 9, 4);
    assert_eq!(name(&unknown), expected(None));
    let first = name(&partition());
    assert_eq!(first, name(&partition()));
    log.ledger.set_position(&partition(), 0).unwrap();
    assert!(first != expected(None) && first != name(&partition()), "another history");
    let followed = OffsetMetadata::Text(Token::claim(77, 9).to_string());
    log.ledger.resume(&partition(), Some(9), &followed).unwrap();
    assert_eq!(name(&partition()), expected(Some(77)));
}
