//! The state as entries that a journal begins with.

use super::{JournalEntry, JournalState, Mark, MarkRepeat, MarkedFile, PositionChange};

impl JournalState {
    /// The entries of a snapshot: read alone, they add up to exactly this state.
    pub(in crate::logfile) fn snapshot(&self) -> Vec<JournalEntry> {
        let partitions =
            self.partitions.iter().map(|(i, known)| JournalEntry::Partition(*i, known.state.clone()));
        let session = self.session.map(JournalEntry::Session);
        let member = self.member.clone().map(JournalEntry::Member);
        partitions
            .chain(session)
            .chain(member)
            .chain(self.cluster.clone().map(JournalEntry::Cluster))
            .chain(self.snapshot_mark().map(JournalEntry::Mark))
            .chain(self.recent.iter().cloned().map(JournalEntry::Range))
            .collect()
    }

    fn snapshot_mark(&self) -> Option<Mark> {
        let positions = self.partitions.iter().map(|(index, known)| PositionChange {
            index: *index,
            position: known.position,
            last: known.landmarks.last().copied(),
        });
        let repeat = MarkRepeat {
            is_snapshot: true,
            announced: self.next_sequence() - 1,
            positions: positions.collect(),
            ..MarkRepeat::default()
        };
        let files = self.files.iter().map(|(number, known)| MarkedFile {
            number: *number,
            name: known.name.clone(),
            place: known.place,
        });
        let files = files.collect();
        // The partitions' states contain the committed offsets already.
        let (closing, complete) = (self.closing_since(0), self.all_complete());
        let (unexamined, commits) = (self.unexamined.iter().copied().collect(), Vec::new());
        self.mark.clone().map(|mark| Mark { files, closing, complete, unexamined, commits, repeat, ..mark })
    }
}
