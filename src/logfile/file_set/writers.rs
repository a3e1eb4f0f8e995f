//! The open files of a set. Files that were not used for the longest time are closed, so that no more than
//! a given number is open.

mod complete;
mod opening;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compressor::Compressor;
use super::known_files::KnownFiles;
use super::new_files::NewFiles;
use super::options::FileSetOptions;
use super::routed::{RoutedFile, RoutedPieces};
use crate::logfile::directories::Directories;
use crate::logfile::disk::{Disk, directory_of};
use crate::logfile::journal::{PositionChange, Range};
use crate::logfile::ledger::Ledger;
use crate::logfile::options::LogFileOptions;
use crate::logfile::writer::{AppendError, Guard, LogWriter, WriteGuard};
use crate::moment::now_ms;

/// See the module.
#[derive(Debug)]
pub struct FileWriters {
    disk: Arc<dyn Disk>,
    /// The directory that holds all files.
    root: PathBuf,
    ledger: Ledger,
    options: LogFileOptions,
    guard: WriteGuard,
    /// The files that the journal knows.
    known: KnownFiles,
    /// Where complete files of a period are moved.
    complete_dir: Option<PathBuf>,
    /// Whether those that begin to be moved are compressed on the way.
    complete_gzip: bool,
    compressor: Compressor,
    /// The directories of the files, and of complete ones.
    directories: Directories,
    complete_directories: Directories,
    open: BTreeMap<PathBuf, OpenWriter>,
    /// The ranges that are announced but not completely written, by their lanes.
    begun: HashMap<usize, Range>,
    /// The lanes whose range was given up, and whose lines are not announced again yet.
    given_up: BTreeSet<usize>,
    /// Whether only one entry of the journal knows a file that has begun.
    has_begun_file: bool,
    /// Counts the uses of files.
    uses: u64,
    /// How many files may be open.
    open_max: usize,
    new_files: NewFiles,
}

#[derive(Debug)]
struct OpenWriter {
    writer: LogWriter,
    used: u64,
}

impl FileWriters {
    pub(in crate::logfile) fn new(
        disk: Arc<dyn Disk>,
        root: &Path,
        ledger: Ledger,
        options: &FileSetOptions,
    ) -> Self {
        let known = KnownFiles::of(&ledger, root, options.complete_dir.as_deref());
        let compressor = Compressor::new(Arc::clone(&disk), options.log_file.job);
        Self {
            disk,
            root: root.to_owned(),
            ledger,
            options: options.log_file.clone(),
            guard: WriteGuard::default(),
            known,
            complete_dir: options.complete_dir.clone(),
            complete_gzip: options.complete_gzip,
            compressor,
            directories: Directories::new(root),
            complete_directories: Directories::new(
                options.complete_dir.as_deref().map_or(root, directory_of),
            ),
            open: BTreeMap::new(),
            begun: HashMap::new(),
            given_up: BTreeSet::new(),
            has_begun_file: false,
            uses: 0,
            open_max: options.files_max(),
            new_files: NewFiles::new(options.new_max),
        }
    }

    /// What could not be compressed is tried again at once. Also compresses at once, without a thread.
    #[cfg(test)]
    pub(in crate::logfile) fn compress_at_once(&mut self, is_all_at_once: bool) {
        self.compressor.set_at_once(is_all_at_once);
    }

    /// Sets the guard of every file, see [`LogWriter::set_guard`].
    pub fn set_guard(&mut self, guard: Guard) {
        self.guard = WriteGuard(Some(guard));
    }

    /// The writer of this file, which is opened, or created, if it is not open.
    ///
    /// # Errors
    /// As of [`LogWriter::append`].
    fn writer(&mut self, file: RoutedFile<'_>) -> Result<&mut LogWriter, AppendError> {
        if !self.open.contains_key(file.path) {
            self.open_all(&[file])?;
        }
        self.uses += 1;
        let gone = || AppendError::Retry(io::Error::other("the file was closed"));
        let open = self.open.get_mut(file.path).ok_or_else(gone)?;
        open.used = self.uses;
        Ok(&mut open.writer)
    }

    /// Appends the lines of one stretch of records, which may go to several files, as one range. `changes`
    /// are the positions after it. Each lane has one write under way at a time, and two lanes share no file.
    ///
    /// # Errors
    /// As of [`LogWriter::append`].
    pub fn append(
        &mut self,
        lane: usize,
        parts: &[RoutedPieces<'_>],
        changes: &[PositionChange],
    ) -> Result<(), AppendError> {
        let paths = self.files_of(parts).map_err(AppendError::Retry)?;
        let parts = parts.iter().zip(&paths).map(|(part, path)| RoutedPieces { path, ..part.clone() });
        let parts: &[RoutedPieces<'_>] = &parts.collect::<Vec<_>>();
        loop {
            let may_go_on = if self.begun.contains_key(&lane) {
                self.look_before_rest(parts)?
            } else {
                self.announce(lane, parts, changes)?;
                true
            };
            if may_go_on && self.write_rest(parts)? {
                break;
            }
            self.give_up(lane, parts)?;
        }
        let Some(range) = self.begun.remove(&lane) else { return Ok(()) };
        self.given_up.remove(&lane);
        for part in parts {
            self.writer(part.file())?.complete(&part.pieces);
        }
        let open = parts.iter().filter_map(|part| self.open.get(part.path));
        let written: Vec<_> = open.map(|open| open.writer.written_part()).collect();
        self.ledger.record_range(&range, &written);
        self.ledger.record_written(changes);
        Ok(())
    }

    /// The files that these lines go to now.
    fn files_of(&mut self, parts: &[RoutedPieces<'_>]) -> io::Result<Vec<PathBuf>> {
        let (disk, now) = (Arc::clone(&self.disk), now_ms());
        let mut file_for = |part: &RoutedPieces<'_>| {
            let complete = self.ledger.complete_before(part.scope);
            self.known.file_for(&*disk, part.path, (part.until, complete), now)
        };
        parts.iter().map(&mut file_for).collect()
    }

    fn announce(
        &mut self,
        lane: usize,
        parts: &[RoutedPieces<'_>],
        changes: &[PositionChange],
    ) -> Result<(), AppendError> {
        self.check_room(parts)?;
        let files: Vec<_> = parts.iter().map(RoutedPieces::file).collect();
        self.open_all(&files)?;
        for part in parts {
            self.writer(part.file())?.prepare(&part.pieces)?;
        }
        if self.has_begun_file {
            self.ledger.repeat_mark().map_err(|error| self.of_journal(error))?;
            self.has_begun_file = false;
        }
        let mut range =
            Range { sequence: self.ledger.next_sequence(), parts: Vec::new(), changes: changes.to_vec() };
        for part in parts {
            range.parts.push(self.writer(part.file())?.next_part(&part.pieces));
        }
        let journal = self.ledger.announce(&range).map_err(|error| self.of_journal(error))?;
        if let Some(journal) = journal.filter(|_| self.options.sync) {
            journal.sync().map_err(|error| self.of_journal(error))?;
        }
        for part in parts {
            let own = Range { changes: Vec::new(), ..range.clone() };
            self.writer(part.file())?.begin(own);
        }
        self.begun.insert(lane, range);
        Ok(())
    }

    /// Whether all files of a write can be open at the same time, beside those that have an unfinished write.
    fn check_room(&self, parts: &[RoutedPieces<'_>]) -> Result<(), AppendError> {
        let is_other = |path: &PathBuf| !parts.iter().any(|part| part.path == path);
        let pending =
            self.open.iter().filter(|(path, open)| open.writer.is_pending() && is_other(path)).count();
        if parts.len() + pending <= self.open_max {
            return Ok(());
        }
        let why = format!(
            "{} files of one write, beside {pending} with unfinished writes, and {} may be open",
            parts.len(),
            self.open_max
        );
        Err(AppendError::Retry(io::Error::other(why)))
    }

    /// False if the range must be given up.
    fn look_before_rest(&mut self, parts: &[RoutedPieces<'_>]) -> Result<bool, AppendError> {
        let mut is_whole = true;
        for part in parts {
            let writer = self.writer(part.file())?;
            writer.look_before_rest(&part.pieces)?;
            is_whole &= !writer.is_given_up();
        }
        Ok(is_whole)
    }

    /// False if the range must be given up.
    fn write_rest(&mut self, parts: &[RoutedPieces<'_>]) -> Result<bool, AppendError> {
        for part in parts {
            let writer = self.writer(part.file())?;
            writer.write_rest(&part.pieces)?;
            if writer.is_given_up() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn give_up(&mut self, lane: usize, parts: &[RoutedPieces<'_>]) -> Result<(), AppendError> {
        let mut moved = Vec::new();
        for part in parts {
            moved.extend(self.writer(part.file())?.take_back(&part.pieces)?);
        }
        let Some(range) = self.begun.get(&lane) else { return Ok(()) };
        self.ledger.give_up(range, moved).map_err(AppendError::Restart)?;
        self.begun.remove(&lane);
        self.given_up.insert(lane);
        for part in parts {
            self.writer(part.file())?.go_on_elsewhere();
        }
        Ok(())
    }

    /// Whether the lane has a write that is begun but not complete. Only the very same pieces can complete
    /// it.
    pub fn is_pending(&self, lane: usize) -> bool {
        self.begun.contains_key(&lane) || self.given_up.contains(&lane)
    }

    /// How many files may be open, and so how many one write may go to.
    pub fn open_max(&self) -> usize {
        self.open_max
    }

    /// Takes back ranges of which nothing is written, as of [`LogWriter::end`].
    ///
    /// # Errors
    /// The disk refuses. Then the ranges stay.
    pub fn end(&mut self) -> io::Result<()> {
        for range in std::mem::take(&mut self.begun).into_values() {
            let is_part = |writer: &LogWriter| range.part_of(writer.number()).is_some();
            let own = self.open.values_mut().map(|open| &mut open.writer).filter(|writer| is_part(writer));
            let own: Vec<&mut LogWriter> = own.collect();
            if own.iter().all(|writer| writer.is_untouched()) {
                self.ledger.give_up(&range, Vec::new())?;
                own.into_iter().for_each(LogWriter::go_on_elsewhere);
            }
        }
        Ok(())
    }

    /// Does what is due by the clock.
    ///
    /// # Errors
    /// As of [`LogWriter::append`].
    pub fn tick(&mut self) -> Result<(), AppendError> {
        self.open.values_mut().try_for_each(|open| open.writer.tick())
    }

    /// As [`LogWriter::reopen`], for every open file.
    ///
    /// # Errors
    /// As of [`LogWriter::append`].
    pub fn reopen(&mut self) -> Result<bool, AppendError> {
        let mut is_done = true;
        for open in self.open.values_mut() {
            is_done &= open.writer.reopen()?;
        }
        Ok(is_done)
    }

    fn of_journal(&self, error: io::Error) -> AppendError {
        AppendError::of_journal(&self.ledger, error)
    }
}
