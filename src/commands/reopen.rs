//! `pandad reopen FILE`, after a log file or pandad's own log was moved away: returns when nothing
//! more is written to the moved file and its lines are durable, so that log rotation can continue.

use crate::config::Config;
use crate::error::Error;
use crate::logfile::{self, ReopenOutcome};

/// Asks the pandad that runs with this configuration, and waits for as long as its stop may take.
///
/// # Errors
/// `Failed`: the configuration has no log file, or it was not reopened in time.
pub fn run(config: &Config, mut print: impl FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
    let mut paths = config.kafka_to_file.as_ref().map(|job| job.paths()).unwrap_or_default();
    if config.daemon.log != "stderr" {
        paths.push(config.daemon.log.clone().into());
    }
    if paths.is_empty() {
        return Err(Error::Failed(
            "there is no [log_section] and no file in [daemon_section] log, and so no log file".to_owned(),
        ));
    }
    for path in paths {
        let shown = path.display();
        match logfile::ask_to_reopen(&path, config.daemon.stop_timeout) {
            Ok(ReopenOutcome::Done) => print(&format!("{shown}: reopened"))?,
            Ok(ReopenOutcome::Nobody) => print(&format!("{shown}: no pandad has it open, nothing to do"))?,
            Ok(ReopenOutcome::TimedOut) => {
                return Err(Error::Failed(format!(
                    "{shown}: not reopened within {} s: the disk may be full, pandad's log says why",
                    config.daemon.stop_timeout.as_secs()
                )));
            }
            Err(error) => return Err(Error::Failed(format!("{shown}: {error}"))),
        }
    }
    Ok(())
}
