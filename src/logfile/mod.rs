//! The log file that holds every record exactly once. A journal beside it says which bytes were written
//! and up to which offset each partition was read; at the start, its entries decide what the file
//! holds.

mod archive;
pub mod backup;
mod checkpoint;
mod directories;
mod disk;
mod file_set;
mod group_view;
pub mod inspect;
mod journal;
pub mod journal_view;
mod label;
mod ledger;
mod ledger_state;
pub mod line;
mod locate;
mod lock;
mod lock_request;
mod open_error;
mod opening;
mod options;
pub mod parts;
mod recovery;
mod reopener;
mod restart_memory;
pub mod resume;
mod rotation;
mod settler;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod topic_files;
mod writer;
mod written_files;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use checkpoint::Checkpoint;
pub use file_set::{CompleteBefore, FileSet, FileSetOptions, FileWriters, RoutedPieces, open_set};
pub use journal::{
    EVERY_PARTITION, FileNumber, HeldOffsets, Landmark, MemberIdentity, PositionChange, RouteScope,
};
pub use ledger::{Ledger, Settled};
pub use lock::{Lock, LockRequest, LockRequests, is_unlocked};
pub use lock_request::{PendingRequest, RequestOutcome};
pub use open_error::OpenError;
pub use options::LogFileOptions;
pub use reopener::{ClosedLog, Reopener};
pub use restart_memory::RestartMemory;
pub use resume::Resumed;
pub use rotation::{Rotation, RotationInterval};
pub use settler::Settler;
pub use topic_files::{TopicFiles, TopicFilesOptions, open_topics, try_topic_file};
pub use writer::{AppendError, Guard, LogWriter, Piece};

use archive::Archive;
use disk::{Disk, RealDisk};
use journal::ONLY_FILE;
use label::LogLabel;
use open_error::classify;
pub use opening::try_disk;
use opening::{begin_ledger, check_names, check_path, era, read_journal};

/// A log file and its journal, open and locked.
#[derive(Debug)]
pub struct LogFile {
    /// The end that appends.
    pub writer: LogWriter,
    /// The end that syncs.
    pub settler: Settler,
    /// The positions.
    pub ledger: Ledger,
    /// The lock is released when its last clone is dropped.
    pub lock: Lock,
}

/// Locks the file, reads its journal, adopts what the file holds of the journalled ranges, and
/// opens both ends.
///
/// Each finding is logged, unless `memory` knows that it was logged before.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &Path, options: &LogFileOptions, memory: &mut RestartMemory) -> Result<LogFile, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    check_path(&*disk, path)?;
    check_names(&*disk, path, &options.rotation)?;
    let lock = Lock::take(path)?;
    rotation::begin_as_before(&*disk, path, &options.rotation).map_err(|error| classify(path, &error))?;
    let (mut writer, settler, ledger) =
        open_with(&disk, path, options, journal::HALF_BYTES_MIN, era(path), memory)?;
    if options.rotation.is_on() {
        // The journal does not need the rotated files any more. Before this point they must not be
        // compressed or deleted.
        let archive = Archive::start(disk, path, options).map_err(|error| classify(path, &error))?;
        writer.archive = Some(archive);
    }
    Ok(LogFile { writer, settler, ledger, lock })
}

/// Says of topics' files that could not be opened when they can be.
///
/// # Errors
/// No thread can be started.
pub fn start_reopener(options: LogFileOptions) -> io::Result<Reopener<()>> {
    Reopener::start(move |ClosedLog { path, sync_failed, .. }| {
        let tried = try_topic_file(path, &options, *sync_failed);
        tried.map_err(|error| log::debug!("{}: still not usable: {}", options.job, error.into_text())).ok()
    })
}

/// Opens the file, except for its lock, which needs the disk of this machine.
fn open_with(
    disk: &Arc<dyn Disk>,
    path: &Path,
    options: &LogFileOptions,
    half: u64,
    boot: Option<u128>,
    memory: &mut RestartMemory,
) -> Result<(LogWriter, Settler, Ledger), OpenError> {
    let label = LogLabel::new(options.job, path);
    let mut found = read_journal(disk, path, &label, boot, memory)?;
    let boots = (found.boot, boot);
    let opened = recovery::recover(&**disk, path, &mut found.replayed, boots, (&label, memory))
        .map_err(|error| classify(path, &error))?;
    let ledger = begin_ledger(disk, path, found, half, label)?;
    memory.sync_failed = false;
    let writer = LogWriter::new(Arc::clone(disk), (path, ONLY_FILE), ledger.clone(), opened, options);
    Ok((writer, Settler { ledger: ledger.clone(), sync: options.sync }, ledger))
}
