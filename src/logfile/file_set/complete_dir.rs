//! Tries at the start whether complete files can be moved. Otherwise it would show hours later, when the
//! first period is over.

use std::io;
use std::path::Path;

use super::part_file::remove_if_there;
use crate::logfile::disk::{Disk, FileKind, OpenMode, directory_of, with_suffix};
use crate::logfile::open_error::{OpenError, classify};

/// Tries whether a file beside the journal at `base` can be moved to this directory, or to the one above
/// while this one is missing. What may pass, as a full disk, is no error here.
///
/// # Errors
/// `Mend`: it is no directory, or on another file system, or the rights do not suffice.
pub(in crate::logfile) fn try_complete_dir(
    disk: &dyn Disk,
    base: &Path,
    complete: &Path,
) -> Result<(), OpenError> {
    let directory = match disk.stat(complete) {
        Ok(stat) if stat.kind == FileKind::Directory => complete,
        Ok(_) => {
            let why = "log_file['complete'] is not a directory: write another path";
            return Err(OpenError::Mend(format!("{}: {why}", complete.display())));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => directory_of(complete),
        Err(error) => return Err(classify(complete, &error)),
    };
    let from = with_suffix(base, ".probe");
    let to = directory.join(from.file_name().unwrap_or_default());
    if to == from || disk.open(&from, OpenMode::Truncate).is_err() {
        return Ok(());
    }
    // A start that was killed may have left it.
    let linked = remove_if_there(disk, &to).and_then(|()| disk.link(&from, &to));
    // Neither is needed any more; the next start removes what stays.
    let _removed = (remove_if_there(disk, &to), remove_if_there(disk, &from));
    match linked {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Err(OpenError::Mend(format!(
            "{}: log_file['complete'] is on another file system than the log files ({}), and complete files \
             are moved by a link, so that none is ever there in part: choose a directory on the same one",
            complete.display(),
            directory_of(base).display()
        ))),
        Err(error) => match classify(&to, &error) {
            OpenError::Mend(why) => Err(OpenError::Mend(why)),
            OpenError::Retry(_) | OpenError::Fatal(_) => Ok(()),
        },
        Ok(()) => Ok(()),
    }
}
