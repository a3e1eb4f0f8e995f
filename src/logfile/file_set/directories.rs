//! Makes the directories of a path's placeholders.

use std::io;
use std::path::Path;

use crate::logfile::disk::{Disk, directory_of};

/// Makes the directory, and those above it up to `root`, which must exist. Their names are durable on
/// return.
///
/// # Errors
/// The disk refuses, or there is something else at one of the paths.
pub(in crate::logfile) fn make_directories(disk: &dyn Disk, root: &Path, directory: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = directory;
    while at != root && at.starts_with(root) && disk.stat(at).is_err() {
        missing.push(at);
        at = directory_of(at);
    }
    for directory in missing.into_iter().rev() {
        match disk.create_directory(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => disk.sync_names(directory_of(directory))?,
        }
    }
    Ok(())
}
