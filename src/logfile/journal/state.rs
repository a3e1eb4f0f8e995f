//! The state that a journal's entries add up to. Pure. The same code is used while a journal is
//! read at the start and while it is written, so that both agree.

mod files;
mod periods;
mod snapshot;
mod taken_over;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Deref;

use super::{
    ClosingFile, FileNumber, HeldOffsets, JournalEntry, Landmark, Mark, MarkRepeat, MarkedFile,
    MemberIdentity, PartitionState, PositionChange, Range, RepeatedPartition, RouteScope, Session,
};
use crate::logfile::disk::FileId;
use crate::record::TopicPartition;
#[cfg(test)]
pub(in crate::logfile) use files::BEGUN_WITHOUT_SYNC;
pub(in crate::logfile) use files::JournalledFile;
pub(in crate::logfile) use taken_over::TakenPartitions;

/// How many landmarks, committed offsets and left epochs are kept of each partition.
const KEPT_MAX: usize = 8;

/// The state of a partition, and which entries changed it. Marks repeat recent changes.
#[derive(Debug, Clone)]
pub(in crate::logfile) struct JournalledPartition {
    state: PartitionState,
    /// The byte of the half at which the mark begins that changed the position last; 0 if the snapshot did.
    moved: u64,
    /// The byte at which the entry begins that last replaced the whole state, and the number of the last
    /// range before that entry.
    replaced: (u64, u64),
}

impl JournalledPartition {
    fn settle(&mut self, change: &PositionChange, at: u64) {
        self.moved = at;
        self.state.position = change.position;
        if let Some(last) = change.last {
            push_bounded(&mut self.state.landmarks, last);
        }
    }

    /// Whether this state is known already, apart from position and landmarks.
    fn is_like(&self, state: &PartitionState) -> bool {
        self.state.epoch == state.epoch
            && self.state.partition == state.partition
            && self.state.committed == state.committed
            && self.state.left == state.left
            && self.state.held == state.held
            && self.state.former == state.former
            && self.state.topic_id == state.topic_id
            && self.state.leader_epochs == state.leader_epochs
    }
}

impl Deref for JournalledPartition {
    type Target = PartitionState;

    fn deref(&self) -> &PartitionState {
        &self.state
    }
}

/// Where the last of these ranges ends in each of the files.
pub(in crate::logfile) fn ends_of<'a>(
    ranges: impl Iterator<Item = &'a Range>,
) -> HashMap<FileNumber, (FileId, u64)> {
    ranges.flat_map(|range| &range.parts).map(|part| (part.number, (part.file, part.to))).collect()
}

/// The position of a partition once some ranges have settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logfile) struct SettledPosition {
    pub(in crate::logfile) index: u32,
    pub(in crate::logfile) position: i64,
    last: Option<Landmark>,
    moved: u64,
}

/// All that a snapshot must hold.
#[derive(Debug, Clone, Default)]
pub(in crate::logfile) struct JournalState {
    /// The partitions by their number, as of the last mark.
    pub(in crate::logfile) partitions: BTreeMap<u32, JournalledPartition>,
    numbers: HashMap<TopicPartition, u32>,
    /// The identities of the journals that were taken over.
    former: BTreeSet<u128>,
    /// The files of this journal by their number, as of the last mark.
    pub(in crate::logfile) files: BTreeMap<FileNumber, JournalledFile>,
    /// The files that are finished, and the byte of the half at which the mark stands that says so.
    finished: Vec<(FileNumber, u64)>,
    /// By when periods end that are complete, and the byte at which the mark stands that says so.
    complete: BTreeMap<RouteScope, (i64, u64)>,
    /// The last mark, without its files.
    pub(in crate::logfile) mark: Option<Mark>,
    /// The run that wrote last.
    pub(in crate::logfile) session: Option<Session>,
    /// This pandad's identity in its group, if this pandad is a member.
    pub(in crate::logfile) member: Option<MemberIdentity>,
    /// The cluster that the positions belong to, if it is known.
    pub(in crate::logfile) cluster: Option<String>,
    /// The files that no start could examine since a loss of power.
    pub(in crate::logfile) unexamined: BTreeSet<FileNumber>,
    /// The ranges after the last mark, in order. They are written, but may not be durable.
    pub(in crate::logfile) recent: VecDeque<Range>,
}

impl JournalState {
    /// Applies one entry, which stands at this byte of its half.
    pub(in crate::logfile) fn apply(&mut self, entry: JournalEntry, at: u64) {
        match entry {
            JournalEntry::Partition(index, state) => {
                let void = self.next_sequence() - 1;
                self.replace(RepeatedPartition { index, void, state }, at);
            }
            JournalEntry::Range(range) => {
                for part in &range.parts {
                    if let Some(known) = self.files.get_mut(&part.number) {
                        known.next = (part.file, part.to);
                    }
                }
                self.recent.push_back(range);
            }
            JournalEntry::Mark(mark) => self.apply_mark(mark, at),
            JournalEntry::Session(session) => self.session = Some(session),
            JournalEntry::Member(member) => self.member = Some(member),
            JournalEntry::Topic(index, id) => {
                if let Some(known) = self.partitions.get_mut(&index) {
                    known.moved = at;
                    known.replaced.0 = at;
                    known.state.topic_id = Some(id);
                }
            }
            JournalEntry::LeaderEpoch(index, start) => {
                if let Some(known) = self.partitions.get_mut(&index) {
                    known.moved = at;
                    known.replaced.0 = at;
                    known.state.leader_epochs.record(start);
                }
            }
            JournalEntry::Cluster(id) => self.cluster = Some(id),
            JournalEntry::Unknown(_) => {}
        }
    }

    /// Replaces the whole state of the partition. Ranges up to `void` no longer change its position.
    fn replace(&mut self, RepeatedPartition { index, void, state }: RepeatedPartition, at: u64) {
        for range in self.recent.iter_mut().filter(|range| range.sequence <= void) {
            range.changes.retain(|change| change.index != index);
        }
        self.numbers.insert(state.partition.clone(), index);
        self.former.extend(&state.former);
        self.partitions.insert(index, JournalledPartition { state, moved: at, replaced: (at, void) });
    }

    fn apply_mark(&mut self, mut mark: Mark, at: u64) {
        let repeat = std::mem::take(&mut mark.repeat);
        if repeat.is_snapshot {
            self.recent.clear();
        }
        let settled = self.take_settled(&mark);
        self.settle_ranges(&settled, at);
        self.apply_files(std::mem::take(&mut mark.files), at);
        for ClosingFile { number, to } in std::mem::take(&mut mark.closing) {
            if let Some(known) = self.files.get_mut(&number) {
                known.closing = Some((to, at));
            }
        }
        for number in std::mem::take(&mut mark.finished) {
            if self.files.remove(&number).is_some() {
                self.finished.push((number, at));
            }
        }
        self.unexamined = std::mem::take(&mut mark.unexamined).into_iter().collect();
        self.apply_complete(std::mem::take(&mut mark.complete), at);
        for partition in repeat.partitions {
            let RepeatedPartition { index, state, .. } = &partition;
            // Usually earlier entries have given this state already, and the ranges know more landmarks
            // than the mark.
            if self.partitions.get(index).is_some_and(|known| known.is_like(state)) {
                let last = state.landmarks.last().copied();
                self.settle(&[PositionChange { index: *index, position: state.position, last }], at);
            } else {
                self.replace(partition, at);
            }
        }
        self.settle(&repeat.positions, at);
        for commit in &mark.commits {
            let Some(known) = self.partitions.get_mut(&commit.index) else { continue };
            // Later marks repeat the list, too: without it, pandad's own commit would look like a reset.
            known.moved = at;
            known.replaced.0 = at;
            let state = &mut known.state;
            if let Some(acknowledged) = commit.acknowledged {
                state.committed = vec![acknowledged];
            }
            match commit.value {
                Some(value) => push_bounded(&mut state.committed, value),
                None => state.committed.clear(),
            }
        }
        mark.repeat.announced = repeat.announced;
        self.mark = Some(mark);
    }

    /// Takes the ranges that the mark settles.
    fn take_settled(&mut self, mark: &Mark) -> Vec<Range> {
        let upto = self.recent.iter().take_while(|range| range.sequence <= mark.sequence).count();
        let (held, settled): (Vec<Range>, Vec<Range>) =
            self.recent.drain(..upto).partition(|range| mark.held.contains(&range.sequence));
        held.into_iter().rev().for_each(|range| self.recent.push_front(range));
        settled
    }

    /// Forgets every partition: reading begins again at the group's offsets.
    pub(in crate::logfile) fn forget_partitions(&mut self) {
        self.partitions.clear();
        self.numbers.clear();
        self.former.clear();
        self.cluster = None;
        self.complete.clear();
        for range in &mut self.recent {
            range.changes.clear();
        }
    }

    /// Forgets every other partition.
    pub(in crate::logfile) fn keep_partitions(&mut self, kept: &BTreeSet<u32>) {
        self.partitions.retain(|index, _| kept.contains(index));
        self.numbers.retain(|_, index| kept.contains(index));
        self.former = self.partitions.values().flat_map(|known| &known.former).copied().collect();
    }

    /// Whether this journal has taken over one of this identity.
    pub(in crate::logfile) fn has_taken_over(&self, identity: u128) -> bool {
        self.former.contains(&identity)
    }

    /// Applies a range's changes to the positions.
    pub(in crate::logfile) fn settle(&mut self, changes: &[PositionChange], at: u64) {
        for change in changes {
            if let Some(known) = self.partitions.get_mut(&change.index) {
                known.settle(change, at);
            }
        }
    }

    /// Applies the changes of many ranges, which mostly change the same partitions.
    fn settle_ranges(&mut self, ranges: &[Range], at: u64) {
        let changes: usize = ranges.iter().map(|range| range.changes.len()).sum();
        if changes < self.partitions.len() / 8 {
            ranges.iter().for_each(|range| self.settle(&range.changes, at));
            return;
        }
        let mut known: Vec<_> = self.partitions.iter_mut().map(|(index, known)| (*index, known)).collect();
        for change in ranges.iter().flat_map(|range| &range.changes) {
            let place = place_of(&known, change.index, |(index, _)| *index);
            if let Some((_, known)) = place.and_then(|place| known.get_mut(place)) {
                known.settle(change, at);
            }
        }
    }

    /// The position of each partition once the ranges up to `sequence` have settled, in the order of the
    /// partitions' numbers.
    pub(in crate::logfile) fn settled_by(&self, sequence: u64, held: &[u64]) -> Vec<SettledPosition> {
        let known = self.partitions.iter().map(|(index, known)| SettledPosition {
            index: *index,
            position: known.position,
            last: None,
            moved: known.moved,
        });
        let mut settled: Vec<SettledPosition> = known.collect();
        let ranges = self.recent.iter().take_while(|range| range.sequence <= sequence);
        for range in ranges.filter(|range| !held.contains(&range.sequence)) {
            for change in &range.changes {
                let place = place_of(&settled, change.index, |known| known.index);
                if let Some(known) = place.and_then(|place| settled.get_mut(place)) {
                    known.position = change.position;
                    known.last = change.last.or(known.last);
                    known.moved = u64::MAX;
                }
            }
        }
        settled
    }

    /// What a mark repeats: everything that changed since this byte of the half.
    pub(in crate::logfile) fn repeat(&self, settled: &[SettledPosition], since: u64) -> MarkRepeat {
        let mut repeat = MarkRepeat { since, announced: self.next_sequence() - 1, ..MarkRepeat::default() };
        for SettledPosition { index, position, last, .. } in settled.iter().filter(|one| one.moved >= since) {
            let Some(known) = self.partitions.get(index) else { continue };
            let last = last.or(known.landmarks.last().copied());
            if known.replaced.0 < since {
                repeat.positions.push(PositionChange { index: *index, position: *position, last });
                continue;
            }
            let mut state = known.state.clone();
            state.position = *position;
            if let Some(last) = last {
                push_bounded(&mut state.landmarks, last);
            }
            repeat.partitions.push(RepeatedPartition { index: *index, void: known.replaced.1, state });
        }
        repeat
    }

    /// Records that a snapshot contains all changes so far.
    pub(in crate::logfile) fn forget_changes(&mut self) {
        for known in self.partitions.values_mut() {
            (known.moved, known.replaced) = (0, (0, 0));
        }
        for known in self.files.values_mut() {
            (known.moved, known.begun, known.filled) = (0, 0, None);
            known.closing.as_mut().into_iter().for_each(|(_, at)| *at = 0);
        }
        self.finished.clear();
        self.forget_complete_changes();
    }

    /// The number and the state of a partition.
    pub(in crate::logfile) fn find(&self, partition: &TopicPartition) -> Option<(u32, &PartitionState)> {
        let index = *self.numbers.get(partition)?;
        Some((index, &self.partitions.get(&index)?.state))
    }

    /// What an offset of the partition is claimed by: the present history, and the journal whose name the
    /// claim gets. A former journal may have claimed the very offset before it was taken over. Under the same
    /// name, its claim says nothing new if it arrives late.
    pub(in crate::logfile) fn naming(&self, partition: &TopicPartition, own: u128) -> (Option<u64>, u128) {
        let known = self.find(partition).map(|(_, state)| state);
        let former = known.and_then(|state| state.former.last().copied());
        (known.map(|state| state.epoch), former.unwrap_or(own))
    }

    /// The position of the partition once every announced range has settled.
    pub(in crate::logfile) fn written_position(&self, index: u32, state: &PartitionState) -> i64 {
        let changes = self.recent.iter().rev().flat_map(|range| &range.changes);
        let last = changes.into_iter().find(|change| change.index == index);
        last.map_or(state.position, |change| change.position)
    }

    /// A journal of an older pandad does not say which offsets the log file holds. From now on it is known.
    pub(in crate::logfile) fn begin_held(&mut self) {
        for known in self.partitions.values_mut().filter(|known| known.held.is_none()) {
            known.state.held = Some(HeldOffsets::begin_unknown(known.position));
        }
    }

    /// A number that no partition has.
    pub(in crate::logfile) fn free_number(&self) -> u32 {
        self.partitions.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// The sequence number of the next range.
    pub(in crate::logfile) fn next_sequence(&self) -> u64 {
        let marked = self.mark.as_ref().map_or(0, |mark| mark.sequence);
        self.recent.back().map_or(marked, |range| range.sequence.max(marked)) + 1
    }
}

/// Where an item stands in a list that is in the order of numbers. Most journals number their
/// partitions without a gap.
fn place_of<T>(list: &[T], index: u32, index_of: impl Fn(&T) -> u32) -> Option<usize> {
    let guess = index as usize;
    match list.get(guess) {
        Some(item) if index_of(item) == index => Some(guess),
        _ => list.binary_search_by_key(&index, index_of).ok(),
    }
}

/// Appends to a list that keeps its last [`KEPT_MAX`] items.
pub(in crate::logfile) fn push_bounded<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.last() == Some(&item) {
        return;
    }
    if list.len() >= KEPT_MAX {
        list.remove(0);
    }
    list.push(item);
}
