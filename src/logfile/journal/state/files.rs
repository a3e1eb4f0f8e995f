//! The files of a journal: what is known of each, and which marks changed that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{JournalState, ends_of};
use crate::logfile::disk::FileId;
use crate::logfile::journal::{ClosingFile, FileNumber, FilePlace, MarkedFile, NamedFile, ONLY_FILE, Range};

/// What is known of one file, and which marks changed that.
#[derive(Debug, Clone)]
pub(in crate::logfile) struct JournalledFile {
    /// Which file it is, if this journal has several files.
    pub(in crate::logfile) name: Option<NamedFile>,
    pub(in crate::logfile) place: FilePlace,
    /// Where the next part of a range must begin.
    pub(in crate::logfile) next: (FileId, u64),
    /// The byte of the half at which the first mark stands that says that the file is not empty. `None` if
    /// the snapshot says so, or if no mark does.
    pub(super) filled: Option<u64>,
    /// The byte at which the last mark stands that changed the place, and the one that began the file; 0 if
    /// the snapshot did.
    pub(super) moved: u64,
    pub(super) begun: u64,
    /// Where the file is about to be moved, and the byte at which the mark stands that says so.
    pub(super) closing: Option<(PathBuf, u64)>,
}

impl JournalledFile {
    fn new(at: u64, MarkedFile { name, place, .. }: MarkedFile) -> Self {
        Self { name, place, next: (place.file, place.end), filled: None, moved: at, begun: at, closing: None }
    }

    /// Where the file is about to be moved, if it is.
    pub(in crate::logfile) fn closing_to(&self) -> Option<&Path> {
        self.closing.as_ref().map(|(to, _)| to.as_path())
    }

    /// The file's path, if this journal has several files.
    pub(in crate::logfile) fn path(&self) -> Option<&Path> {
        self.name.as_ref().map(|name| name.path.as_path())
    }

    /// Whether the last mark that is durable may say that the file is empty. `synced_to` is the byte up to
    /// which the half is durable.
    pub(in crate::logfile) fn may_begin_empty(&self, synced_to: u64) -> bool {
        self.place.end == 0 || self.filled.is_some_and(|at| synced_to <= at)
    }

    /// Whether the mark that began the file may not be durable yet.
    pub(in crate::logfile) fn may_be_unknown(&self, synced_to: u64) -> bool {
        #[cfg(test)]
        if BEGUN_WITHOUT_SYNC.get() {
            return false;
        }
        self.begun > 0 && synced_to <= self.begun
    }

    fn move_to(&mut self, place: FilePlace, at: u64) {
        if place.end == 0 {
            self.filled = None;
        } else if self.place.end == 0 {
            self.filled = Some(at);
        }
        (self.place, self.moved) = (place, at);
    }
}

impl JournalState {
    pub(super) fn apply_files(&mut self, files: Vec<MarkedFile>, at: u64) {
        let ends = ends_of(self.recent.iter());
        for file in files {
            let (number, place) = (file.number, file.place);
            match self.files.get_mut(&number) {
                Some(known) if file.name.is_none() || file.name == known.name => known.move_to(place, at),
                _ => {
                    self.files.insert(number, JournalledFile::new(at, file));
                }
            }
            // Of ranges that are not settled yet, the last one has the file's end.
            if let Some(known) = self.files.get_mut(&number) {
                known.next = ends.get(&number).copied().unwrap_or((place.file, place.end));
            }
        }
    }

    /// Adds to `named` the other files that a mark must name to make up for damage from this byte of the
    /// half on. The file of a journal that has only one is always named.
    pub(in crate::logfile) fn repeat_files(&self, named: &mut Vec<MarkedFile>, since: u64) {
        for file in named.iter_mut() {
            if let Some(known) = self.files.get(&file.number).filter(|known| known.begun >= since) {
                file.name.clone_from(&known.name);
            }
        }
        let numbers: BTreeSet<FileNumber> = named.iter().map(|file| file.number).collect();
        for (number, known) in &self.files {
            let is_due = known.moved >= since || known.name.is_none();
            if is_due && !numbers.contains(number) {
                let name = known.name.clone().filter(|_| known.begun >= since);
                named.push(MarkedFile { number: *number, name, place: known.place });
            }
        }
    }

    /// Of the ranges that were read and are not settled, only these may still count.
    pub(in crate::logfile) fn keep_ranges(&mut self, kept: Vec<Range>) {
        for known in self.files.values_mut() {
            known.next = (known.place.file, known.place.end);
        }
        for part in kept.iter().flat_map(|range| &range.parts) {
            if let Some(known) = self.files.get_mut(&part.number) {
                known.next = (part.file, part.to);
            }
        }
        self.recent = kept.into();
    }

    /// Another journal has the file now.
    pub(in crate::logfile) fn forget_file(&mut self, number: FileNumber) {
        self.files.remove(&number);
        self.finished.push((number, 0));
    }

    /// Whether this is the journal of a set of files.
    pub(in crate::logfile) fn has_several_files(&self) -> bool {
        self.files.values().any(|known| known.name.is_some())
    }

    /// The files with ranges that have not settled.
    pub(in crate::logfile) fn unsettled_files(&self) -> BTreeSet<FileNumber> {
        self.recent.iter().flat_map(|range| &range.parts).map(|part| part.number).collect()
    }

    /// The files that were about to be moved since this byte of the half.
    pub(in crate::logfile) fn closing_since(&self, since: u64) -> Vec<ClosingFile> {
        let recent = self.files.iter().filter_map(|(number, known)| {
            let (to, at) = known.closing.as_ref()?;
            (*at >= since).then(|| ClosingFile { number: *number, to: to.clone() })
        });
        recent.collect()
    }

    /// The files that were finished since this byte of the half.
    pub(in crate::logfile) fn finished_since(&self, since: u64) -> impl Iterator<Item = FileNumber> {
        self.finished.iter().filter(move |(_, at)| *at >= since).map(|(number, _)| *number)
    }

    /// A number that no file has, nor has had since the snapshot.
    pub(in crate::logfile) fn free_file(&self) -> FileNumber {
        let finished = self.finished.iter().map(|(number, _)| *number).max().unwrap_or(ONLY_FILE);
        self.files.last_key_value().map_or(finished, |(last, _)| finished.max(*last)) + 1
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// Mistakes that a test makes to show that the simulator notices them.
    pub(in crate::logfile) static BEGUN_WITHOUT_SYNC: Mistake = const { Mistake::new(false) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logfile::journal::{JournalEntry, Mark};

    fn file(name: Option<&str>, end: u64) -> MarkedFile {
        let name = name.map(|path| NamedFile { path: path.into(), until: None, scope: Default::default() });
        let place = FilePlace { file: FileId { device: 1, inode: 2 }, end, before: 0, head: None };
        MarkedFile { number: 1, name, place }
    }

    fn marked(state: &mut JournalState, mark: Mark, at: u64) {
        state.apply(JournalEntry::Mark(mark), at);
    }

    /// The file `a`, which began at byte 100.
    fn began() -> JournalState {
        let mut state = JournalState::default();
        marked(&mut state, Mark { files: vec![file(Some("a"), 0)], ..Mark::default() }, 100);
        state
    }

    #[test]
    fn a_file_is_unknown_until_the_mark_that_began_it_is_durable() {
        let mut state = began();
        assert_eq!([99, 100, 101].map(|to| state.files[&1].may_be_unknown(to)), [true, true, false]);
        state.forget_changes();
        assert!(!state.files[&1].may_be_unknown(0), "the snapshot names it");
    }

    #[test]
    fn a_file_begins_anew_under_another_name_only() {
        for (name, expected, begun) in [(None, "a", 100), (Some("a"), "a", 100), (Some("b"), "b", 200)] {
            let mut state = began();
            marked(&mut state, Mark { files: vec![file(name, 9)], ..Mark::default() }, 200);
            let known = &state.files[&1];
            let found = (known.path(), known.begun, known.place.end);
            assert_eq!(found, (Some(Path::new(expected)), begun, 9), "{name:?}");
        }
    }

    #[test]
    fn a_mark_repeats_names_that_may_be_lost() {
        for (since, is_repeated) in [(100, true), (101, false)] {
            let mut files = vec![file(None, 0)];
            began().repeat_files(&mut files, since);
            assert_eq!((files.len(), files[0].name.is_some()), (1, is_repeated), "since {since}");
        }
    }

    #[test]
    fn a_mark_repeats_which_files_are_closing_and_finished_lately() {
        let mut state = began();
        assert!(state.unsettled_files().is_empty());
        let closing = vec![ClosingFile { number: 1, to: "done".into() }];
        marked(&mut state, Mark { closing: closing.clone(), ..Mark::default() }, 200);
        assert_eq!((state.closing_since(200), state.closing_since(201)), (closing, Vec::new()));
        marked(&mut state, Mark { finished: vec![1], ..Mark::default() }, 300);
        assert_eq!([300, 301].map(|since| state.finished_since(since).count()), [1, 0]);
    }
}
