//! Opens files of a set, and closes those that were not used for the longest time.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{FileWriters, OpenWriter};
use crate::logfile::disk::directory_of;
use crate::logfile::file_set::routed::RoutedFile;
use crate::logfile::journal::{FileNumber, MarkedFile, NamedFile};
use crate::logfile::recovery::{self, OpenedLog};
use crate::logfile::writer::{AppendError, LogWriter};

impl FileWriters {
    /// Opens the files of one write. Those that the journal does not know are named in one mark.
    pub(super) fn open_all(&mut self, files: &[RoutedFile<'_>]) -> Result<(), AppendError> {
        self.uses += 1;
        let (mut closed, mut new) = (Vec::new(), Vec::new());
        for file in files {
            match self.open.get_mut(file.path) {
                Some(open) => open.used = self.uses,
                None => closed.push(*file),
            }
        }
        for file in closed {
            self.make_room(new.len())?;
            let (opened, known) = self.open_file(file.path, new.len())?;
            match known {
                Some(number) => self.attach(&file, number, opened),
                None => new.push((file, opened)),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.sync_names().map_err(AppendError::Retry)?;
        let root = self.root.clone();
        let below = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_owned();
        let named = |file: &RoutedFile<'_>| NamedFile {
            path: below(file.path),
            until: file.until,
            scope: file.scope.clone(),
        };
        let begun = new.iter().map(|(file, opened)| (named(file), opened.place()));
        let numbers = self.ledger.begin_files(begun.collect()).map_err(|error| self.of_journal(error))?;
        self.new_files.record(new.len());
        self.has_begun_file = true;
        for (number, (file, opened)) in numbers.into_iter().zip(new) {
            self.attach(&file, number, opened);
        }
        Ok(())
    }

    /// Closes files that were not used for the longest time, if too many are open beside so many others. A
    /// file with bytes that no mark has settled is synced before: an error of its write-back might be told to
    /// nobody later.
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
            && opened.goes_on_at(&place).map_err(refused)?
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

    fn attach(&mut self, file: &RoutedFile<'_>, number: FileNumber, opened: OpenedLog) {
        self.known.insert(file, number);
        let (disk, ledger) = (Arc::clone(&self.disk), self.ledger.clone());
        let writer = LogWriter::new(disk, (file.path, number), ledger, opened, &self.options);
        let writer = writer.below(&self.root).guarded(self.guard.clone());
        self.open.insert(file.path.to_owned(), OpenWriter { writer, used: self.uses });
    }
}

/// The error, with the file that it is of.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
