//! Moves a complete file to where others take it from, compressed if that is asked for. Nothing that is there
//! is replaced.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::part_file::{CompressedFile, part_of, remove_if_there};
use crate::log_names::COMPRESSED;
use crate::logfile::directories::Directories;
use crate::logfile::disk::{Disk, FileStat, directory_of, with_suffix};
use crate::logfile::journal::FilePlace;

/// How many names are tried.
const NAMES_MAX: u32 = 10_000;

/// How a publication has gone so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publication {
    /// The file has its new name, or somebody has taken it already.
    Done,
    /// Another file has the new name by now.
    Taken,
    /// It is not compressed yet.
    Uncompressed,
}

/// Where a file can be moved: to this path, or with `.1`, `.2` and so on appended if the path is taken, or
/// `reserved` for another file. Then comes the end of its name.
///
/// # Errors
/// The disk refuses, or every name is taken.
pub(super) fn free_name(
    disk: &dyn Disk,
    path: &Path,
    is_compressed: bool,
    reserved: &BTreeSet<PathBuf>,
) -> io::Result<PathBuf> {
    let end = if is_compressed { COMPRESSED } else { "" };
    for number in 0..NAMES_MAX {
        let taken = if number == 0 { String::new() } else { format!(".{number}") };
        let name = with_suffix(path, &format!("{taken}{end}"));
        if reserved.contains(&name) {
            continue;
        }
        match disk.stat_link(&name) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{}: every name is taken", path.display())))
}

/// Makes the directory, and moves the file, which the journal says is closing. After an interruption the same
/// call goes on. If neither path has the file, somebody has taken it already.
///
/// # Errors
/// The disk refuses.
pub(super) fn publish(
    disk: &dyn Disk,
    directories: &mut Directories,
    (from, place): (&Path, &FilePlace),
    to: &Path,
) -> io::Result<Publication> {
    directories.make(disk, directory_of(to))?;
    let Some(here) = complete_file(disk, from, place)? else { return Ok(Publication::Done) };
    match disk.link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if disk.stat_link(to)?.id != here.id {
                return Ok(Publication::Taken);
            }
        }
        // Somebody has taken it just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_gone(disk, from)? => {
            return Ok(Publication::Done);
        }
        linked => linked?,
    }
    sync_new_name(disk, directories, to)?;
    remove_if_there(disk, from)?;
    disk.sync_names(directory_of(from))?;
    Ok(Publication::Done)
}

/// As [`publish`], of a file that is compressed on its way. `made` is what was made of it in this run.
///
/// The part keeps its name until the complete file has none any more: if it has a second name, it was
/// published, whatever has become of that name.
///
/// # Errors
/// The disk refuses.
pub(super) fn publish_compressed(
    disk: &dyn Disk,
    directories: &mut Directories,
    (from, place): (&Path, &FilePlace),
    to: &Path,
    made: Option<&CompressedFile>,
) -> io::Result<Publication> {
    let (part, directory) = (part_of(from), directory_of(from));
    let Some(here) = complete_file(disk, from, place)? else {
        remove_if_there(disk, &part)?;
        return match disk.sync_names(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Publication::Done),
        };
    };
    let compressed = match disk.stat_link(&part) {
        Ok(stat) => Some(stat),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let is_linked = compressed.is_some_and(|stat| stat.links > 1);
    if !is_linked {
        // It may have grown meanwhile.
        let is_of = |made: &CompressedFile| (made.plain, made.plain_bytes) == (here.id, here.len);
        let is_made =
            made.is_some_and(|made| is_of(made) && compressed.is_some_and(|stat| stat.id == made.id));
        if !is_made {
            return Ok(Publication::Uncompressed);
        }
    }
    #[cfg(test)]
    if UNLINKED_BEFORE_LINK.get() {
        disk.remove(from)?;
    }
    directories.make(disk, directory_of(to))?;
    if !is_linked && let Err(error) = disk.link(&part, to) {
        return match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(Publication::Taken),
            _ => Err(error),
        };
    }
    sync_new_name(disk, directories, to)?;
    remove_if_there(disk, from)?;
    // A loss of power takes the newest changes of names: never the part's end without the file's.
    remove_if_there(disk, &part)?;
    disk.sync_names(directory)?;
    Ok(Publication::Done)
}

/// What is at the path of the complete file. `None`: nothing, or another file took its place.
fn complete_file(disk: &dyn Disk, path: &Path, place: &FilePlace) -> io::Result<Option<FileStat>> {
    match disk.stat_link(path) {
        Ok(stat) if stat.id != place.file && stat.len != place.end => Ok(None),
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The new name is durable before the old one goes.
fn sync_new_name(disk: &dyn Disk, directories: &mut Directories, to: &Path) -> io::Result<()> {
    directories.record_new_name(directory_of(to));
    #[cfg(test)]
    if MOVED_WITHOUT_SYNC.get() {
        directories.forget();
    }
    directories.sync(disk)
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
    pub(in crate::logfile) static UNLINKED_BEFORE_LINK: Mistake = const { Mistake::new(false) };
}
