//! How the files of a set are written.

use std::path::PathBuf;

use crate::logfile::options::LogFileOptions;

/// Where the files of a set are, and how they are written.
#[derive(Debug, Clone)]
pub struct FileSetOptions {
    /// The journal's path without its suffix, in the directory below which all files are.
    pub base: PathBuf,
    /// How each file is written.
    pub log_file: LogFileOptions,
    /// Where the complete files of a period are moved. `None`: they stay where they are.
    pub complete_dir: Option<PathBuf>,
    /// Whether they are compressed on the way.
    pub complete_gzip: bool,
    /// How many files may be open.
    pub open_max: usize,
    /// How many files may begin within an hour.
    pub new_max: usize,
}

impl FileSetOptions {
    /// How many files one write may go to. As many again may be closed and wait for their syncs.
    pub fn files_max(&self) -> usize {
        (self.open_max / 2).max(1)
    }
}
