//! The log file that holds every record exactly once: a journal beside it says what
//! was written and up to where the source was read, and decides at the start.

mod adopt;
mod area;
mod commits;
mod journal;
mod ledger;
pub mod line;
mod positions;
pub mod resume;
mod state;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

pub use journal::{Change, Landmark};
pub use ledger::{Ledger, Resumed, Settled};
pub use write::{AppendError, Checkpoint, Piece, Settler, Writer};

use crate::host;
use area::{Area, Found, with_suffix};
use journal::Entry;
use state::State;

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

/// Keeps a second pandad off the file. A file of its own, which is never renamed.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Locks, reads the journal, adopts what the file holds of it, and opens both ends.
///
/// `sync` false leaves out every sync but those at the start: a kill still loses
/// nothing, a loss of power may.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &Path, sync: bool) -> Result<LogFile, OpenError> {
    open_with(path, sync, area::HALF, host::boot_id())
}

fn open_with(path: &Path, sync: bool, half: u64, boot: Option<u128>) -> Result<LogFile, OpenError> {
    check_path(path)?;
    let lock = lock(path)?;
    let at = with_suffix(path, ".journal");
    let (mut state, area) = match Area::read(&at).map_err(|error| sort(&at, &error))? {
        Found::Journal(area, entries) => (State::replay(entries), Some(area)),
        Found::Missing => (State::default(), None),
        Found::Unreadable(why) => {
            set_aside(&at, &why)?;
            (State::default(), None)
        }
        Found::Later(version) => {
            return Err(OpenError::Never(format!(
                "{}: a journal of version {version}, which a later pandad wrote; run that one",
                at.display()
            )));
        }
    };
    let opened = adopt::adopt(path, &mut state, boot).map_err(|error| sort(path, &error))?;
    let snapshot = state.snapshot();
    let area = start_journal(&at, area, half, &snapshot).map_err(|error| sort(&at, &error))?;
    let ledger = Ledger::new(area, state);
    let writer = Writer::new(path, ledger.clone(), opened);
    Ok(LogFile { writer, settler: Settler { ledger: ledger.clone(), sync }, ledger, lock })
}

/// Each start begins with a snapshot of what was adopted, so that no entry from
/// before it is ever compared with the file again.
fn start_journal(at: &Path, area: Option<Area>, half: u64, snapshot: &[Entry]) -> io::Result<Area> {
    match area {
        Some(mut area) => {
            area.rewrite(snapshot, None)?;
            Ok(area)
        }
        None => {
            let area = Area::create(at, u128::from_be_bytes(host::random()?), half, snapshot)?;
            sync_directory(at)?;
            Ok(area)
        }
    }
}

fn check_path(path: &Path) -> Result<(), OpenError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(OpenError::Never(format!("{}: not a regular file", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            match directory.map(std::fs::metadata) {
                Some(Err(error)) => Err(sort(directory.unwrap_or(path), &error)),
                Some(Ok(meta)) if !meta.is_dir() => {
                    Err(OpenError::Never(format!("{}: its directory is not one", path.display())))
                }
                _ => Ok(()),
            }
        }
        Err(error) => Err(sort(path, &error)),
    }
}

fn lock(path: &Path) -> Result<Lock, OpenError> {
    let at = with_suffix(path, ".lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&at)
        .map_err(|error| sort(&at, &error))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(OpenError::Never(format!(
                "{}: locked: another pandad writes this log file",
                at.display()
            )));
        }
        Err(error) => return Err(sort(&at, &error.into())),
    }
    // For people only, so a full disk may keep it from being written.
    let _for_people = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Lock { _file: file })
}

/// An unreadable journal is kept for whoever wants to know what happened.
fn set_aside(at: &Path, why: &str) -> Result<(), OpenError> {
    let aside = with_suffix(at, ".unreadable");
    log::warn!(
        "{}: not a journal that can be read ({why}); moved to {}, and the group's offsets decide",
        at.display(),
        aside.display()
    );
    std::fs::rename(at, &aside).map_err(|error| sort(at, &error))
}

/// Makes a name in the path's directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
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
