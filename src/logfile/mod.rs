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
mod writer;
mod written_files;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use checkpoint::Checkpoint;
pub use file_set::{CompleteBefore, FileSet, FileSetOptions, FileWriters, RoutedPieces, open_set};
pub use journal::{EVERY_PARTITION, HeldOffsets, Landmark, MemberIdentity, PositionChange, RouteScope};
pub use ledger::{Ledger, Settled};
pub use lock::{Lock, LockRequest, LockRequests};
pub use lock_request::{PendingRequest, RequestOutcome};
pub use open_error::OpenError;
pub use options::LogFileOptions;
pub use reopener::{ClosedLog, Reopener};
pub use restart_memory::RestartMemory;
pub use resume::Resumed;
pub use rotation::{Rotation, RotationInterval};
pub use settler::Settler;
pub use writer::{AppendError, Guard, LogWriter, Piece};

use crate::log_names;
use archive::Archive;
use disk::{Disk, OpenMode, RealDisk, directory_of, with_suffix};
use journal::ONLY_FILE;
use label::LogLabel;
use open_error::classify;
use opening::{begin_ledger, check_path, era, read_journal};

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

/// Checks whether the disk accepts writes: writes as many bytes beside the log file as one write to
/// it usually has, syncs them, and deletes them.
///
/// # Errors
/// The disk refuses.
pub fn try_disk(path: &Path) -> io::Result<()> {
    let at = with_suffix(path, ".probe");
    let file = RealDisk.open(&at, OpenMode::Truncate)?;
    let tried = file.write_at(&vec![b'.'; PROBE_BYTES], 0).and_then(|()| file.sync());
    RealDisk.remove(&at).and(tried)
}

/// Opens log files that could not be opened, as soon as that is possible.
///
/// # Errors
/// No thread can be started.
pub fn start_reopener(options: LogFileOptions) -> io::Result<Reopener<LogFile>> {
    Reopener::start(move |ClosedLog { path, sync_failed, .. }, memory| {
        let tried = if *sync_failed { try_disk(path) } else { Ok(()) };
        let opened =
            tried.map_err(|error| classify(path, &error)).and_then(|()| open(path, &options, memory));
        opened.map_err(|error| log::debug!("{}: still not open: {}", options.job, error.into_text())).ok()
    })
}

/// The size of a usual write of the sink.
const PROBE_BYTES: usize = 1024 * 1024;

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

/// The file system must take the names of all files beside the log file, or the first rotation would
/// be refused.
fn check_names(disk: &dyn Disk, path: &Path, rotation: &Rotation) -> Result<(), OpenError> {
    let suffix = |rotated| log_names::suffix_bytes_max(rotated, rotation.gzip);
    let target = disk.target(path);
    for (file, suffix) in [(path, suffix(false)), (&target, suffix(rotation.is_on()))] {
        let length = file.file_name().map_or(0, OsStr::len);
        if let Some(most) = disk::name_bytes_max(directory_of(file)).filter(|most| length + suffix > *most) {
            return Err(OpenError::Fatal(format!(
                "{}: its name has {length} bytes, and up to {suffix} are appended for files beside it, but \
                 this file system takes names of {most}: write a shorter one",
                file.display()
            )));
        }
    }
    Ok(())
}
