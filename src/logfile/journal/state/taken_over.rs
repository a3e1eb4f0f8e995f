//! Two journals that know the same partitions: which of the two is further. Pure.
//!
//! That happens if the operator went back to a path without `{topic}`, or to an older pandad, and came back;
//! or if an old journal was put back from a copy; or if a journal had other topics before.

#[cfg(test)]
mod tests;

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
