//! Syncs that fail, and a directory whose disk refuses one kind of call for a while, as a disk of its own
//! that is full or fails.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{DiskState, SimDisk};

/// What the disk of the directory refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logfile::sim) enum Refused {
    /// Writes to the end of a file, once it has taken this many bytes.
    Append(usize),
    /// To open a file that is there.
    Open,
    /// Syncs of files. What such a sync should have made durable is lost.
    Sync,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    directory: PathBuf,
    refused: Refused,
}

impl SimDisk {
    /// Makes the operation after this many more fail, if it is the sync of a file.
    pub(in crate::logfile::sim) fn fail_sync_after(&self, operations: u64) {
        self.lock().fails = Some(operations);
    }

    /// Whether the sync that was to fail has failed.
    pub(in crate::logfile::sim) fn has_failed_as_planned(&self) -> bool {
        self.lock().has_failed
    }

    /// The numbers of the syncs of files that had something to make durable.
    pub(in crate::logfile::sim) fn syncs(&self) -> Vec<u64> {
        self.lock().syncs.clone()
    }

    /// Whether a sync has failed.
    pub(in crate::logfile::sim) fn has_failed(&self) -> bool {
        self.lock().files.iter().any(|file| file.lost)
    }

    /// From now on this is refused in this directory, and nothing in any other one.
    pub(in crate::logfile::sim) fn refuse(&self, directory: &Path, refused: Refused) {
        self.lock().trouble = Some(Trouble { directory: directory.to_owned(), refused });
    }

    /// Nothing is refused any more.
    pub(in crate::logfile::sim) fn relent(&self) {
        self.lock().trouble = None;
    }

    /// Whether something is refused in this directory.
    pub(in crate::logfile::sim) fn refuses(&self, directory: &Path) -> bool {
        self.lock().trouble.as_ref().is_some_and(|trouble| trouble.directory == directory)
    }
}

impl DiskState {
    fn is_in_trouble(&self, number: usize) -> bool {
        let Some(trouble) = &self.trouble else { return false };
        let mut names = self.names.iter().filter(|(_, named)| **named == number);
        names.any(|(path, _)| path.parent() == Some(&trouble.directory))
    }

    fn refused_of(&mut self, number: usize) -> Option<&mut Refused> {
        let is_in_trouble = self.is_in_trouble(number);
        self.trouble.as_mut().filter(|_| is_in_trouble).map(|trouble| &mut trouble.refused)
    }

    pub(super) fn check_open(&mut self, number: usize) -> io::Result<()> {
        match self.refused_of(number) {
            Some(Refused::Open) => Err(Errno::IO.into()),
            _ => Ok(()),
        }
    }

    /// How many of these bytes the disk of the file takes now.
    pub(super) fn room_in(&mut self, number: usize, count: usize) -> io::Result<usize> {
        match self.refused_of(number) {
            Some(Refused::Append(0)) => Err(io::ErrorKind::StorageFull.into()),
            Some(Refused::Append(room)) => {
                let taken = count.min(*room);
                *room -= taken;
                Ok(taken)
            }
            _ => Ok(count),
        }
    }

    pub(super) fn refuses_sync(&mut self, number: usize) -> bool {
        matches!(self.refused_of(number), Some(Refused::Sync))
    }
}
