//! The state that a journal's entries add up to. Pure. The same code is used while a journal is
//! read at the start and while it is written, so that both agree.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{JournalEntry, Mark, MemberIdentity, PartitionState, PositionChange, Range, Session};
use crate::record::TopicPartition;

/// How many landmarks, committed offsets and left epochs are kept of each partition.
const KEPT_MAX: usize = 8;

/// All that a snapshot must hold.
#[derive(Debug, Clone, Default)]
pub(in crate::logfile) struct JournalState {
    /// The partitions by their number, as of the last mark.
    pub(in crate::logfile) partitions: BTreeMap<u32, PartitionState>,
    numbers: HashMap<TopicPartition, u32>,
    /// The last mark.
    pub(in crate::logfile) mark: Option<Mark>,
    /// The run that wrote last.
    pub(in crate::logfile) session: Option<Session>,
    /// This pandad's identity in its group, if it is a member.
    pub(in crate::logfile) member: Option<MemberIdentity>,
    /// The ranges after the last mark, in order. They are written and perhaps not durable.
    pub(in crate::logfile) recent: VecDeque<Range>,
}

impl JournalState {
    /// Adds up the entries of a journal.
    pub(in crate::logfile) fn replay(entries: Vec<JournalEntry>) -> Self {
        let mut state = Self::default();
        for entry in entries {
            state.apply(entry);
        }
        state
    }

    /// Applies one entry.
    pub(in crate::logfile) fn apply(&mut self, entry: JournalEntry) {
        match entry {
            JournalEntry::Partition(index, partition) => {
                // The entry replaces what ranges before it say of the partition's position.
                for range in &mut self.recent {
                    range.changes.retain(|change| change.index != index);
                }
                self.numbers.insert(partition.partition.clone(), index);
                self.partitions.insert(index, partition);
            }
            JournalEntry::Range(range) => self.recent.push_back(range),
            JournalEntry::Mark(mark) => {
                while self.recent.front().is_some_and(|range| range.sequence <= mark.sequence) {
                    if let Some(range) = self.recent.pop_front() {
                        self.settle(&range.changes);
                    }
                }
                for commit in &mark.commits {
                    let Some(partition) = self.partitions.get_mut(&commit.index) else { continue };
                    if let Some(acknowledged) = commit.acknowledged {
                        partition.committed = vec![acknowledged];
                    }
                    match commit.value {
                        Some(value) => push_bounded(&mut partition.committed, value),
                        None => partition.committed.clear(),
                    }
                }
                self.mark = Some(mark);
            }
            JournalEntry::Session(session) => self.session = Some(session),
            JournalEntry::Member(member) => self.member = Some(member),
        }
    }

    /// Forgets every partition: reading begins again at the group's offsets.
    pub(in crate::logfile) fn forget_partitions(&mut self) {
        self.partitions.clear();
        self.numbers.clear();
        for range in &mut self.recent {
            range.changes.clear();
        }
    }

    /// Applies a range's changes to the positions.
    pub(in crate::logfile) fn settle(&mut self, changes: &[PositionChange]) {
        for change in changes {
            if let Some(partition) = self.partitions.get_mut(&change.index) {
                partition.position = change.position;
                if let Some(last) = change.last {
                    push_bounded(&mut partition.landmarks, last);
                }
            }
        }
    }

    /// The number and the state of a partition.
    pub(in crate::logfile) fn find(&self, partition: &TopicPartition) -> Option<(u32, &PartitionState)> {
        let index = *self.numbers.get(partition)?;
        Some((index, self.partitions.get(&index)?))
    }

    /// A number that no partition has.
    pub(in crate::logfile) fn free_number(&self) -> u32 {
        self.partitions.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// The sequence number of the next range.
    pub(in crate::logfile) fn next_sequence(&self) -> u64 {
        let marked = self.mark.as_ref().map_or(0, |mark| mark.sequence);
        self.recent.back().map_or(marked, |range| range.sequence) + 1
    }

    /// The entries that, read alone, add up to this very state.
    pub(in crate::logfile) fn snapshot(&self) -> Vec<JournalEntry> {
        let partitions = self.partitions.iter().map(|(i, state)| JournalEntry::Partition(*i, state.clone()));
        // The mark needs no commits, because the partitions' states contain the committed offsets
        // already.
        let mark = self.mark.clone().map(|mark| JournalEntry::Mark(Mark { commits: Vec::new(), ..mark }));
        let session = self.session.map(JournalEntry::Session);
        let member = self.member.clone().map(JournalEntry::Member);
        partitions
            .chain(session)
            .chain(member)
            .chain(mark)
            .chain(self.recent.iter().cloned().map(JournalEntry::Range))
            .collect()
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

#[cfg(test)]
mod tests {
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
        JournalEntry::Mark(Mark {
            sequence,
            file: FileId { device: 1, inode: 2 },
            end: 9,
            before: 0,
            commits,
        })
    }

    #[test]
    fn a_mark_settles_only_the_ranges_before_it() {
        let entries = vec![partition(0, 10), range(1, 20), range(2, 30), mark(1, vec![(0, 20)])];
        let state = JournalState::replay(entries);
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
        let state = JournalState::replay(entries);
        let again = JournalState::replay(state.snapshot());
        assert_eq!(again.partitions, state.partitions);
        assert_eq!(again.recent, state.recent);
        assert_eq!(again.member, state.member);
        assert_eq!(again.next_sequence(), 22);
        assert_eq!(state.partitions[&0].landmarks.len(), KEPT_MAX);
    }
}
