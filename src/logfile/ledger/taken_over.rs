//! What the ledger records of the journals that it takes over.

use std::io;
use std::path::{Path, PathBuf};

use super::Ledger;
use crate::logfile::journal::{
    FileNumber, FilePlace, JournalEntry, JournalState, MarkedFile, MemberIdentity, NamedFile, PartitionState,
    RepeatedPartition, TakenPartitions,
};

impl Ledger {
    /// Where this journal is.
    pub(in crate::logfile) fn journal_path(&self) -> PathBuf {
        self.lock().journal.path().to_owned()
    }

    /// The number of the file at this path below the journal's directory, if the journal knows the file.
    pub(in crate::logfile) fn number_of(&self, path: &Path) -> Option<FileNumber> {
        let inner = self.lock();
        inner.state.files.iter().find(|(_, file)| file.path() == Some(path)).map(|(number, _)| *number)
    }

    /// As [`JournalState::lacks`].
    pub(in crate::logfile) fn lacks(&self, old: &JournalState, identity: u128) -> bool {
        self.lock().state.lacks(old, identity)
    }

    /// As [`JournalState::take_from`].
    pub(in crate::logfile) fn choose_from(
        &self,
        old: &JournalState,
        (identity, topic): (u128, &str),
    ) -> TakenPartitions {
        let inner = self.lock();
        inner.state.take_from(old, (identity, topic), |index| inner.written.contains_key(&index))
    }

    /// Takes a file and these partitions over from another journal. One mark says all, so that no start ever
    /// finds a part of it. Durable on return. Everything must have settled there.
    ///
    /// # Errors
    /// The journal's disk refuses. Then it is unknown what is durable.
    pub(in crate::logfile) fn take_in(
        &self,
        (name, place): (NamedFile, FilePlace),
        partitions: Vec<PartitionState>,
        member: Option<MemberIdentity>,
    ) -> io::Result<()> {
        let known = self.number_of(&name.path);
        let mut inner = self.lock();
        if let Some(member) = member.filter(|_| inner.state.member.is_none()) {
            inner.append_entry(JournalEntry::Member(member))?;
        }
        let number = known.unwrap_or_else(|| inner.state.free_file());
        let mut mark = inner.same_mark(vec![MarkedFile { number, name: Some(name), place }]);
        let (mut free, void) = (inner.state.free_number().., inner.state.next_sequence() - 1);
        for state in partitions {
            let known = inner.state.find(&state.partition).map(|(index, _)| index);
            let Some(index) = known.or_else(|| free.next()) else { continue };
            mark.repeat.partitions.push(RepeatedPartition { index, void, state });
        }
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        inner.append_mark(mark, &settled)?;
        // Once more, so that one damaged byte takes away neither the file nor the partitions.
        let mark = inner.same_mark(Vec::new());
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        #[cfg(not(test))]
        inner.append_mark(mark, &settled)?;
        #[cfg(test)]
        if !TAKEN_ONCE.get() {
            inner.append_mark(mark, &settled)?;
        }
        #[cfg(test)]
        if TAKEN_WITHOUT_SYNC.get() {
            return Ok(());
        }
        inner.journal.to_sync().sync()
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// Mistakes that a test makes to show that the simulator notices them.
    pub(in crate::logfile) static TAKEN_ONCE: Mistake = const { Mistake::new(false) };
    pub(in crate::logfile) static TAKEN_WITHOUT_SYNC: Mistake = const { Mistake::new(false) };
}
