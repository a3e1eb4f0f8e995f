//! Why a log file cannot be opened, and whether waiting can help.

use std::io;
use std::path::Path;

/// Why a log file could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The disk does not serve at present: it is full, read-only or failing. Try again.
    Retry(String),
    /// The file cannot be used as configured.
    Fatal(String),
}

/// `Retry` for a full, read-only or failing disk; `Fatal` for everything else, against which waiting
/// does not help.
pub(super) fn classify(path: &Path, error: &io::Error) -> OpenError {
    use io::ErrorKind::{Interrupted, QuotaExceeded, ReadOnlyFilesystem, StorageFull, TooManyLinks};
    let text = format!("{}: {error}", path.display());
    let io_error = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    match error.kind() {
        StorageFull | QuotaExceeded | ReadOnlyFilesystem | Interrupted | TooManyLinks => {
            OpenError::Retry(text)
        }
        _ if io_error => OpenError::Retry(text),
        _ => OpenError::Fatal(text),
    }
}
