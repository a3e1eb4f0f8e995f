//! `pandad journal LOGFILE [--forget]`: prints the journal of a log file, or resets it.

use std::path::Path;

use crate::error::Error;
use crate::logfile;
use crate::plural::counted;

/// Prints the journal, or makes it forget its positions, so that the group's offsets decide.
///
/// # Errors
/// `Failed`: the journal cannot be read, or it is in use.
pub fn run(
    log_file: &Path,
    forget: bool,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    if forget {
        let positions = counted(logfile::inspect::forget(log_file).map_err(Error::Failed)?, "position");
        return print(&format!("{positions} forgotten: the group's offsets decide at the next start"));
    }
    for line in logfile::inspect::lines(log_file).map_err(Error::Failed)? {
        print(&line)?;
    }
    Ok(())
}
