//! Two journals that know the same partitions: which of the two is further. Pure.
//!
//! That happens if the operator went back to a path without `{topic}`, or to an older pandad, and came back;
//! or if an old journal was put back from a copy; or if a journal had other topics before.

use std::cmp::Ordering;

use super::{JournalState, push_bounded};
use crate::logfile::journal::{HeldOffsets, PartitionState};

/// Which of two journals has the later state of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    Ours,
    Theirs,
    /// Both are at the same position of the same history.
    Neither,
    /// Neither has seen the history that the other one is in.
    Unclear,
}

/// Compares two states of a partition, whose positions are those that were written.
fn later_of(ours: &PartitionState, theirs: &PartitionState) -> Later {
    if ours.epoch == theirs.epoch {
        // Within a history the position only grows.
        return match theirs.position.cmp(&ours.position) {
            Ordering::Greater => Later::Theirs,
            Ordering::Equal => Later::Neither,
            Ordering::Less => Later::Ours,
        };
    }
    match (ours.left.contains(&theirs.epoch), theirs.left.contains(&ours.epoch)) {
        (true, false) => Later::Ours,
        (false, true) => Later::Theirs,
        _ => Later::Unclear,
    }
}

impl JournalState {
    /// The partition's state, with the position that was written.
    fn written(&self, index: u32, state: &PartitionState) -> PartitionState {
        PartitionState { position: self.written_position(index, state), ..state.clone() }
    }

    /// Whether the old journal of this identity knows anything that this one does not know. If not, it was
    /// taken over before, or is an older copy: its file must not be brought to what it says, since lines that
    /// were written later would be cut.
    pub(in crate::logfile) fn lacks(&self, old: &Self, identity: u128) -> bool {
        let is_new = !self.has_taken_over(identity);
        let mut is_behind = old.partitions.is_empty();
        for (index, theirs) in &old.partitions {
            let Some((own, ours)) = self.find(&theirs.partition) else { return true };
            match later_of(&self.written(own, ours), &old.written(*index, theirs)) {
                Later::Theirs => return true,
                // A journal that was taken over before is rather an older copy than gone on with so far that
                // no history of then is left.
                Later::Unclear if is_new => return true,
                Later::Unclear | Later::Ours => is_behind = true,
                Later::Neither => {}
            }
        }
        // One that began where this one stopped may have torn lines behind that, whose ranges were lost.
        is_new && !is_behind
    }

    /// The partitions of the old journal that this one goes on with, as it is to know these. `is_assigned`
    /// says of which partitions records may be under way. Nothing may be unsettled in the old journal. The
    /// others are those that nothing shows to be later, with the position here.
    pub(in crate::logfile) fn take_from(
        &self,
        old: &Self,
        (identity, topic): (u128, &str),
        is_assigned: impl Fn(u32) -> bool,
    ) -> TakenPartitions {
        let mut taken = TakenPartitions::default();
        for theirs in old.partitions.values() {
            let theirs: &PartitionState = theirs;
            let Some((index, ours)) = self.find(&theirs.partition) else {
                let former = vec![identity];
                taken.states.push(PartitionState { former, ..theirs.clone() });
                continue;
            };
            let later = later_of(&self.written(index, ours), theirs);
            // The lines of another topic go to a file whose own journal knows them better.
            let is_own = &*theirs.partition.topic == topic;
            let is_theirs =
                later == Later::Theirs || later == Later::Unclear && is_own && !self.has_taken_over(identity);
            if later == Later::Unclear && is_own {
                taken.unclear.push((ours.clone(), theirs.clone()));
            }
            if is_theirs && !is_assigned(index) {
                taken.states.push(go_on(ours, theirs.clone(), identity));
            }
        }
        taken
    }
}

/// What is taken from an old journal.
#[derive(Debug, Default)]
pub(in crate::logfile) struct TakenPartitions {
    pub(in crate::logfile) states: Vec<PartitionState>,
    /// Partitions of which nothing shows which state is later: that of this journal, and that of the old one.
    pub(in crate::logfile) unclear: Vec<(PartitionState, PartitionState)>,
}

/// Their state, with what only ours knows.
fn go_on(ours: &PartitionState, mut theirs: PartitionState, identity: u128) -> PartitionState {
    let is_same_line = ours.former.contains(&identity);
    theirs.former.clone_from(&ours.former);
    theirs.former.retain(|known| *known != identity);
    push_bounded(&mut theirs.former, identity);
    // A journal that was taken over before has in its own list what was taken over then.
    if let (Some(before), Some(after), false) = (&ours.held, &theirs.held, is_same_line) {
        theirs.held = Some(HeldOffsets::joined(before, ours.position, after));
    }
    theirs
}

#[cfg(test)]
mod tests {
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
        }
    }

    fn journal(states: &[PartitionState]) -> JournalState {
        let mut journal = JournalState::default();
        for (index, state) in (0..).zip(states) {
            journal.apply(JournalEntry::Partition(index, state.clone()), 0);
        }
        journal
    }

    /// Ours, theirs, whether theirs is to be taken over, and the position then for the file's own topic and for
    /// another one.
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
}
