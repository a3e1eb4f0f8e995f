//! Follows the path: where writing goes on if the file was moved away, removed or changed.

use std::io;

use super::{AppendError, LogWriter};
use crate::logfile::directories::make_directories;
use crate::logfile::disk::directory_of;
use crate::logfile::recovery::{self, OpenedLog};

impl LogWriter {
    /// Checks whether the path still leads to pandad's file, and whether the file has the length that
    /// pandad left. If not, writing goes on at the end of the file that is at the path now. After an error
    /// nothing has changed.
    pub(super) fn follow_path(&mut self) -> Result<(), AppendError> {
        let same_file = match self.disk.stat(&self.path) {
            Ok(stat) => stat.id == self.id,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(AppendError::Retry(error)),
        };
        let stat = self.file.stat().map_err(AppendError::Retry)?;
        if same_file && (stat.len == self.end || self.skip_foreign(stat.len)?) {
            return Ok(());
        }
        // Everything written before becomes durable in the old file, so that only the new file matters from
        // here on. The kernel reports a failed sync only once.
        self.file.sync().map_err(AppendError::Restart)?;
        let opened = self.open_anew().map_err(AppendError::Retry)?;
        self.ledger.move_file(self.moved_to(&opened)).map_err(AppendError::Restart)?;
        self.go_to(opened);
        let Some(own) = self.rotating.take() else {
            let what = match () {
                () if same_file => "another program has changed it",
                () if stat.links == 0 => "was removed",
                () => "was moved away",
            };
            log::info!("{}: {what}; going on at the end of the file that is at this path now", self.label);
            return Ok(());
        };
        // Only now does the journal not need the old file any more.
        if let Some(archive) = &self.archive {
            archive.tidy(own.stamp);
        }
        Ok(())
    }

    pub(super) fn go_to(&mut self, opened: OpenedLog) {
        self.is_foreign_logged &= self.id == opened.id;
        self.file = opened.file;
        self.id = opened.id;
        self.end = opened.end;
        self.before = crc32fast::hash(&opened.tail);
        self.tail = opened.tail;
        self.head = opened.head;
        self.last_write = opened.modified * 1000;
    }

    pub(super) fn open_anew(&self) -> io::Result<OpenedLog> {
        if let Some(root) = &self.root {
            make_directories(&*self.disk, root, directory_of(&self.path))?;
        }
        self.begin_as_before()?;
        let mut opened = recovery::open(&*self.disk, &self.path)?;
        self.disk.sync_names(directory_of(&self.disk.target(&self.path)))?;
        if !matches!(opened.tail.last(), None | Some(b'\n')) {
            opened.end_line()?;
        }
        Ok(opened)
    }

    /// Rotates the file if that is due, although nothing is to be written.
    ///
    /// # Errors
    /// As of [`LogWriter::append`]. Call again.
    pub fn tick(&mut self) -> Result<(), AppendError> {
        if self.is_pending() || !self.rotate_if_due(0) {
            return Ok(());
        }
        self.follow_path()
    }

    /// If the file was moved away, makes what was written durable there and goes on in a new file.
    /// False if a write must be completed first.
    ///
    /// # Errors
    /// As of [`LogWriter::append`]. Call again.
    pub fn reopen(&mut self) -> Result<bool, AppendError> {
        if self.is_pending() {
            return Ok(false);
        }
        self.follow_path()?;
        Ok(true)
    }
}
