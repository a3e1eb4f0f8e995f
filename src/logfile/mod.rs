//! The log file that holds every record exactly once: a journal beside it says what
//! was written and up to where the source was read, and decides at the start.

mod archive;
mod disk;
mod group_view;
pub mod inspect;
mod journal;
mod label;
mod ledger;
mod ledger_state;
pub mod line;
mod lock;
mod open_error;
mod options;
mod recovery;
mod restart_memory;
pub mod resume;
mod rotation;
mod settler;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

pub use journal::{Landmark, MemberIdentity, PositionChange};
pub use ledger::{Ledger, Settled};
pub use lock::{Lock, ReopenOutcome, ask_to_reopen};
pub use open_error::OpenError;
pub use options::LogFileOptions;
pub use restart_memory::RestartMemory;
pub use resume::Resumed;
pub use rotation::{Rotation, RotationInterval};
pub use settler::{Checkpoint, Settler};
pub use writer::{AppendError, Guard, LogWriter, Piece};

use crate::host;
use archive::Archive;
use disk::{Disk, FileKind, directory_of, with_suffix};
use journal::{JournalEntry, JournalFile, JournalRead, JournalState};
use label::LogLabel;
use open_error::classify;

/// A log file and its journal, open and locked.
#[derive(Debug)]
pub struct LogFile {
    /// Appends.
    pub writer: LogWriter,
    /// Syncs.
    pub settler: Settler,
    /// Knows the positions.
    pub ledger: Ledger,
    /// Released when it is dropped.
    pub lock: Lock,
}

/// Locks, reads the journal, adopts what the file holds of it, and opens both ends.
///
/// What is found is logged, unless `memory` knows that it was logged before.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &Path, options: &LogFileOptions, memory: &mut RestartMemory) -> Result<LogFile, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk::RealDisk);
    check_path(&*disk, path)?;
    let lock = Lock::take(path)?;
    let (mut writer, settler, ledger) =
        open_with(&disk, path, options, journal::HALF_BYTES_MIN, era(path), memory)?;
    if options.rotation.is_on() {
        // Only from here on does the journal not need the rotated files.
        let archive = Archive::start(disk, path, options).map_err(|error| classify(path, &error))?;
        writer.archive = Some(archive);
    }
    Ok(LogFile { writer, settler, ledger, lock })
}

/// Writes beside the log file as much as a write to it usually is, durably, and deletes
/// it again: whether the disk takes anything.
///
/// # Errors
/// The disk's.
pub fn try_disk(path: &Path) -> io::Result<()> {
    let at = with_suffix(path, ".probe");
    let mut file = std::fs::File::create(&at)?;
    let tried = file.write_all(&vec![b'.'; PROBE_BYTES]).and_then(|()| file.sync_all());
    std::fs::remove_file(&at).and(tried)
}

/// Bytes.
const PROBE_BYTES: usize = 1024 * 1024;

/// What was written and not synced lives as long as this boot and this mount of the file
/// system, whose pages go with it: unmounted because it failed is as if the power had gone.
fn era(path: &Path) -> Option<u128> {
    host::boot_id().map(|boot| boot ^ u128::from(disk::mount_id(directory_of(path))))
}

/// All but the lock, which only the disk of this machine has.
fn open_with(
    disk: &Arc<dyn Disk>,
    path: &Path,
    options: &LogFileOptions,
    half: u64,
    mut boot: Option<u128>,
    memory: &mut RestartMemory,
) -> Result<(LogWriter, Settler, Ledger), OpenError> {
    let label = LogLabel::new(options.job, path);
    let at = with_suffix(path, ".journal");
    let this_boot = boot;
    let (mut state, journal) = match JournalFile::read(disk, &at).map_err(|error| classify(&at, &error))? {
        JournalRead::Journal { journal, entries, whole } => {
            // What was written in this boot may be lost all the same.
            boot = boot.filter(|_| whole && !memory.sync_failed);
            (JournalState::replay(entries), Some(journal))
        }
        JournalRead::Missing => (JournalState::default(), None),
        JournalRead::Unreadable(why) => {
            set_aside(&**disk, &label, &at, &why)?;
            (JournalState::default(), None)
        }
        JournalRead::Later(version) => {
            return Err(OpenError::Fatal(format!(
                "{}: a journal of version {version}, which a later pandad wrote; run that one",
                at.display()
            )));
        }
    };
    let opened = recovery::recover(&**disk, path, &mut state, (boot, this_boot), (&label, memory))
        .map_err(|error| classify(path, &error))?;
    let snapshot = state.snapshot();
    let journal =
        start_journal(disk, &at, journal, half, &snapshot).map_err(|error| classify(&at, &error))?;
    memory.sync_failed = false;
    let ledger = Ledger::new(journal, state, label);
    let writer = LogWriter::new(Arc::clone(disk), path, ledger.clone(), opened, options);
    Ok((writer, Settler { ledger: ledger.clone(), sync: options.sync }, ledger))
}

/// Each start begins with a snapshot of what was adopted, so that no entry from
/// before it is ever compared with the file again.
fn start_journal(
    disk: &Arc<dyn Disk>,
    at: &Path,
    journal: Option<JournalFile>,
    half: u64,
    snapshot: &[JournalEntry],
) -> io::Result<JournalFile> {
    match journal {
        Some(mut journal) => {
            journal.rewrite(snapshot, None)?;
            Ok(journal)
        }
        None => {
            let journal =
                JournalFile::create(disk, at, u128::from_be_bytes(host::random()?), half, snapshot)?;
            disk.sync_names(directory_of(at))?;
            Ok(journal)
        }
    }
}

fn check_path(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    match disk.stat(path) {
        Ok(stat) if stat.kind == FileKind::File => Ok(()),
        Ok(_) => Err(OpenError::Fatal(format!("{}: not a regular file", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = directory_of(path);
            match disk.stat(directory) {
                Err(error) => Err(classify(directory, &error)),
                Ok(stat) if stat.kind != FileKind::Directory => {
                    Err(OpenError::Fatal(format!("{}: its directory is not one", path.display())))
                }
                _ => Ok(()),
            }
        }
        Err(error) => Err(classify(path, &error)),
    }
}

/// An unreadable journal is kept for whoever wants to know what happened.
fn set_aside(disk: &dyn Disk, label: &LogLabel, at: &Path, why: &str) -> Result<(), OpenError> {
    let aside = with_suffix(at, ".unreadable");
    log::warn!(
        "{label}: its journal cannot be read ({why}): it was moved to {}, and the group's offsets decide where \
         to read on",
        aside.display()
    );
    disk.rename(at, &aside).map_err(|error| classify(at, &error))
}
