//! Which of two states of a partition is the later one.

use super::super::*;
use super::*;

const OLD: u128 = 9;

fn state(position: i64, epoch: u64, left: &[u64], former: &[u128]) -> PartitionState {
    PartitionState {
        partition: TopicPartition::new("t", 0),
        position,
        epoch,
        landmarks: Vec::new(),
        committed: Vec::new(),
        left: left.to_vec(),
        held: Some(HeldOffsets::begin(position - 5)),
        former: former.to_vec(),
        topic_id: None,
        leader_epochs: Default::default(),
    }
}

fn journal(states: &[PartitionState]) -> JournalState {
    let mut journal = JournalState::default();
    for (index, state) in (0..).zip(states) {
        journal.apply(JournalEntry::Partition(index, state.clone()), 0);
    }
    journal
}

/// Ours, theirs, whether theirs is to be taken over, and the position then for the file's own topic and
/// for another one.
#[test]
fn each_pair_of_states_has_its_winner() {
    let cases = [
        (state(10, 1, &[], &[]), state(11, 1, &[], &[]), true, [11, 11]),
        (state(10, 1, &[], &[]), state(9, 1, &[], &[]), false, [10, 10]),
        (state(10, 1, &[], &[OLD]), state(11, 1, &[], &[]), true, [11, 11]),
        (state(10, 1, &[], &[OLD]), state(10, 1, &[], &[]), false, [10, 10]),
        (state(10, 1, &[], &[]), state(10, 1, &[], &[]), true, [10, 10]),
        (state(10, 1, &[2], &[]), state(11, 2, &[], &[]), false, [10, 10]),
        (state(10, 1, &[], &[]), state(3, 2, &[1], &[]), true, [3, 3]),
        (state(10, 1, &[], &[OLD]), state(3, 2, &[1], &[]), true, [3, 3]),
        (state(10, 1, &[], &[]), state(3, 2, &[], &[]), true, [3, 10]),
        (state(10, 1, &[2], &[]), state(3, 2, &[1], &[]), true, [3, 10]),
        (state(10, 1, &[], &[OLD]), state(3, 2, &[], &[]), false, [10, 10]),
    ];
    for (number, (ours, theirs, lacks, positions)) in cases.into_iter().enumerate() {
        let (our, old) = (journal(std::slice::from_ref(&ours)), journal(std::slice::from_ref(&theirs)));
        assert_eq!(our.lacks(&old, OLD), lacks, "case {number}");
        for (topic, position) in ["t", "u"].into_iter().zip(positions) {
            let taken = our.take_from(&old, (OLD, topic), |_| false);
            let at = taken.states.first().map_or(ours.position, |state| state.position);
            assert_eq!(at, position, "case {number}, {topic}");
            assert!(our.take_from(&old, (OLD, topic), |_| true).states.is_empty(), "case {number}");
            let names = |state: &PartitionState| state.former.last() == Some(&OLD);
            assert!(taken.states.iter().all(names), "case {number}");
        }
    }
    assert!(!journal(&[state(10, 1, &[], &[])]).lacks(&JournalState::default(), OLD), "nothing is there");
    assert!(JournalState::default().lacks(&journal(&[state(3, 1, &[], &[])]), OLD));
}

#[test]
fn what_both_have_written_is_known_after_it() {
    let theirs = state(20, 1, &[], &[]);
    let held = |former: &[u128]| {
        let taken = journal(&[state(10, 1, &[], former)]).take_from(
            &journal(std::slice::from_ref(&theirs)),
            (OLD, "t"),
            |_| false,
        );
        taken.states[0].held.clone().unwrap().ranges(20)
    };
    assert_eq!(held(&[]), [(5, 10), (15, 20)]);
    assert_eq!(held(&[OLD]), [(15, 20)], "it has what was taken over then in its own list");
}

#[test]
fn the_names_of_the_last_former_journals_are_kept() {
    let former: Vec<u128> = (100..108).collect();
    let ours = journal(&[state(10, 1, &[], &former)]);
    let taken = ours.take_from(&journal(&[state(11, 1, &[], &[])]), (OLD, "t"), |_| false);
    assert_eq!(taken.states[0].former, [101, 102, 103, 104, 105, 106, 107, OLD]);
    let again = ours.take_from(&journal(&[state(11, 1, &[], &[])]), (103, "t"), |_| false);
    assert_eq!(again.states[0].former, [100, 101, 102, 104, 105, 106, 107, 103]);
}

#[test]
fn what_was_taken_over_is_forgotten_with_the_partitions() {
    let mut ours = journal(&[
        state(10, 1, &[], &[OLD]),
        PartitionState { partition: TopicPartition::new("t", 1), ..state(1, 1, &[], &[7]) },
    ]);
    assert!(ours.has_taken_over(OLD) && ours.has_taken_over(7) && !ours.has_taken_over(8));
    ours.keep_partitions(&BTreeSet::from([1]));
    assert!(!ours.has_taken_over(OLD) && ours.has_taken_over(7));
    ours.forget_partitions();
    assert!(!ours.has_taken_over(7));
}

/// A mark repeats a state of which only the former journals are new.
#[test]
fn a_mark_brings_former_journals() {
    let mut ours = journal(&[state(10, 1, &[], &[])]);
    let taken = RepeatedPartition { index: 0, void: 0, state: state(10, 1, &[], &[OLD]) };
    let repeat = MarkRepeat { partitions: vec![taken], ..MarkRepeat::default() };
    ours.apply(JournalEntry::Mark(Mark { repeat, ..Mark::default() }), 0);
    assert!(ours.has_taken_over(OLD));
    assert_eq!(ours.partitions[&0].former, [OLD]);
}

/// What is written here counts, be it settled or not.
#[test]
fn an_old_journal_behind_what_is_written_is_not_taken_over() {
    let mut ours = journal(&[state(10, 1, &[], &[])]);
    let changes = vec![PositionChange { index: 0, position: 12, last: None }];
    ours.apply(JournalEntry::Range(Range { sequence: 1, parts: Vec::new(), changes }), 0);
    let lacks = |position| ours.lacks(&journal(&[state(position, 1, &[], &[])]), OLD);
    assert_eq!([11, 13].map(lacks), [false, true]);
}
