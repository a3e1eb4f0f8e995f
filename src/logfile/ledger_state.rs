//! What the ledger keeps behind its lock: the journal, the state that its entries add up to, and the
//! view of the group. Each method writes the journal first and changes memory last.

mod marks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;
use std::time::Instant;

use super::disk::FileId;
use super::group_view::{GroupView, NumberMap};
use super::journal::{
    EntryRefused, FileNumber, FilePlace, HeldOffsets, JournalEntry, JournalFile, JournalState, Landmark,
    Mark, MarkedCommit, PartitionState, Range, RouteScope, SettledPosition, push_bounded,
};
use super::resume::Resumed;
use super::written_files::WrittenFiles;
use crate::host;
use crate::record::{Commit, LeaderEpochs, Token, TopicPartition};

/// Why a partition goes on at another position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PositionMove {
    /// Somebody wants to go on there.
    Elsewhere,
    /// The log of the partition has other records from there on than those that were written.
    OtherLog,
}

#[derive(Debug)]
pub(super) struct LedgerState {
    pub(super) journal: JournalFile,
    /// The positions as of the last mark, and the ranges after it.
    pub(super) state: JournalState,
    /// The written position of each assigned partition, by the partition's number.
    pub(super) written: NumberMap<i64>,
    pub(super) group: GroupView,
    pub(super) files: WrittenFiles,
    /// The files that could not be examined at the start. Their ranges wait for a later one.
    pub(super) left: BTreeSet<FileNumber>,
    /// By when periods end that are complete. Marks say so of those that a finished file had.
    pub(super) complete: BTreeMap<RouteScope, i64>,
    /// If this journal is new: the journals whose tokens were found in the group.
    pub(super) strangers: Option<Vec<u128>>,
    /// While several positions are decided together, one sync follows all of these.
    pub(super) delayed_sync: Option<DelayedSync>,
}

/// A sync that is put off until all positions of a start are decided.
#[derive(Debug, Default)]
pub(super) struct DelayedSync {
    /// Whether a decision waits for it.
    pub(super) is_due: bool,
}

impl LedgerState {
    /// Appends an entry and then applies it. If the journal is full, it is rewritten first.
    pub(super) fn append_entry(&mut self, entry: JournalEntry) -> io::Result<()> {
        // A partition's entry says what the marks before it have settled. If a loss of power took such a mark
        // and left the entry, the next start would cut lines of settled ranges of which one file is gone, and
        // nobody would fetch their records again.
        let is_partition = matches!(entry, JournalEntry::Partition(..));
        if is_partition && self.state.has_several_files() && self.journal.has_unsynced_mark() {
            self.journal.to_sync().sync()?;
        }
        let at = match self.journal.append(&entry) {
            Err(EntryRefused::Full) => {
                self.begin_half(&entry)?;
                self.journal.append(&entry)
            }
            appended => appended,
        };
        self.state.apply(entry, at.map_err(to_io)?);
        Ok(())
    }

    /// Whether everything that this run has written to other files than these has settled.
    pub(super) fn has_settled_but(&self, files: &BTreeSet<FileNumber>) -> bool {
        let mut parts = self.state.recent.iter().flat_map(|range| &range.parts);
        parts.all(|part| self.left.contains(&part.number) || files.contains(&part.number))
    }

    /// Rewrites the journal, so that there is room for the entry.
    fn begin_half(&mut self, entry: &JournalEntry) -> io::Result<()> {
        self.journal.rewrite(&self.state.snapshot(), Some(entry))?;
        self.state.forget_changes();
        Ok(())
    }

    /// The journal that a token in the group names, if the present journal is new and that other journal
    /// was not found before.
    pub(super) fn new_stranger(&mut self, committed: Option<i64>, metadata: &str) -> Option<u128> {
        let known = self.strangers.as_mut()?;
        let Token { identity, .. } = Token::naming(committed?, metadata).filter(|token| !token.is_claim())?;
        let is_own = identity == self.journal.identity() || self.state.has_taken_over(identity);
        let is_new = !is_own && !known.contains(&identity);
        is_new.then(|| known.push(identity)).map(|()| identity)
    }

    /// Whether the last mark that is durable may say that one of the range's files is empty, or may not know
    /// the file.
    pub(super) fn may_begin_empty(&self, range: &Range) -> bool {
        let synced_to = self.journal.synced_to();
        let files = range.parts.iter().filter_map(|part| self.state.files.get(&part.number));
        files.into_iter().any(|file| file.may_begin_empty(synced_to) || file.may_be_unknown(synced_to))
    }

    /// Journals a range that is about to be written. Recovery adopts a range only where the range before it
    /// ends in each file, so this refuses a range that begins anywhere else.
    pub(super) fn announce(&mut self, range: Range) -> io::Result<()> {
        for part in &range.parts {
            let end = self.state.files.get(&part.number).map(|file| file.next);
            if end != Some((part.file, part.from)) || part.from > part.to {
                return Err(contradiction("the range", &range, end));
            }
        }
        if range.sequence != self.state.next_sequence() {
            return Err(contradiction("the range", &range, None));
        }
        self.append_entry(JournalEntry::Range(range))
    }

    /// As [`Self::move_position`], because somebody wants to go on there.
    pub(super) fn set_position(
        &mut self,
        partition: &TopicPartition,
        position: i64,
        epoch: u64,
        landmarks: Vec<Landmark>,
    ) -> io::Result<()> {
        self.move_position(partition, (position, PositionMove::Elsewhere), epoch, landmarks)
    }

    /// Records that the partition goes on at this position in this history. `landmarks` must be the records
    /// just before the position: landmarks of another position or another log would mislead the comparison.
    pub(super) fn move_position(
        &mut self,
        partition: &TopicPartition,
        (position, move_kind): (i64, PositionMove),
        epoch: u64,
        landmarks: Vec<Landmark>,
    ) -> io::Result<()> {
        let end = self.state.find(partition).map(|(index, known)| self.state.written_position(index, known));
        if end.is_some_and(|end| position < end) {
            self.expect_again(partition)?;
        }
        let (index, state) = match self.state.find(partition) {
            Some((index, known)) => {
                let (left, end) = (known.epoch, self.state.written_position(index, known));
                let mut known = PartitionState { position, epoch, landmarks, ..PartitionState::clone(known) };
                if known.landmarks.is_empty() {
                    // The position may be one of another topic of the same name.
                    known.topic_id = None;
                    known.leader_epochs = LeaderEpochs::default();
                }
                known.leader_epochs.cut(position);
                if left != epoch {
                    keep_newest(&mut known.left, left);
                }
                let values = self.group.leave_history(index);
                if !self.group.carries_token(partition) {
                    values.into_iter().for_each(|value| keep_newest(&mut known.committed, value));
                }
                let held = known.held.get_or_insert_with(|| HeldOffsets::begin_unknown(end));
                match move_kind {
                    PositionMove::Elsewhere => held.move_to(end, position),
                    PositionMove::OtherLog => held.replaced_from(end, position),
                }
                (index, known)
            }
            None => {
                let (committed, left) = (Vec::new(), Vec::new());
                let held = Some(HeldOffsets::begin(position));
                let (partition, former, topic_id) = (partition.clone(), Vec::new(), None);
                let state = PartitionState {
                    partition,
                    position,
                    epoch,
                    landmarks,
                    committed,
                    left,
                    held,
                    former,
                    topic_id,
                    leader_epochs: LeaderEpochs::default(),
                };
                (self.state.free_number(), state)
            }
        };
        self.append_entry(JournalEntry::Partition(index, state))?;
        if let Some(delayed) = &mut self.delayed_sync {
            delayed.is_due = true;
            return Ok(());
        }
        // Durable at once: if a loss of power took the decision away, the next start might decide
        // otherwise.
        self.journal.to_sync().sync()
    }

    /// Records that the group holds this offset, with this metadata beside it. If the metadata does not
    /// name the present history, the offset is kept among those that are recognized later, whatever happens
    /// to the commits that follow.
    pub(super) fn record_group_offset(
        &mut self,
        partition: &TopicPartition,
        value: i64,
        metadata: &str,
        went_back: bool,
    ) -> io::Result<()> {
        let Some((index, state)) = self.state.find(partition) else { return Ok(()) };
        let (mut kept, mut left) = (state.committed.clone(), state.left.clone());
        let held = match Token::naming(value, metadata) {
            _ if !self.group.carries_token(partition) => {
                keep_newest(&mut kept, value);
                true
            }
            Some(token) if token.epoch == state.epoch => {
                kept.clear();
                if !went_back {
                    self.group.record_token(index);
                }
                // A claim does not count, because pandad's own token replaces it at once.
                !token.is_claim()
            }
            Some(token) => {
                // The claim names an offset that this journal itself committed. If the claim arrives late,
                // it will be recognized by that offset.
                if token.is_claim() {
                    keep_newest(&mut left, token.epoch);
                }
                false
            }
            None => {
                kept = vec![value];
                false
            }
        };
        if (&kept, &left) != (&state.committed, &state.left) {
            let state = PartitionState { committed: kept, left, ..state.clone() };
            self.append_entry(JournalEntry::Partition(index, state))?;
        }
        if held {
            self.group.record_held(index, value);
        }
        Ok(())
    }

    /// Records that the partition is assigned. Writing goes on at its position.
    pub(super) fn assign(&mut self, partition: &TopicPartition) -> Resumed {
        let Some((index, state)) = self.state.find(partition) else {
            return Resumed { position: None, landmarks: Vec::new(), skipped: 0..0 };
        };
        let (position, landmarks) = (state.position, state.landmarks.clone());
        let resumed = Resumed { position: Some(position), landmarks, skipped: 0..0 };
        self.written.insert(index, position);
        resumed
    }

    pub(super) fn uncommitted(&self) -> impl Iterator<Item = (u32, i64)> {
        let now = Instant::now();
        self.state.partitions.iter().filter_map(move |(index, state)| {
            let assigned = self.written.contains_key(index);
            let differs = self.group.lacks(*index, state.position) && self.group.is_due(*index, now);
            (assigned && differs).then_some((*index, state.position))
        })
    }

    /// The settled positions of assigned partitions, without those that the group holds already, or has
    /// just refused.
    pub(super) fn to_commit(&self, settled: &[SettledPosition]) -> Vec<(u32, i64)> {
        let now = Instant::now();
        let positions = settled.iter().map(|one| (one.index, one.position));
        positions
            .filter(|(index, position)| {
                self.written.contains_key(index)
                    && self.group.lacks(*index, *position)
                    && self.group.is_due(*index, now)
            })
            .collect()
    }

    /// How these commits change the lists of offsets that the group may hold.
    pub(super) fn committed_changes(&self, commits: &[(u32, i64)]) -> Vec<MarkedCommit> {
        let carries_token = |index: &u32| {
            self.state.partitions.get(index).is_some_and(|state| self.group.carries_token(&state.partition))
        };
        let bare = commits.iter().filter(|(index, _)| !carries_token(index)).map(|(index, value)| {
            let (acknowledged, value) = (self.group.own_commit(*index), Some(*value));
            MarkedCommit { index: *index, acknowledged, value }
        });
        bare.chain(self.obsolete()).collect()
    }

    /// Partitions of which the group holds a token of the present history. Offsets that were committed
    /// without a token are not recognized any more for these partitions: an operator who sets such an
    /// offset now wants to go there.
    fn obsolete(&self) -> impl Iterator<Item = MarkedCommit> {
        let named = self.state.partitions.iter().filter(|(index, state)| {
            // Usually the list is empty, and this check costs the least.
            !state.committed.is_empty()
                && self.group.carries_token(&state.partition)
                && self.group.own_commit(**index).is_some()
        });
        named.map(|(index, _)| MarkedCommit { index: *index, acknowledged: None, value: None })
    }

    pub(super) fn forget_obsolete(&mut self) -> io::Result<()> {
        let commits: Vec<MarkedCommit> = self.obsolete().collect();
        match self.state.mark.clone() {
            Some(mark) if !commits.is_empty() => {
                let settled = self.state.settled_by(mark.sequence, &mark.held);
                self.append_mark(Mark { commits, ..mark }, &settled)
            }
            _ => Ok(()),
        }
    }

    /// Hands out a commit, with a token if the group's storage has room for one.
    pub(super) fn order_commit(&mut self, index: u32, offset: i64) -> Option<Commit> {
        let state = self.state.partitions.get(&index)?;
        self.group.record_ordered(index, offset, state.epoch);
        let token = Token { identity: self.journal.identity(), epoch: state.epoch, offset };
        let metadata =
            if self.group.carries_token(&state.partition) { token.to_string() } else { String::new() };
        Some(Commit { partition: state.partition.clone(), offset, metadata })
    }

    /// Where the file ends, as far as it was written.
    pub(super) fn place_of(&self, number: FileNumber) -> Option<FilePlace> {
        self.files.place_of(number).or(self.state.files.get(&number).map(|file| file.place))
    }
}

fn to_io(refused: EntryRefused) -> io::Error {
    match refused {
        EntryRefused::Io(error) => error,
        EntryRefused::Full => io::Error::other("an entry larger than the journal"),
    }
}

/// The kind of this error says that the fault is in memory and not on the disk.
fn contradiction(what: &str, entry: &dyn Debug, end: Option<(FileId, u64)>) -> io::Error {
    let text = format!("internal error: {what} {entry:?} does not fit the journal, whose end is {end:?}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Appends to a bounded list that holds each value only once.
fn keep_newest<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if list.last() != Some(&value) {
        list.retain(|known| *known != value);
        push_bounded(list, value);
    }
}

/// A random name for a new history.
pub(super) fn random_epoch() -> io::Result<u64> {
    host::random().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_the_newest_values_holds_each_once() {
        let mut list = Vec::new();
        for (value, expected) in
            [(1, &[1][..]), (2, &[1, 2]), (3, &[1, 2, 3]), (2, &[1, 3, 2]), (2, &[1, 3, 2]), (1, &[3, 2, 1])]
        {
            keep_newest(&mut list, value);
            assert_eq!(list, expected);
        }
        (10..17).for_each(|value| keep_newest(&mut list, value));
        assert_eq!(list, [1, 10, 11, 12, 13, 14, 15, 16], "the oldest go");
    }
}
