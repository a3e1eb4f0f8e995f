//! What entries add up to.

use super::super::{Landmark, MarkedCommit};
use super::*;
use crate::logfile::disk::FileId;

fn partition(index: u32, position: i64) -> JournalEntry {
    let partition = TopicPartition::new("t", index as i32);
    let state = PartitionState {
        partition,
        position,
        epoch: 1,
        landmarks: Vec::new(),
        committed: Vec::new(),
        left: Vec::new(),
        held: None,
    };
    JournalEntry::Partition(index, state)
}

fn range(sequence: u64, position: i64) -> JournalEntry {
    let last = Some(Landmark { offset: position - 1, fingerprint: 5 });
    let file = FileId { device: 1, inode: 2 };
    let changes = vec![PositionChange { index: 0, position, last }];
    JournalEntry::Range(Range { sequence, file, from: 0, to: 9, crc: 0, before: 0, changes })
}

fn mark(sequence: u64, commits: Vec<(u32, i64)>) -> JournalEntry {
    let commit = |(index, value)| MarkedCommit { index, acknowledged: None, value: Some(value) };
    let commits = commits.into_iter().map(commit).collect();
    let file = FileId { device: 1, inode: 2 };
    let repeat = MarkRepeat::default();
    JournalEntry::Mark(Mark { sequence, file, end: 9, before: 0, head: None, commits, repeat })
}

fn added_up(entries: Vec<JournalEntry>) -> JournalState {
    let mut state = JournalState::default();
    entries.into_iter().for_each(|entry| state.apply(entry, 0));
    state
}

#[test]
fn a_mark_settles_only_the_ranges_before_it() {
    let entries = vec![partition(0, 10), range(1, 20), range(2, 30), mark(1, vec![(0, 20)])];
    let state = added_up(entries);
    let (_, known) = state.find(&TopicPartition::new("t", 0)).unwrap();
    assert_eq!((known.position, known.committed.as_slice()), (20, [20].as_slice()));
    assert_eq!(state.recent.len(), 1);
    assert_eq!(state.next_sequence(), 3);
}

#[test]
fn replaying_a_snapshot_gives_the_same_state() {
    let mut entries = vec![partition(0, 0), partition(1, 5)];
    for n in 1..=20 {
        entries.push(range(n, n as i64 * 10));
        entries.push(mark(n, vec![(0, n as i64 * 10)]));
    }
    entries.push(range(21, 999));
    entries.push(JournalEntry::Member(MemberIdentity { id: "m".to_owned(), silent: true }));
    let state = added_up(entries);
    let again = added_up(state.snapshot());
    assert_eq!(again.snapshot(), state.snapshot());
    assert_eq!(again.recent, state.recent);
    assert_eq!(again.member, state.member);
    assert_eq!(again.next_sequence(), 22);
    assert_eq!(state.partitions[&0].landmarks.len(), KEPT_MAX);
}

/// The position is set while a range is not settled, and a mark with a commit comes that settles less.
#[test]
fn a_mark_repeats_that_a_range_does_not_count_any_more() {
    let mut whole = added_up(vec![partition(0, 10), range(1, 20)]);
    whole.apply(partition(0, 5), 200);
    whole.apply(mark(0, vec![(0, 5)]), 300);
    let repeat = whole.repeat(&whole.settled_by(0), 100);
    let JournalEntry::Mark(later) = mark(0, Vec::new()) else { panic!() };
    // The entries at 200 and at 300 are lost.
    let mut state = added_up(vec![partition(0, 10), range(1, 20)]);
    state.apply(JournalEntry::Mark(Mark { repeat, ..later }), 400);
    state.apply(mark(1, Vec::new()), 500);
    let (_, known) = state.find(&TopicPartition::new("t", 0)).unwrap();
    assert_eq!((known.position, known.committed.as_slice()), (5, [5].as_slice()));
}
