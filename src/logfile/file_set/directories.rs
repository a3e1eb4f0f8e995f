//! Makes the directories of a path's placeholders, and makes their names durable.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::logfile::disk::{Disk, directory_of};

/// The directories below one that must exist.
#[derive(Debug)]
pub(in crate::logfile) struct Directories {
    root: PathBuf,
    /// Those whose names this process has made durable. Another process may have been killed just before it
    /// did so.
    durable: HashSet<PathBuf>,
}

impl Directories {
    pub(in crate::logfile) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), durable: HashSet::new() }
    }

    /// Makes the directory and those above it. Their names are durable on return.
    ///
    /// # Errors
    /// The disk refuses, or there is something else at one of the paths.
    pub(in crate::logfile) fn make(&mut self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        let (mut at, mut path) = (directory, Vec::new());
        while at != self.root && at.starts_with(&self.root) {
            path.push(at);
            at = directory_of(at);
        }
        for directory in path.into_iter().rev() {
            let is_there = disk.stat(directory).is_ok();
            if is_there && self.durable.contains(directory) {
                continue;
            }
            match disk.create_directory(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => disk.sync_names(directory_of(directory))?,
            }
            self.durable.insert(directory.to_owned());
        }
        Ok(())
    }
}
