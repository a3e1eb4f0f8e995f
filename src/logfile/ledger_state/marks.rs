//! Marks: how they repeat what earlier entries say, and where they may stand.

use std::collections::HashMap;
use std::io;

use super::{LedgerState, contradiction, to_io};
use crate::logfile::disk::FileId;
use crate::logfile::journal::{
    EntryRefused, FileNumber, JournalEntry, Mark, MarkRepeat, MarkedFile, Range, RangePart, SettledPosition,
    ends_of,
};

impl LedgerState {
    /// Appends a mark and then applies it. The mark repeats recent changes; `settled` has the positions for
    /// that.
    pub(in crate::logfile) fn append_mark(
        &mut self,
        mark: Mark,
        settled: &[SettledPosition],
    ) -> io::Result<()> {
        let entry = self.repeating(mark, settled);
        let (entry, at) = match self.journal.append(&entry) {
            Err(EntryRefused::Full) => {
                self.begin_half(&entry)?;
                let JournalEntry::Mark(mark) = entry else { return Ok(()) };
                let settled = self.state.settled_by(mark.sequence, &mark.held);
                let entry = self.repeating(mark, &settled);
                let at = self.journal.append(&entry);
                (entry, at)
            }
            at => (entry, at),
        };
        self.state.apply(entry, at.map_err(to_io)?);
        Ok(())
    }

    fn repeating(&self, mut mark: Mark, settled: &[SettledPosition]) -> JournalEntry {
        let since = self.journal.repeated_since();
        let mut repeat = self.state.repeat(settled, since);
        // What the mark itself brings follows what it repeats.
        repeat.partitions.append(&mut mark.repeat.partitions);
        let repeat = MarkRepeat { synced_to: self.journal.synced_to(), ..repeat };
        self.state.repeat_files(&mut mark.files, since);
        for closing in self.state.closing_since(since) {
            if !mark.closing.iter().any(|named| named.number == closing.number) {
                mark.closing.push(closing);
            }
        }
        mark.finished.extend(self.state.finished_since(since));
        mark.unexamined = self.state.unexamined.iter().copied().collect();
        for (scope, before) in self.state.complete_since(since) {
            if !mark.complete.iter().any(|(named, _)| *named == scope) {
                mark.complete.push((scope, before));
            }
        }
        JournalEntry::Mark(Mark { repeat, ..mark })
    }

    /// If writing has moved to another file or end since the checkpoint was taken, the mark settles the
    /// ranges and must not move that file's end back.
    pub(in crate::logfile) fn write_mark(
        &mut self,
        mark: Mark,
        settled: &[SettledPosition],
    ) -> io::Result<()> {
        if mark.sequence >= self.state.next_sequence() {
            return Err(contradiction("the mark", &mark, None));
        }
        let mut mark = self.not_back(mark);
        let mut files = std::mem::take(&mut mark.files);
        let ends = self.ends_by(&mark);
        for file in &files {
            // Recovery compares the file up to the mark, so a mark must be exactly where its ranges end.
            let end = ends.get(&file.number).copied();
            if end.is_some_and(|end| end != (file.place.file, file.place.end)) {
                return Err(contradiction("the mark", &mark, end));
            }
        }
        files.retain(|file| ends.contains_key(&file.number));
        self.append_mark(Mark { files, ..mark }, settled)
    }

    /// A mark that names these files and settles nothing.
    pub(in crate::logfile) fn same_mark(&self, files: Vec<MarkedFile>) -> Mark {
        let last = self.state.mark.as_ref();
        let is_unsettled = |sequence: &u64| self.state.recent.iter().any(|range| range.sequence == *sequence);
        let held = last.map(|mark| mark.held.iter().copied().filter(is_unsettled).collect());
        let sequence = last.map_or(0, |mark| mark.sequence);
        Mark { sequence, held: held.unwrap_or_default(), files, ..Mark::default() }
    }

    /// Where each file of a range goes on that is given up: where the range began, unless the file has moved.
    pub(in crate::logfile) fn ends_without(
        &self,
        range: &Range,
        mut moved: Vec<MarkedFile>,
    ) -> Vec<MarkedFile> {
        for RangePart { number, .. } in &range.parts {
            let place = self.place_of(*number).filter(|_| !moved.iter().any(|file| file.number == *number));
            moved.extend(place.map(|place| MarkedFile { number: *number, name: None, place }));
        }
        moved
    }

    /// The mark, or the last one in its place with the same commits if that one came later.
    fn not_back(&self, mark: Mark) -> Mark {
        match &self.state.mark {
            Some(last) if mark.sequence < last.sequence => {
                Mark { commits: mark.commits, files: mark.files, ..last.clone() }
            }
            _ => mark,
        }
    }

    /// Where the last range that the mark settles ends in each file.
    fn ends_by(&self, mark: &Mark) -> HashMap<FileNumber, (FileId, u64)> {
        let settled = self.state.recent.iter().take_while(|range| range.sequence <= mark.sequence);
        ends_of(settled.filter(|range| !mark.held.contains(&range.sequence)))
    }
}
