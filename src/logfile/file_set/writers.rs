//! The open files of a set. Files that were not used for the longest time are closed, so that no more than
//! a given number is open.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directories::Directories;
use super::known_files::{KnownFile, KnownFiles};
use super::new_files::NewFiles;
use super::open::FileSetOptions;
use super::publish::{free_name, publish};
use crate::logfile::disk::{Disk, directory_of};
use crate::logfile::journal::{
    ClosingFile, FileNumber, FilePlace, MarkedFile, NamedFile, PositionChange, Range,
};
use crate::logfile::ledger::Ledger;
use crate::logfile::locate::{head, tail};
use crate::logfile::options::LogFileOptions;
use crate::logfile::recovery::{self, OpenedLog};
use crate::logfile::writer::{AppendError, Guard, LogWriter, Piece, WriteGuard};
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
        let known = KnownFiles::of(&ledger);
        Self {
            disk,
            root: root.to_owned(),
            ledger,
            options: options.log_file.clone(),
            guard: WriteGuard::default(),
            known,
            complete_dir: options.complete_dir.clone(),
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
            self.writer(part.path, part.until)?.complete(&part.pieces);
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
        parts.iter().map(|part| self.known.file_for(&*disk, part.path, part.until, now)).collect()
    }

    fn announce(
        &mut self,
        lane: usize,
        parts: &[RoutedPieces<'_>],
        changes: &[PositionChange],
    ) -> Result<(), AppendError> {
        self.check_room(parts)?;
        let files: Vec<_> = parts.iter().map(|part| (part.path, part.until)).collect();
        self.open_all(&files)?;
        for part in parts {
            self.writer(part.path, part.until)?.prepare(&part.pieces)?;
        }
        if self.has_begun_file {
            self.ledger.repeat_mark().map_err(|error| self.of_journal(error))?;
            self.has_begun_file = false;
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
            let writer = self.writer(part.path, part.until)?;
            writer.look_before_rest(&part.pieces)?;
            is_whole &= !writer.is_given_up();
        }
        Ok(is_whole)
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
        self.given_up.insert(lane);
        for part in parts {
            self.writer(part.path, part.until)?.go_on_elsewhere();
        }
        Ok(())
    }

    /// Whether the lane has a write that is begun but not complete. Only the very same pieces can complete
    /// it.
    pub fn is_pending(&self, lane: usize) -> bool {
        self.begun.contains_key(&lane) || self.given_up.contains(&lane)
    }

    /// Finishes the files of the periods that ended by this time, if everything in these has settled: moves
    /// them if that is asked for. Returns how many.
    ///
    /// # Errors
    /// The disk refuses. Call again.
    pub fn finish(&mut self, complete_before: i64) -> Result<usize, AppendError> {
        self.known.complete(complete_before);
        let complete = self.known.matching(|path, known| {
            let is_idle = self.open.get(path).is_none_or(|open| !open.writer.is_pending());
            known.until.is_some_and(|until| until <= complete_before) && is_idle
        });
        let complete = complete.into_iter().filter(|(_, known)| self.ledger.is_settled(known.number));
        let complete: Vec<(PathBuf, KnownFile)> = complete.collect();
        if complete.is_empty() {
            return Ok(0);
        }
        let done = if self.complete_dir.is_some() { self.publish(complete)? } else { complete };
        let numbers: Vec<FileNumber> = done.iter().map(|(_, known)| known.number).collect();
        let finished = self.ledger.finish_files(&numbers).map_err(|error| self.of_journal(error))?;
        for (path, _) in done.iter().filter(|(_, known)| finished.contains(&known.number)) {
            self.open.remove(path);
            self.known.remove(path);
        }
        Ok(finished.len())
    }

    /// Moves complete files. Returns those that are moved; the others are tried again.
    fn publish(
        &mut self,
        complete: Vec<(PathBuf, KnownFile)>,
    ) -> Result<Vec<(PathBuf, KnownFile)>, AppendError> {
        let Some(complete_dir) = self.complete_dir.clone() else { return Ok(complete) };
        let mut closing = Vec::new();
        for (path, known) in complete.iter().filter(|(_, known)| known.closing.is_none()) {
            // Without syncs of their own, files are at least durable before they are given away.
            self.ledger.sync_to_close(known.number).map_err(AppendError::Restart)?;
            self.open.remove(path);
            let below = path.strip_prefix(&self.root).unwrap_or(path);
            let to = free_name(&*self.disk, &complete_dir.join(below)).map_err(AppendError::Retry)?;
            self.known.close(path, to.clone());
            closing.push(ClosingFile { number: known.number, to });
        }
        if !closing.is_empty() {
            self.ledger.close_files(closing).map_err(AppendError::Restart)?;
        }
        let (mut done, mut taken) = (Vec::new(), Vec::new());
        for (path, known) in complete {
            let Some(to) = self.known.get(&path).and_then(|known| known.closing.clone()) else { continue };
            let place = self.ledger.place_of(known.number);
            let directories = &mut self.complete_directories;
            let moved =
                place.map_or(Ok(true), |place| publish(&*self.disk, directories, (&path, &place), &to));
            if moved.map_err(AppendError::Retry)? {
                done.push((path, known));
                continue;
            }
            let to = free_name(&*self.disk, &to).map_err(AppendError::Retry)?;
            self.known.close(&path, to.clone());
            taken.push(ClosingFile { number: known.number, to });
        }
        if !taken.is_empty() {
            self.ledger.close_files(taken).map_err(AppendError::Restart)?;
        }
        Ok(done)
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
        self.has_begun_file = true;
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
        let refused = |error| AppendError::Retry(named(path, &error));
        self.directories.make(&*self.disk, directory).map_err(refused)?;
        let mut opened = recovery::open(&*self.disk, path).map_err(refused)?;
        if let Some((number, place)) = known
            && goes_on(&mut opened, &place).map_err(refused)?
        {
            return Ok((opened, Some(number)));
        }
        self.directories.record_new_name(directory);
        if !matches!(opened.tail.last(), None | Some(b'\n')) {
            opened.end_line().map_err(refused)?;
        }
        if opened.end > 0 && self.options.sync {
            // The mark says that what the file holds is durable. The kernel reports a failed sync only once.
            opened.file.sync().map_err(|error| AppendError::Restart(named(path, &error)))?;
        }
        if let Some((number, _)) = known {
            self.sync_names().map_err(refused)?;
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
        self.known.insert(path, number, until);
        let (disk, ledger) = (Arc::clone(&self.disk), self.ledger.clone());
        let writer = LogWriter::new(disk, (path, number), ledger, opened, &self.options);
        let writer = writer.below(&self.root).guarded(self.guard.clone());
        self.open.insert(path.to_owned(), OpenWriter { writer, used: self.uses });
    }

    fn of_journal(&self, error: io::Error) -> AppendError {
        AppendError::of_journal(&self.ledger, error)
    }
}

/// The error, with the file that it is of.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
