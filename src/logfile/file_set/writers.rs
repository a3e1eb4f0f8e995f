//! The open files of a set. Files that were not used for the longest time are closed, so that no more than
//! a given number is open.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directories::Directories;
use super::new_files::NewFiles;
use super::open::FileSetOptions;
use crate::logfile::disk::{Disk, directory_of};
use crate::logfile::journal::{FileNumber, FilePlace, MarkedFile, NamedFile, PositionChange, Range};
use crate::logfile::ledger::Ledger;
use crate::logfile::locate::{head, tail};
use crate::logfile::options::LogFileOptions;
use crate::logfile::recovery::{self, OpenedLog};
use crate::logfile::writer::{AppendError, Guard, LogWriter, Piece, WriteGuard};

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
    known: HashMap<PathBuf, KnownFile>,
    open: HashMap<PathBuf, OpenWriter>,
    /// The ranges that are announced but not completely written, by their lanes.
    begun: HashMap<usize, Range>,
    /// Counts the uses of files.
    uses: u64,
    /// How many files may be open.
    open_max: usize,
    new_files: NewFiles,
    directories: Directories,
}

#[derive(Debug, Clone, Copy)]
struct KnownFile {
    number: FileNumber,
    until: Option<i64>,
}

/// The lines of a range that go to one file.
#[derive(Debug, Clone)]
pub struct RoutedPieces<'a> {
    /// The file.
    pub path: &'a Path,
    /// When the period of the file ends, if its path shows a time.
    pub until: Option<i64>,
    /// The lines, in order.
    pub pieces: Vec<Piece<'a>>,
}

#[derive(Debug)]
struct OpenWriter {
    writer: LogWriter,
    used: u64,
}

impl FileWriters {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path, ledger: Ledger, options: &FileSetOptions) -> Self {
        let known = ledger.numbered_files().into_iter();
        let known = known.map(|(NamedFile { path, until }, number)| (path, KnownFile { number, until }));
        Self {
            disk,
            root: root.to_owned(),
            ledger,
            options: options.log_file.clone(),
            guard: WriteGuard::default(),
            known: known.collect(),
            open: HashMap::new(),
            begun: HashMap::new(),
            uses: 0,
            open_max: options.files_max(),
            new_files: NewFiles::new(options.new_max),
            directories: Directories::new(root),
        }
    }

    /// Sets the guard of every file, see [`LogWriter::set_guard`].
    pub fn set_guard(&mut self, guard: Guard) {
        self.guard = WriteGuard(Some(guard));
    }

    /// The writer of this file, which is opened, or created, if it is not open.
    ///
    /// # Errors
    /// As of [`LogWriter::append`].
    fn writer(&mut self, path: &Path, until: Option<i64>) -> Result<&mut LogWriter, AppendError> {
        if !self.open.contains_key(path) {
            self.open_all(&[(path, until)])?;
        }
        self.uses += 1;
        let gone = || AppendError::Retry(io::Error::other("the file was closed"));
        let open = self.open.get_mut(path).ok_or_else(gone)?;
        open.used = self.uses;
        Ok(&mut open.writer)
    }

    /// Appends the lines of one stretch of records, which may go to several files, as one range. `changes` are
    /// the positions after it. Each lane has one write under way at a time, and two lanes share no file.
    ///
    /// # Errors
    /// As of [`LogWriter::append`].
    pub fn append(
        &mut self,
        lane: usize,
        parts: &[RoutedPieces<'_>],
        changes: &[PositionChange],
    ) -> Result<(), AppendError> {
        loop {
            if self.begun.contains_key(&lane) {
                self.look_before_rest(parts)?;
            } else {
                self.announce(lane, parts, changes)?;
            }
            if self.write_rest(parts)? {
                break;
            }
            self.give_up(lane, parts)?;
        }
        let Some(range) = self.begun.remove(&lane) else { return Ok(()) };
        for part in parts {
            self.writer(part.path, part.until)?.complete(&part.pieces);
        }
        let open = parts.iter().filter_map(|part| self.open.get(part.path));
        let written: Vec<_> = open.map(|open| open.writer.written_part()).collect();
        self.ledger.record_range(&range, &written);
        self.ledger.record_written(changes);
        Ok(())
    }

    fn announce(
        &mut self,
        lane: usize,
        parts: &[RoutedPieces<'_>],
        changes: &[PositionChange],
    ) -> Result<(), AppendError> {
        if parts.len() > self.open_max {
            let why = format!("{} files of one write, and {} may be open", parts.len(), self.open_max);
            return Err(AppendError::Retry(io::Error::other(why)));
        }
        let files: Vec<_> = parts.iter().map(|part| (part.path, part.until)).collect();
        self.open_all(&files)?;
        for part in parts {
            self.writer(part.path, part.until)?.prepare(&part.pieces)?;
        }
        let mut range =
            Range { sequence: self.ledger.next_sequence(), parts: Vec::new(), changes: changes.to_vec() };
        for part in parts {
            range.parts.push(self.writer(part.path, part.until)?.next_part(&part.pieces));
        }
        let journal = self.ledger.announce(&range).map_err(|error| self.of_journal(error))?;
        if let Some(journal) = journal.filter(|_| self.options.sync) {
            journal.sync().map_err(|error| self.of_journal(error))?;
        }
        for part in parts {
            let own = Range { changes: Vec::new(), ..range.clone() };
            self.writer(part.path, part.until)?.begin(own);
        }
        self.begun.insert(lane, range);
        Ok(())
    }

    fn look_before_rest(&mut self, parts: &[RoutedPieces<'_>]) -> Result<(), AppendError> {
        for part in parts {
            self.writer(part.path, part.until)?.look_before_rest(&part.pieces)?;
        }
        Ok(())
    }

    /// False if the range must be given up.
    fn write_rest(&mut self, parts: &[RoutedPieces<'_>]) -> Result<bool, AppendError> {
        for part in parts {
            let writer = self.writer(part.path, part.until)?;
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
            moved.extend(self.writer(part.path, part.until)?.take_back(&part.pieces)?);
        }
        let Some(range) = self.begun.get(&lane) else { return Ok(()) };
        self.ledger.give_up(range, moved).map_err(AppendError::Restart)?;
        self.begun.remove(&lane);
        for part in parts {
            self.writer(part.path, part.until)?.go_on_elsewhere();
        }
        Ok(())
    }

    /// Whether the lane has a range that is announced but not completely written.
    pub fn is_pending(&self, lane: usize) -> bool {
        self.begun.contains_key(&lane)
    }

    /// Finishes the files of periods that are complete, if everything in these has settled. Returns how many.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn finish(&mut self, is_complete: impl Fn(i64) -> bool) -> Result<usize, AppendError> {
        let is_idle = |path: &Path| self.open.get(path).is_none_or(|open| !open.writer.is_pending());
        let complete =
            self.known.iter().filter(|(path, known)| known.until.is_some_and(&is_complete) && is_idle(path));
        let numbers: Vec<FileNumber> = complete.map(|(_, known)| known.number).collect();
        let finished = self.ledger.finish_files(&numbers).map_err(|error| self.of_journal(error))?;
        let is_finished = |path: &PathBuf, known: &KnownFile| {
            let is_one = finished.contains(&known.number);
            is_one.then(|| path.clone())
        };
        let paths: Vec<PathBuf> =
            self.known.iter().filter_map(|(path, known)| is_finished(path, known)).collect();
        for path in &paths {
            self.open.remove(path);
            self.known.remove(path);
        }
        Ok(paths.len())
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

    /// Opens the files of one write. Those that the journal does not know are named in one mark.
    fn open_all(&mut self, files: &[(&Path, Option<i64>)]) -> Result<(), AppendError> {
        self.uses += 1;
        let (mut closed, mut new) = (Vec::new(), Vec::new());
        for (path, until) in files {
            match self.open.get_mut(*path) {
                Some(open) => open.used = self.uses,
                None => closed.push((*path, *until)),
            }
        }
        for (path, until) in closed {
            self.make_room(new.len())?;
            let (opened, known) = self.open_file(path, new.len())?;
            match known {
                Some(number) => self.attach((path, until), number, opened),
                None => new.push(((path, until), opened)),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.sync_names().map_err(AppendError::Retry)?;
        let named = |path: &Path, until| NamedFile { path: path.to_owned(), until };
        let begun = new.iter().map(|((path, until), opened)| (named(path, *until), opened.place()));
        let numbers = self.ledger.begin_files(begun.collect()).map_err(|error| self.of_journal(error))?;
        self.new_files.record(new.len());
        for (number, (file, opened)) in numbers.into_iter().zip(new) {
            self.attach(file, number, opened);
        }
        Ok(())
    }

    /// Closes files that were not used for the longest time, if too many are open beside so many others. A file
    /// with bytes that no mark has settled is synced before: an error of its write-back might be told to nobody
    /// later.
    fn make_room(&mut self, others: usize) -> Result<(), AppendError> {
        while self.open.len() + others >= self.open_max {
            let idle = self.open.iter().filter(|(_, open)| !open.writer.is_pending());
            let Some(path) = idle.min_by_key(|(_, open)| open.used).map(|(path, _)| path.clone()) else {
                let why = "every file that may be open has an unfinished write";
                return Err(AppendError::Retry(io::Error::other(why)));
            };
            if let Some(known) = self.known.get(&path) {
                match self.options.sync {
                    true => self.ledger.sync_to_close(known.number).map_err(AppendError::Restart)?,
                    false => self.ledger.close_unsynced(known.number),
                }
            }
            self.open.remove(&path);
        }
        Ok(())
    }

    /// Opens a file beside so many others that are about to begin. `None` instead of its number: the journal
    /// does not know it yet.
    fn open_file(
        &mut self,
        path: &Path,
        others: usize,
    ) -> Result<(OpenedLog, Option<FileNumber>), AppendError> {
        let directory = directory_of(path);
        let known = self.known.get(path).map(|known| known.number);
        if known.is_none() {
            self.new_files.check(path, others)?;
        }
        let known = known.and_then(|number| Some((number, self.ledger.place_of(number)?)));
        self.directories.make(&*self.disk, directory).map_err(AppendError::Retry)?;
        let mut opened = recovery::open(&*self.disk, path).map_err(AppendError::Retry)?;
        if let Some((number, place)) = known
            && goes_on(&mut opened, &place).map_err(AppendError::Retry)?
        {
            return Ok((opened, Some(number)));
        }
        self.directories.record_new_name(directory);
        if !matches!(opened.tail.last(), None | Some(b'\n')) {
            opened.end_line().map_err(AppendError::Retry)?;
        }
        if opened.end > 0 && self.options.sync {
            // The mark says that what the file holds is durable.
            opened.file.sync().map_err(AppendError::Retry)?;
        }
        if let Some((number, _)) = known {
            self.sync_names().map_err(AppendError::Retry)?;
            let moved = MarkedFile { number, name: None, place: opened.place() };
            self.ledger.move_file(moved).map_err(AppendError::Restart)?;
        }
        Ok((opened, known.map(|(number, _)| number)))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        match self.options.sync {
            true => self.directories.sync(&*self.disk),
            false => {
                self.directories.forget();
                Ok(())
            }
        }
    }

    fn attach(&mut self, (path, until): (&Path, Option<i64>), number: FileNumber, opened: OpenedLog) {
        self.known.insert(path.to_owned(), KnownFile { number, until });
        let (disk, ledger) = (Arc::clone(&self.disk), self.ledger.clone());
        let writer = LogWriter::new(disk, (path, number), ledger, opened, &self.options);
        let writer = writer.below(&self.root).guarded(self.guard.clone());
        self.open.insert(path.to_owned(), OpenWriter { writer, used: self.uses });
    }

    fn of_journal(&self, error: io::Error) -> AppendError {
        AppendError::of_journal(&self.ledger, error)
    }
}

/// Whether the file is the one that was left at this place. Then writing goes on there; what others have
/// appended is met by the writer.
fn goes_on(opened: &mut OpenedLog, place: &FilePlace) -> io::Result<bool> {
    if opened.id != place.file || opened.end < place.end {
        return Ok(false);
    }
    let before = tail(&opened.file, place.end)?;
    if crc32fast::hash(&before) != place.before {
        return Ok(false);
    }
    let head = head(&opened.file, place.end)?;
    if place.head.is_some_and(|known| known != head) {
        return Ok(false);
    }
    (opened.end, opened.tail, opened.head) = (place.end, before, head);
    Ok(true)
}
