//! The compressed file of a complete one before it has its final name.

use std::io;
use std::path::{Path, PathBuf};

use crate::log_names::COMPRESSED;
use crate::logfile::disk::{Disk, FileId, with_suffix};

/// A compressed file, durable under the name of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompressedFile {
    pub(super) id: FileId,
    /// The complete file, and how many bytes it had.
    pub(super) plain: FileId,
    pub(super) plain_bytes: u64,
}

/// Where a file is compressed: beside itself, so that everything below the directory of complete files is
/// whole.
pub(super) fn part_of(path: &Path) -> PathBuf {
    with_suffix(path, &format!("{COMPRESSED}.part"))
}

pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
