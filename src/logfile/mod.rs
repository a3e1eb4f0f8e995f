//! The log file that holds every record exactly once: a journal beside it says what
//! was written and up to where the source was read, and decides at the start.

mod archive;
mod disk;
mod group_view;
pub mod inspect;
mod journal;
mod ledger;
mod ledger_state;
pub mod line;
mod lock;
mod recovery;
mod restart_memory;
pub mod resume;
mod rotation;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

pub use journal::{Change, Landmark, Member};
pub use ledger::{Ledger, Resumed, Settled};
pub use lock::{Asked, Lock, ask_to_reopen};
pub use restart_memory::Before;
pub use rotation::{Every, Rotation};
pub use writer::{AppendError, Checkpoint, Guard, Piece, Settler, Writer};

use crate::host;
use archive::Archive;
use disk::{Disk, Kind, directory_of, with_suffix};
use journal::{Area, Entry, Found, State};

/// Why a log file could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The disk does not serve just now (full, read-only, an I/O error): try again.
    Wait(String),
    /// It cannot work as configured.
    Never(String),
}

/// A log file and its journal, open and locked.
#[derive(Debug)]
pub struct LogFile {
    /// Appends.
    pub writer: Writer,
    /// Syncs.
    pub settler: Settler,
    /// Knows the positions.
    pub ledger: Ledger,
    /// Released when it is dropped.
    pub lock: Lock,
}

/// Locks, reads the journal, adopts what the file holds of it, and opens both ends.
///
/// `sync` false leaves out every sync but those at the start: a kill still loses
/// nothing, a loss of power may. What is found is logged unless it was said before.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &Path, sync: bool, rotation: &Rotation, before: &mut Before) -> Result<LogFile, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk::Real);
    check_path(&*disk, path)?;
    let lock = Lock::take(path)?;
    let (mut writer, settler, ledger) =
        open_with(&disk, path, sync, journal::HALF, era(path), rotation, before)?;
    if rotation.is_on() {
        // Only from here on does the journal not need the rotated files.
        writer.archive = Some(Archive::start(disk, path, rotation).map_err(|error| sort(path, &error))?);
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
    let tried = file.write_all(&vec![b'.'; PROBE]).and_then(|()| file.sync_all());
    std::fs::remove_file(&at).and(tried)
}

/// Bytes.
const PROBE: usize = 1024 * 1024;

/// What was written and not synced lives as long as this boot and this mount of the file
/// system, whose pages go with it: unmounted because it failed is as if the power had gone.
fn era(path: &Path) -> Option<u128> {
    host::boot_id().map(|boot| boot ^ u128::from(disk::mount(directory_of(path))))
}

/// All but the lock, which only the disk of this machine has.
fn open_with(
    disk: &Arc<dyn Disk>,
    path: &Path,
    sync: bool,
    half: u64,
    mut boot: Option<u128>,
    rotation: &Rotation,
    before: &mut Before,
) -> Result<(Writer, Settler, Ledger), OpenError> {
    let at = with_suffix(path, ".journal");
    let this_boot = boot;
    let (mut state, area) = match Area::read(disk, &at).map_err(|error| sort(&at, &error))? {
        Found::Journal { area, entries, whole } => {
            // What was written in this boot may be lost all the same.
            boot = boot.filter(|_| whole && !before.sync_failed);
            (State::replay(entries), Some(area))
        }
        Found::Missing => (State::default(), None),
        Found::Unreadable(why) => {
            set_aside(&**disk, &at, &why)?;
            (State::default(), None)
        }
        Found::Later(version) => {
            return Err(OpenError::Never(format!(
                "{}: a journal of version {version}, which a later pandad wrote; run that one",
                at.display()
            )));
        }
    };
    let opened = recovery::adopt(&**disk, path, &mut state, (boot, this_boot), before)
        .map_err(|error| sort(path, &error))?;
    let snapshot = state.snapshot();
    let area = start_journal(disk, &at, area, half, &snapshot).map_err(|error| sort(&at, &error))?;
    before.sync_failed = false;
    let ledger = Ledger::new(area, state);
    let writer = Writer::new(Arc::clone(disk), path, ledger.clone(), opened, rotation.clone());
    Ok((writer, Settler { ledger: ledger.clone(), sync }, ledger))
}

/// Each start begins with a snapshot of what was adopted, so that no entry from
/// before it is ever compared with the file again.
fn start_journal(
    disk: &Arc<dyn Disk>,
    at: &Path,
    area: Option<Area>,
    half: u64,
    snapshot: &[Entry],
) -> io::Result<Area> {
    match area {
        Some(mut area) => {
            area.rewrite(snapshot, None)?;
            Ok(area)
        }
        None => {
            let area = Area::create(disk, at, u128::from_be_bytes(host::random()?), half, snapshot)?;
            disk.sync_names(directory_of(at))?;
            Ok(area)
        }
    }
}

fn check_path(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    match disk.look(path) {
        Ok(look) if look.kind == Kind::File => Ok(()),
        Ok(_) => Err(OpenError::Never(format!("{}: not a regular file", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = directory_of(path);
            match disk.look(directory) {
                Err(error) => Err(sort(directory, &error)),
                Ok(look) if look.kind != Kind::Directory => {
                    Err(OpenError::Never(format!("{}: its directory is not one", path.display())))
                }
                _ => Ok(()),
            }
        }
        Err(error) => Err(sort(path, &error)),
    }
}

/// An unreadable journal is kept for whoever wants to know what happened.
fn set_aside(disk: &dyn Disk, at: &Path, why: &str) -> Result<(), OpenError> {
    let aside = with_suffix(at, ".unreadable");
    log::warn!(
        "{}: not a journal that can be read ({why}); moved to {}, and the group's offsets decide",
        at.display(),
        aside.display()
    );
    disk.rename(at, &aside).map_err(|error| sort(at, &error))
}

/// Waiting helps against a full, read-only or failing disk, and against nothing else.
fn sort(path: &Path, error: &io::Error) -> OpenError {
    use io::ErrorKind::{Interrupted, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TooManyLinks};
    let text = format!("{}: {error}", path.display());
    let io_error = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    match error.kind() {
        StorageFull | QuotaExceeded | ReadOnlyFilesystem | Interrupted | TooManyLinks => {
            OpenError::Wait(text)
        }
        _ if io_error => OpenError::Wait(text),
        _ => OpenError::Never(text),
    }
}
