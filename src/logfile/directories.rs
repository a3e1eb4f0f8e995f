//! The directories of a path's placeholders, and their names, which must be durable before the journal
//! relies on a file.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::logfile::disk::{Disk, directory_of};

/// How many directories are remembered whose names are durable. The names of the others are synced again.
const DURABLE_MAX: usize = 4096;

/// The directory, and those above it up to `root`, without `root`.
fn below<'a>(root: &'a Path, directory: &'a Path) -> impl Iterator<Item = &'a Path> {
    directory.ancestors().take_while(move |at| *at != root && at.starts_with(root))
}

/// Makes the directory, and those above it up to `root`, which must exist. Their names are durable on
/// return, also if another run has made them and has not come to sync them.
///
/// # Errors
/// The disk refuses, or there is something else at one of the paths.
pub(super) fn make_directories(disk: &dyn Disk, root: &Path, directory: &Path) -> io::Result<()> {
    make(disk, root, directory)?;
    below(root, directory).try_for_each(|directory| disk.sync_names(directory_of(directory)))
}

fn make(disk: &dyn Disk, root: &Path, directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = below(root, directory).take_while(|at| disk.stat(at).is_err()).collect();
    for directory in missing.into_iter().rev() {
        match disk.create_directory(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The directories that files of a set are in. The names of many are made durable together.
#[derive(Debug, Default)]
pub(in crate::logfile) struct Directories {
    root: PathBuf,
    /// Directories with names that may not be durable.
    unsynced: BTreeSet<PathBuf>,
    /// The directories that become durable with those.
    pending: Vec<PathBuf>,
    /// Directories whose names are durable.
    durable: HashSet<PathBuf>,
}

impl Directories {
    /// All are below `root`, which must exist.
    pub(in crate::logfile) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// Makes a directory if need be.
    ///
    /// # Errors
    /// As of [`make_directories`].
    pub(in crate::logfile) fn make(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        make(disk, &self.root, directory)
    }

    /// The directory has a file whose name may not be durable, and its own name may not be durable either:
    /// another run may have made both.
    pub(in crate::logfile) fn record_new_name(&mut self, directory: &Path) {
        self.unsynced.insert(directory.to_owned());
        for at in below(&self.root, directory) {
            if !self.durable.contains(at) {
                self.unsynced.insert(directory_of(at).to_owned());
                self.pending.push(at.to_owned());
            }
        }
    }

    /// Makes the new names durable, each directory once.
    ///
    /// # Errors
    /// The disk refuses. Then the names are still to be synced.
    pub(in crate::logfile) fn sync(&mut self, disk: &dyn Disk) -> io::Result<()> {
        while let Some(directory) = self.unsynced.first() {
            disk.sync_names(directory)?;
            self.unsynced.pop_first();
        }
        if self.durable.len() + self.pending.len() > DURABLE_MAX {
            self.durable.clear();
        }
        self.durable.extend(self.pending.drain(..));
        Ok(())
    }

    /// Names need not be durable.
    pub(in crate::logfile) fn forget(&mut self) {
        self.unsynced.clear();
        self.pending.clear();
    }
}
