//! Moves a complete file to where others take it from. Nothing that is there is replaced.

use std::io;
use std::path::{Path, PathBuf};

use crate::logfile::directories::Directories;
use crate::logfile::disk::{Disk, directory_of, with_suffix};
use crate::logfile::journal::FilePlace;

/// How many names are tried.
const NAMES_MAX: u32 = 10_000;

/// Where a file can be moved: to this path, or with `.1`, `.2` and so on appended if the path is taken.
///
/// # Errors
/// The disk refuses, or every name is taken.
pub(super) fn free_name(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    for number in 0..NAMES_MAX {
        let name = if number == 0 { path.to_owned() } else { with_suffix(path, &format!(".{number}")) };
        match disk.stat_link(&name) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{}: every name is taken", path.display())))
}

/// Makes the directory, and moves the file, which the journal says is closing. After an interruption the same
/// call goes on. If neither path has the file, somebody has taken it already. False: another file has the
/// name by now.
///
/// # Errors
/// The disk refuses.
pub(super) fn publish(
    disk: &dyn Disk,
    directories: &mut Directories,
    (from, place): (&Path, &FilePlace),
    to: &Path,
) -> io::Result<bool> {
    directories.make(disk, directory_of(to))?;
    let here = match disk.stat_link(from) {
        // Another file took the place of the complete one.
        Ok(stat) if stat.id != place.file && stat.len != place.end => return Ok(true),
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    match disk.link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if disk.stat_link(to)?.id != here.id {
                return Ok(false);
            }
        }
        // Somebody has taken it just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_gone(disk, from)? => return Ok(true),
        linked => linked?,
    }
    // The new name is durable before the old one goes.
    directories.record_new_name(directory_of(to));
    #[cfg(test)]
    if MOVED_WITHOUT_SYNC.get() {
        directories.forget();
    }
    directories.sync(disk)?;
    match disk.remove(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        removed => removed?,
    }
    disk.sync_names(directory_of(from))?;
    Ok(true)
}

fn is_gone(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.stat_link(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        there => there.map(|_| false),
    }
}

#[cfg(test)]
type Mistake = std::cell::Cell<bool>;
#[cfg(test)]
thread_local! {
    /// Mistakes that a test makes to show that the simulator notices them.
    pub(in crate::logfile) static MOVED_WITHOUT_SYNC: Mistake = const { Mistake::new(false) };
}
