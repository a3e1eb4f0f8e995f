//! `pandad journal LOGFILE [--forget | --copy DIR]`: prints the journal of a log file, resets it, or
//! copies both.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::logfile;
use crate::plural::counted;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalAction {
    /// Print what the journal knows.
    Print,
    /// Make it forget its positions, so that the group's offsets decide.
    Forget,
    /// Copy log file and journal into this directory.
    Copy(PathBuf),
}

/// Does that.
///
/// # Errors
/// `Failed`: the journal cannot be read, or it is in use; or the directory does not take the copy.
pub fn run(
    log_file: &Path,
    action: &JournalAction,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let lines = match action {
        JournalAction::Print => logfile::inspect::lines(log_file).map_err(Error::Failed)?,
        JournalAction::Copy(directory) => {
            logfile::backup::copy(log_file, directory).map_err(Error::Failed)?
        }
        JournalAction::Forget => {
            let positions = counted(logfile::inspect::forget(log_file).map_err(Error::Failed)?, "position");
            vec![format!("{positions} forgotten: the group's offsets decide at the next start")]
        }
    };
    lines.iter().try_for_each(|line| print(line))
}
