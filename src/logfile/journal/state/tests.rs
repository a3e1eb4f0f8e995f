//! What entries add up to.

use super::super::{FilePlace, Landmark, MarkedCommit, ONLY_FILE, RangePart};
use super::*;
use crate::logfile::disk::FileId;
use crate::record::TopicId;

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
        former: Vec::new(),
        topic_id: None,
        leader_epochs: Default::default(),
    };
    JournalEntry::Partition(index, state)
}

fn range(sequence: u64, position: i64) -> JournalEntry {
    let last = Some(Landmark { offset: position - 1, fingerprint: 5 });
    let file = FileId { device: 1, inode: 2 };
    let changes = vec![PositionChange { index: 0, position, last }];
    let part = RangePart { number: ONLY_FILE, file, from: 0, to: 9, crc: 0, before: 0 };
    JournalEntry::Range(Range { sequence, parts: vec![part], changes })
}

fn mark(sequence: u64, commits: Vec<(u32, i64)>) -> JournalEntry {
    let commit = |(index, value)| MarkedCommit { index, acknowledged: None, value: Some(value) };
    let commits = commits.into_iter().map(commit).collect();
    let file = FileId { device: 1, inode: 2 };
    let place = FilePlace { file, end: 9, before: 0, head: None };
    JournalEntry::Mark(Mark { commits, ..Mark::of_only_file(sequence, place) })
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
    let repeat = whole.repeat(&whole.settled_by(0, &[]), 100);
    let JournalEntry::Mark(later) = mark(0, Vec::new()) else { panic!() };
    // The entries at 200 and at 300 are lost.
    let mut state = added_up(vec![partition(0, 10), range(1, 20)]);
    state.apply(JournalEntry::Mark(Mark { repeat, ..later }), 400);
    state.apply(mark(1, Vec::new()), 500);
    let (_, known) = state.find(&TopicPartition::new("t", 0)).unwrap();
    assert_eq!((known.position, known.committed.as_slice()), (5, [5].as_slice()));
}

fn range_of(sequence: u64, positions: &[(u32, i64)]) -> JournalEntry {
    let JournalEntry::Range(range) = range(sequence, 1) else { panic!() };
    let change = |(index, position): &(u32, i64)| {
        let last = Some(Landmark { offset: position - 1, fingerprint: 5 });
        PositionChange { index: *index, position: *position, last }
    };
    JournalEntry::Range(Range { changes: positions.iter().map(change).collect(), ..range })
}

/// A range changes few of many partitions, or most of them, and their numbers have gaps.
#[test]
fn every_change_finds_its_partition() {
    for gap in [1, 3] {
        for changed in [1, 2, 30, 60] {
            let numbers: Vec<u32> = (0..60).map(|number| number * gap).collect();
            let mut entries: Vec<_> = numbers.iter().map(|number| partition(*number, 10)).collect();
            let positions: Vec<(u32, i64)> = numbers
                .iter()
                .rev()
                .take(changed)
                .map(|number| (*number, 100 + i64::from(*number)))
                .collect();
            // One of them is not known, as after it was forgotten.
            entries.push(range_of(1, &[positions.as_slice(), &[(1000, 7)]].concat()));
            let mut state = added_up(entries);
            let after = |position: &dyn Fn(u32) -> i64| {
                numbers.iter().all(|number| {
                    let is_changed = positions.iter().any(|(changed, _)| changed == number);
                    position(*number) == if is_changed { 100 + i64::from(*number) } else { 10 }
                })
            };
            let settled = state.settled_by(1, &[]);
            let of = |number: u32| settled.iter().find(|one| one.index == number).unwrap().position;
            assert!(after(&of) && settled.len() == 60, "{changed}, by {gap}");
            state.apply(mark(1, Vec::new()), 0);
            assert!(after(&|number| state.partitions[&number].position), "{changed}, by {gap}");
            let landmarks = state.partitions.values().filter(|known| !known.landmarks.is_empty()).count();
            assert_eq!(landmarks, changed);
            assert_eq!((state.free_number(), state.partitions.len()), (59 * gap + 1, 60));
        }
    }
}

/// An offset of which a commit was acknowledged takes the earlier ones from the list; the group cannot hold
/// any of these any more. A token takes all.
#[test]
fn a_commit_changes_the_offsets_that_the_group_may_hold() {
    let commit = |sequence, acknowledged, value| {
        let JournalEntry::Mark(mark) = mark(sequence, Vec::new()) else { panic!() };
        JournalEntry::Mark(Mark { commits: vec![MarkedCommit { index: 0, acknowledged, value }], ..mark })
    };
    let mut state = added_up(vec![partition(0, 10)]);
    let mut committed = |entry| {
        state.apply(entry, 0);
        state.partitions[&0].committed.clone()
    };
    assert_eq!(committed(commit(0, None, Some(10))), [10]);
    assert_eq!(committed(commit(0, None, Some(20))), [10, 20]);
    assert_eq!(committed(commit(0, None, Some(20))), [10, 20], "the same again");
    assert_eq!(committed(commit(0, Some(20), Some(30))), [20, 30]);
    assert!(committed(commit(0, Some(30), None)).is_empty());
    let last = (0..12).map(|value| committed(commit(0, None, Some(value)))).last().unwrap();
    assert_eq!(last, [4, 5, 6, 7, 8, 9, 10, 11], "the newest are kept");
}

/// A partition whose position was set anew takes no position from ranges before that, and the others do.
#[test]
fn a_partition_that_is_replaced_leaves_earlier_ranges() {
    let mut state = added_up(vec![partition(0, 10), partition(1, 10), range_of(1, &[(0, 20), (1, 20)])]);
    state.apply(partition(0, 5), 0);
    state.apply(range_of(2, &[(1, 30)]), 0);
    let settled: Vec<i64> = state.settled_by(1, &[]).iter().map(|one| one.position).collect();
    assert_eq!(settled, [5, 20], "up to the first range");
    state.apply(mark(2, Vec::new()), 0);
    assert_eq!((state.partitions[&0].position, state.partitions[&1].position), (5, 30));
    state.forget_partitions();
    assert!(state.partitions.is_empty() && state.find(&TopicPartition::new("t", 0)).is_none());
}

/// The disk of one file refuses a range while a commit of the same partition is journalled. If that mark is
/// lost, a later one repeats the partition's state, and the held range still moves the position.
#[test]
fn a_held_range_moves_its_partition_although_a_lost_mark_had_a_commit() {
    let held = |sequence, commits| match mark(sequence, commits) {
        JournalEntry::Mark(mark) => Mark { held: vec![2], ..mark },
        _ => panic!("not a mark"),
    };
    let before = vec![partition(0, 0), range(1, 10), range(2, 20), range(3, 30)];
    let mut whole = added_up(before.clone());
    // The third range is another partition's.
    whole.recent[2].changes.clear();
    let mut lost = whole.clone();
    whole.apply(JournalEntry::Mark(held(3, vec![(0, 10)])), 100);
    let repeat = whole.repeat(&whole.settled_by(3, &[2]), 50);
    assert_eq!(repeat.partitions.len(), 1, "the commit is repeated");
    lost.apply(JournalEntry::Mark(Mark { repeat, ..held(3, Vec::new()) }), 200);
    assert_eq!(lost.recent, whole.recent);
    lost.apply(mark(3, Vec::new()), 300);
    let (_, known) = lost.find(&TopicPartition::new("t", 0)).unwrap();
    assert_eq!(known.position, 20);
}

/// A mark repeats a state of which only the topic is new.
#[test]
fn a_mark_brings_the_topic_of_a_partition() {
    let JournalEntry::Partition(index, mut state) = partition(0, 10) else { panic!() };
    let mut known = added_up(vec![partition(0, 10)]);
    state.topic_id = TopicId::new(5);
    let repeat =
        MarkRepeat { partitions: vec![RepeatedPartition { index, void: 0, state }], ..MarkRepeat::default() };
    known.apply(JournalEntry::Mark(Mark { repeat, ..Mark::default() }), 100);
    assert_eq!(known.partitions[&0].topic_id, TopicId::new(5));
}

/// A snapshot says which ranges follow it, and which files are about to be moved.
#[test]
fn a_snapshot_tells_of_ranges_behind_it_and_of_closing_files() {
    let mut state = added_up(vec![partition(0, 0), mark(0, Vec::new()), range(1, 10), range(2, 20)]);
    let closing = vec![ClosingFile { number: ONLY_FILE, to: "done".into() }];
    let JournalEntry::Mark(first) = mark(1, Vec::new()) else { panic!() };
    state.apply(JournalEntry::Mark(Mark { closing: closing.clone(), ..first }), 100);
    let again = added_up(state.snapshot());
    assert_eq!(again.closing_since(0), closing);
    assert_eq!(again.mark.as_ref().map(|mark| mark.repeat.announced), Some(2));
    assert_eq!(again.recent.len(), 1);
}
