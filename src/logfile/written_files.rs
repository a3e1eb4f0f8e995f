//! The files of a journal as they were written: which of them have bytes that no checkpoint has taken yet,
//! and which ranges are announced and not written to their ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::disk::Handle;
use super::journal::{FileNumber, FilePlace, Mark, MarkedFile};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct WrittenFiles {
    files: BTreeMap<FileNumber, WrittenFile>,
    /// The numbers of the ranges that are announced and not completely written.
    pending: BTreeSet<u64>,
    /// The number of the last range that is completely written, or given up.
    last: u64,
    /// Bytes written since the last checkpoint.
    unsettled: u64,
}

#[derive(Debug)]
struct WrittenFile {
    /// `None`: the file was closed after a sync.
    handle: Option<Handle>,
    /// The end of the last range that was written to it.
    place: FilePlace,
    /// Whether a range was written since the last checkpoint, even one without bytes.
    has_range: bool,
    /// Whether bytes were written since the last checkpoint.
    has_bytes: bool,
}

/// What is to be synced before a mark.
#[derive(Debug)]
pub(super) struct MarkDraft {
    /// The files with bytes that may not be durable.
    pub(super) handles: Vec<Handle>,
    pub(super) mark: Mark,
}

impl MarkDraft {
    /// Makes durable what the mark says.
    ///
    /// # Errors
    /// The disk refuses. Then the mark must not be written.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.handles.iter().try_for_each(Handle::sync)
    }
}

impl WrittenFiles {
    /// `last`: the number of the last range that has settled, apart from the pending ones, which wait for
    /// files that no start could examine.
    pub(super) fn new(last: u64, pending: impl Iterator<Item = u64>) -> Self {
        Self { last, pending: pending.collect(), ..Self::default() }
    }

    pub(super) fn announce(&mut self, sequence: u64) {
        self.pending.insert(sequence);
    }

    /// A range has this many bytes in the file, which ends at this place.
    pub(super) fn record(&mut self, number: FileNumber, (handle, place): (&Handle, FilePlace), bytes: u64) {
        self.unsettled += bytes;
        let file = self.files.entry(number).or_insert_with(|| WrittenFile {
            handle: None,
            place,
            has_range: true,
            has_bytes: false,
        });
        file.handle.get_or_insert_with(|| handle.clone());
        file.place = place;
        file.has_range = true;
        file.has_bytes |= bytes > 0;
    }

    /// A range is not announced any more: it is written, or given up.
    pub(super) fn give_up(&mut self, sequence: u64) {
        self.pending.remove(&sequence);
        self.last = self.last.max(sequence);
    }

    /// Bytes written since the last checkpoint.
    pub(super) fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// Whether a range was written since the last checkpoint.
    pub(super) fn has_range(&self) -> bool {
        self.files.values().any(|file| file.has_range)
    }

    /// The mark of everything that was written so far, and what it needs to be durable. From now on, this
    /// counts as taken.
    pub(super) fn checkpoint(&mut self) -> MarkDraft {
        self.unsettled = 0;
        let mut draft = MarkDraft { handles: Vec::new(), mark: self.mark_of(Vec::new()) };
        for (number, file) in self.files.iter_mut().filter(|(_, file)| file.has_range) {
            if std::mem::take(&mut file.has_bytes) {
                draft.handles.extend(file.handle.clone());
            }
            file.has_range = false;
            draft.mark.files.push(MarkedFile { number: *number, name: None, place: file.place });
        }
        draft
    }

    /// A mark of everything that was written so far, which names these files.
    pub(super) fn mark_of(&self, files: Vec<MarkedFile>) -> Mark {
        let held = self.pending.iter().copied().take_while(|sequence| *sequence <= self.last);
        #[cfg(test)]
        let held = held.filter(|_| !HELD_NOT_WRITTEN.get());
        let held = held.collect();
        Mark { sequence: self.last, held, files, ..Mark::default() }
    }

    /// As [`Self::checkpoint`], but of these files, whatever checkpoints have taken: their syncs may not be
    /// done yet.
    pub(super) fn checkpoint_of(&mut self, numbers: &BTreeSet<FileNumber>) -> MarkDraft {
        let mut draft = self.checkpoint();
        for (number, file) in self.files.iter().filter(|(number, _)| numbers.contains(number)) {
            draft.handles.extend(file.handle.clone());
            if !draft.mark.files.iter().any(|named| named.number == *number) {
                draft.mark.files.push(MarkedFile { number: *number, name: None, place: file.place });
            }
        }
        draft
    }

    /// Where the file ends, if it was written.
    pub(super) fn place_of(&self, number: FileNumber) -> Option<FilePlace> {
        self.files.get(&number).map(|file| file.place)
    }

    pub(super) fn handle_of(&self, number: FileNumber) -> Option<Handle> {
        self.files.get(&number)?.handle.clone()
    }

    /// The files of which a sync has failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = FileNumber> {
        let has_failed = |file: &WrittenFile| file.handle.as_ref().is_some_and(Handle::has_failed);
        self.files.iter().filter(move |(_, file)| has_failed(file)).map(|(number, _)| *number)
    }

    /// The file was synced and is closed.
    pub(super) fn close(&mut self, number: FileNumber) {
        if let Some(file) = self.files.get_mut(&number) {
            file.handle = None;
            file.has_bytes = false;
        }
    }

    /// The file goes on at another place, and everything before is settled.
    pub(super) fn forget(&mut self, number: FileNumber) {
        self.files.remove(&number);
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// Mistakes that a test makes to show that the simulator notices them.
    pub(super) static HELD_NOT_WRITTEN: Mistake = const { Mistake::new(false) };
}
