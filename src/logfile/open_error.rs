//! Why a log file cannot be opened, and whether waiting can help.

use std::io;
use std::path::Path;

/// Why a log file could not be opened.
#[derive(Debug, Clone)]
pub enum OpenError {
    /// The machine cannot serve at present: the disk is full, read-only or failing, or another resource is
    /// used up. Try again.
    Retry(String),
    /// A person must mend this, for example a missing directory. At the start the process ends with this
    /// error. Once the file has been open, the cause may go away again: try again.
    Mend(String),
    /// Trying again cannot help while this process runs.
    Fatal(String),
}

impl OpenError {
    /// The text: what was wrong, and with which path.
    pub fn into_text(self) -> String {
        match self {
            Self::Retry(why) | Self::Mend(why) | Self::Fatal(why) => why,
        }
    }
}

/// `Mend` for faults of the path, the rights or the file system; `Retry` for everything else, because an
/// unknown error may go away.
pub(super) fn classify(path: &Path, error: &io::Error) -> OpenError {
    use io::ErrorKind::{
        InvalidData, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        Unsupported,
    };
    let text = format!("{}: {error}", path.display());
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    match error.kind() {
        NotFound | PermissionDenied | NotADirectory | IsADirectory | InvalidFilename | InvalidInput
        | InvalidData | Unsupported => OpenError::Mend(text),
        _ if is_loop => OpenError::Mend(text),
        _ => OpenError::Retry(text),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::logfile::disk::{Disk, RealDisk, name_call};

    #[test]
    fn only_what_a_person_must_mend_ends_a_start() {
        let of = |errno: Errno| classify(Path::new("/log/a"), &errno.into());
        for passes in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::STALE,
            Errno::IO,
            Errno::NOLCK,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::ROFS,
            Errno::AGAIN,
            Errno::TIMEDOUT,
            Errno::NODEV,
            Errno::HOSTDOWN,
        ] {
            assert!(matches!(of(passes), OpenError::Retry(_)), "{passes:?}");
        }
        for stays in [
            Errno::NOENT,
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::NAMETOOLONG,
            Errno::LOOP,
            Errno::INVAL,
            Errno::NOSYS,
            Errno::OPNOTSUPP,
        ] {
            assert!(matches!(of(stays), OpenError::Mend(_)), "{stays:?}");
        }
    }

    #[test]
    fn a_refused_call_is_named_and_keeps_its_kind() {
        let refused = |errno: Errno| name_call("flock", "locks are needed", &errno.into());
        let text = classify(Path::new("/a"), &refused(Errno::NOLCK));
        assert!(matches!(text, OpenError::Retry(why) if why.starts_with("/a: flock is refused (No locks")));
        assert!(matches!(classify(Path::new("/a"), &refused(Errno::OPNOTSUPP)), OpenError::Mend(_)));
    }

    /// procfs syncs no directories, as some FUSE file systems and CIFS do not.
    #[test]
    fn a_directory_that_cannot_be_synced_is_named_with_the_call() {
        let error = RealDisk.sync_names(Path::new("/proc")).expect_err("procfs refuses");
        assert!(error.to_string().starts_with("fsync of the directory /proc is refused"), "{error}");
        assert!(matches!(classify(Path::new("/proc/a"), &error), OpenError::Mend(_)));
    }
}
