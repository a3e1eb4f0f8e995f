//! `pandad journal LOGFILE [--forget]`: what the journal of a log file knows.

use std::path::Path;

use crate::error::Error;
use crate::logfile;

/// Prints the journal, or makes it forget its positions so that the group's offsets win.
///
/// # Errors
/// `Failed`: there is no journal that can be read, or it is in use.
pub fn run(
    log_file: &Path,
    forget: bool,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    if forget {
        let count = logfile::inspect::forget(log_file).map_err(Error::Failed)?;
        return print(&format!("{count} positions forgotten: the group's offsets decide at the next start"));
    }
    for line in logfile::inspect::lines(log_file).map_err(Error::Failed)? {
        print(&line)?;
    }
    Ok(())
}
