//! What the ledger records of the files of a journal: where they begin, go on and end.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Ledger;
use crate::logfile::journal::{
    ClosingFile, FileNumber, FilePlace, JournalEntry, Mark, MarkedFile, NamedFile, PartitionState, Range,
};
use crate::logfile::ledger_state::LedgerState;

impl Ledger {
    /// Whether everything that was written has settled.
    pub fn has_settled(&self) -> bool {
        self.has_settled_but(&BTreeSet::new())
    }

    /// Whether everything that was written to other files than these has settled.
    pub fn has_settled_but(&self, files: &BTreeSet<FileNumber>) -> bool {
        self.lock().has_settled_but(files)
    }

    /// The journal's path, if the journal has several files: it may be on another disk than these.
    pub(in crate::logfile) fn journal_of_several(&self) -> Option<PathBuf> {
        let inner = self.lock();
        inner.state.has_several_files().then(|| inner.journal.path().to_owned())
    }

    /// The files of which a sync has failed since the start.
    pub fn failed_files(&self) -> Vec<FileNumber> {
        self.lock().files.failed().collect()
    }

    /// Records that one of the files goes on at another place. Everything written to the file before must be
    /// durable. Everything that was written to other files is made durable, too. Durable on return.
    ///
    /// # Errors
    /// A disk refuses. Then it is unknown what is durable.
    pub(in crate::logfile) fn move_file(&self, file: MarkedFile) -> io::Result<()> {
        let mut mark = self.sync_others(std::slice::from_ref(&file))?;
        mark.files.push(file);
        let mut inner = self.lock();
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        inner.append_mark(mark, &settled)?;
        inner.journal.to_sync().sync()
    }

    /// Journals that lines go to files that the journal does not know yet, behind these places. Returns their
    /// numbers. The next range of the files is written only when this is durable. One mark names all: a mark
    /// costs as much as there was lately in the journal.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub(in crate::logfile) fn begin_files(
        &self,
        files: Vec<(NamedFile, FilePlace)>,
    ) -> io::Result<Vec<FileNumber>> {
        let mut inner = self.lock();
        let numbers: Vec<FileNumber> = (inner.state.free_file()..).take(files.len()).collect();
        let named = numbers.iter().zip(files);
        let named =
            named.map(|(number, (name, place))| MarkedFile { number: *number, name: Some(name), place });
        let mark = inner.same_mark(named.collect());
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        inner.append_mark(mark, &settled)?;
        Ok(numbers)
    }

    /// Journals once more which files have begun. Without a second entry, one damaged byte would make a file
    /// unknown, and a line that was torn in it would stay.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub(in crate::logfile) fn repeat_mark(&self) -> io::Result<()> {
        #[cfg(test)]
        if crate::logfile::journal::BEGUN_WITHOUT_SYNC.get() {
            return Ok(());
        }
        let mut inner = self.lock();
        let mark = inner.same_mark(Vec::new());
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        inner.append_mark(mark, &settled)
    }

    /// Makes the journal durable up to here.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub(in crate::logfile) fn sync_journal(&self) -> io::Result<()> {
        #[cfg(test)]
        if crate::logfile::journal::BEGUN_WITHOUT_SYNC.get() {
            return Ok(());
        }
        let journal = self.lock().journal.to_sync();
        journal.sync()
    }

    /// The files of the journal, if it has several.
    pub(in crate::logfile) fn numbered_files(&self) -> Vec<(NamedFile, FileNumber, Option<PathBuf>)> {
        let inner = self.lock();
        let named = inner.state.files.iter().filter_map(|(number, file)| {
            Some((file.name.clone()?, *number, file.closing_to().map(Path::to_owned)))
        });
        named.collect()
    }

    /// Journals that these files are about to be moved. Durable on return. Nothing may be written to these
    /// files any more, and everything must have settled.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub(in crate::logfile) fn close_files(&self, closing: Vec<ClosingFile>) -> io::Result<()> {
        let mut inner = self.lock();
        let mark = Mark { closing, ..inner.same_mark(Vec::new()) };
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        inner.append_mark(mark, &settled)?;
        inner.journal.to_sync().sync()
    }

    /// Whether everything written to the file has settled.
    pub(in crate::logfile) fn is_settled(&self, number: FileNumber) -> bool {
        let inner = self.lock();
        !inner.state.recent.iter().any(|range| range.part_of(number).is_some())
    }

    /// Journals that nothing more goes to these files. Those with ranges that have not settled are left out.
    /// Returns the others. Not durable on return: the mark may be lost, and then nothing is.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub(in crate::logfile) fn finish_files(&self, numbers: &[FileNumber]) -> io::Result<Vec<FileNumber>> {
        let mut inner = self.lock();
        let unsettled = inner.state.unsettled_files();
        let finished: Vec<_> = numbers.iter().copied().filter(|number| !unsettled.contains(number)).collect();
        if finished.is_empty() {
            return Ok(finished);
        }
        let complete = inner.complete_with(&finished);
        let mark = Mark { finished: finished.clone(), complete, ..inner.same_mark(Vec::new()) };
        let settled = inner.state.settled_by(mark.sequence, &mark.held);
        inner.append_mark(mark, &settled)?;
        finished.iter().for_each(|number| inner.files.forget(*number));
        Ok(finished)
    }

    /// Where the file ends, as far as it was written.
    pub(in crate::logfile) fn place_of(&self, number: FileNumber) -> Option<FilePlace> {
        self.lock().place_of(number)
    }

    /// Makes the file's bytes durable, so that it can be closed before its next mark. What has settled is
    /// durable.
    ///
    /// # Errors
    /// The disk refuses.
    pub(in crate::logfile) fn sync_to_close(&self, number: FileNumber) -> io::Result<()> {
        let handle = {
            let inner = self.lock();
            let is_settled = inner.state.recent.iter().all(|range| range.part_of(number).is_none());
            inner.files.handle_of(number).filter(|_| !is_settled)
        };
        #[cfg(test)]
        let handle = handle.filter(|_| !CLOSED_WITHOUT_SYNC.get());
        if let Some(handle) = handle {
            handle.sync()?;
        }
        self.lock().files.close(number);
        Ok(())
    }

    /// The file is closed without a sync: its lines need not be durable.
    pub(in crate::logfile) fn close_unsynced(&self, number: FileNumber) {
        self.lock().files.close(number);
    }

    /// Makes everything durable that was written to other files than these, and returns the mark that says
    /// so. Nothing else may be written meanwhile.
    fn sync_others(&self, moved: &[MarkedFile]) -> io::Result<Mark> {
        let draft = {
            let mut inner = self.lock();
            let LedgerState { files, state, .. } = &mut *inner;
            moved.iter().for_each(|file| files.forget(file.number));
            files.checkpoint_of(&state.unsettled_files())
        };
        draft.sync()?;
        Ok(draft.mark)
    }

    /// Records that an announced range is given up, and that some of its files go on at other places.
    /// Everything that was written to these before the range must be durable. Durable on return: no later
    /// start adopts the range.
    ///
    /// # Errors
    /// As of [`Self::move_file`].
    pub(in crate::logfile) fn give_up(&self, range: &Range, moved: Vec<MarkedFile>) -> io::Result<()> {
        let mut before = self.sync_others(&moved)?;
        before.files.extend(moved.iter().cloned());
        let mut inner = self.lock();
        let settled = inner.state.settled_by(before.sequence, &before.held);
        inner.append_mark(before, &settled)?;
        // A partition's entry overrides the positions that earlier ranges give to the partition. So the
        // range no longer moves any position when the second mark passes it.
        for change in &range.changes {
            if let Some(state) =
                inner.state.partitions.get(&change.index).map(|known| PartitionState::clone(known))
            {
                inner.append_entry(JournalEntry::Partition(change.index, state))?;
            }
        }
        inner.files.give_up(range.sequence);
        let after = inner.files.mark_of(inner.ends_without(range, moved));
        let settled = inner.state.settled_by(after.sequence, &after.held);
        inner.append_mark(after, &settled)?;
        inner.journal.to_sync().sync()
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// Mistakes that a test makes to show that the simulator notices them.
    pub(in crate::logfile) static CLOSED_WITHOUT_SYNC: Mistake = const { Mistake::new(false) };
}
