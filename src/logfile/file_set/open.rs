//! Opens the journal of a set, and brings the set's files to what the journal says.

use std::path::Path;
use std::sync::Arc;

use super::complete_dir::try_complete_dir;
use super::left_files::LeftFiles;
use super::options::FileSetOptions;
use super::recovery;
use super::writers::FileWriters;
use crate::logfile::disk::{Disk, RealDisk, directory_of};
use crate::logfile::journal::HALF_BYTES_MIN;
use crate::logfile::label::LogLabel;
use crate::logfile::opening::{begin_ledger, check_path, era, read_journal};
use crate::logfile::{Ledger, Lock, OpenError, RestartMemory, Settler};

/// The files of a job whose path has placeholders, and their journal, open and locked.
#[derive(Debug)]
pub struct FileSet {
    /// The ends that append.
    pub writers: FileWriters,
    /// The end that syncs.
    pub settler: Settler,
    /// The positions.
    pub ledger: Ledger,
    /// The lock is released when its last clone is dropped.
    pub lock: Lock,
}

/// Locks the journal, reads it, and adopts what the files hold of the journalled ranges.
///
/// # Errors
/// See [`OpenError`].
pub fn open_set(options: &FileSetOptions, memory: &mut RestartMemory) -> Result<FileSet, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    check_path(&*disk, &options.base)?;
    let lock = Lock::take_of_several(&options.base)?;
    options.complete_dir.iter().try_for_each(|complete| try_complete_dir(&*disk, &options.base, complete))?;
    let (writers, settler, ledger) = open_with(&disk, options, HALF_BYTES_MIN, era(&options.base), memory)?;
    Ok(FileSet { writers, settler, ledger, lock })
}

/// Opens the set, except for its lock.
pub(in crate::logfile) fn open_with(
    disk: &Arc<dyn Disk>,
    options: &FileSetOptions,
    half: u64,
    boot: Option<u128>,
    memory: &mut RestartMemory,
) -> Result<(FileWriters, Settler, Ledger), OpenError> {
    let base: &Path = &options.base;
    let label = LogLabel::new(options.log_file.job, base);
    let mut found = read_journal(disk, base, &label, boot, memory)?;
    let boots = (found.boot, boot);
    let root = (&**disk, directory_of(base));
    recovery::recover(root, &mut found.replayed, boots, (&label, memory), &mut LeftFiles::default())?;
    let ledger = begin_ledger(disk, base, found, half, label)?;
    memory.sync_failed = false;
    let settler = Settler { ledger: ledger.clone(), sync: options.log_file.sync };
    let root = directory_of(base);
    let writers = FileWriters::new(Arc::clone(disk), root, ledger.clone(), options);
    Ok((writers, settler, ledger))
}
