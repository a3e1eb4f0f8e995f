//! `pandad reopen FILE`, called after a log file or pandad's own log was moved away. It returns when
//! nothing more is written to the moved file and the file's lines are durable, so that log rotation can
//! continue.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::{Config, KafkaToFileConfig};
use crate::error::Error;
use crate::logfile::{self, LockRequest, PendingRequest, RequestOutcome};

/// Asks the pandad that runs with this configuration to reopen its log files, and waits for the answers up to
/// `stop_timeout`, because pandad may settle first, as at a stop.
/// The requests for all files are made first, so that the files share one wait.
///
/// # Errors
/// `Failed`: the configuration has no log file, or one was not reopened in time. The answers for the other
/// files are still waited for.
pub fn run(config: &Config, mut print: impl FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
    let mut paths: Vec<PathBuf> = config.kafka_to_file.iter().flat_map(locked).collect();
    if config.daemon.log != "stderr" {
        paths.push(config.daemon.log.clone().into());
    }
    if paths.is_empty() {
        return Err(Error::Failed(
            "there is no [log_section] and no file in [daemon_section] log, and so no log file".to_owned(),
        ));
    }
    let limit = config.daemon.stop_timeout;
    let deadline = Instant::now() + limit;
    let asked: Vec<_> = paths
        .into_iter()
        .map(|path| {
            let pending = PendingRequest::begin(&path, LockRequest::Reopen);
            (path, pending)
        })
        .collect();
    let mut failed = Vec::new();
    for (path, pending) in asked {
        match answer(&path, pending.and_then(|pending| pending.wait(deadline)), limit) {
            Ok(line) => print(&line)?,
            Err(why) => failed.push(why),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::Failed(failed.join("\n"))) }
}

/// The paths beside which the locks of the job's log files are: one, unless an older pandad runs, which has a
/// lock beside each topic's file.
fn locked(job: &KafkaToFileConfig) -> Vec<PathBuf> {
    let own = job.journal();
    let is_held = |path: &Path| !logfile::is_unlocked(path);
    let files = job.files().unwrap_or_default();
    if is_held(&own) || !files.iter().any(|path| is_held(path)) { vec![own] } else { files }
}

/// The sentence about one file.
fn answer(path: &Path, outcome: io::Result<RequestOutcome>, limit: Duration) -> Result<String, String> {
    let shown = path.display();
    match outcome {
        Ok(RequestOutcome::Done) => Ok(format!("{shown}: reopened")),
        Ok(RequestOutcome::Nobody) => Ok(format!("{shown}: no pandad has it open, nothing to do")),
        Ok(RequestOutcome::TimedOut) => Err(format!(
            "{shown}: not reopened within {} s: the disk may be full, pandad's log says why",
            limit.as_secs()
        )),
        Ok(RequestOutcome::NotHeard(who)) => Err(format!(
            "{shown}: not reopened: {who} writes this file and does not serve this request; send that \
             process HUP, and restart it with this version, which serves such requests"
        )),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}
