//! The process: starts the jobs, runs failed ones again, logs their state, and stops them by a
//! deadline.

mod job_state;
mod job_thread;
mod start;
mod status_server;
#[cfg(test)]
mod tests;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, bounded, unbounded};

use crate::error::Error;
use crate::jobs;
use crate::logging::ProcessLog;
use crate::shutdown::{self, SignalOrder, Stop, StopHandle};
use crate::status::{Pulse, ShownJob, StatusSource};
use job_state::WatchedJob;
use start::PreparedStart;
use watch::Watch;

/// If a job ran for this long before it failed, it is run again after the shortest pause. If a failure has
/// not occurred again for this long, it is over.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How long the jobs may take to end after the stop was forced.
const FORCED_STOP_MAX: Duration = Duration::from_millis(250);

/// The names of all jobs.
pub const JOBS: [&str; 3] = jobs::NAMES;

/// Runs the jobs that `file` configures, or those of them that `only` names, until the stop.
///
/// The calling thread never uses a disk or standard error, so that it can keep the deadline of a stop,
/// whatever hangs.
///
/// # Errors
/// `Config`: local faults, found before any job ran or by every job. `Failed`: a job has failed for good
/// and does not run again, or the stop was forced.
pub fn run(file: &Path, only: &[String], log: &ProcessLog) -> Result<(), Error> {
    log.install();
    let (handle, stop) = shutdown::pair();
    let signalled = log.clone();
    let (state_wanted, states_wanted) = bounded(1);
    let also = move |order| match order {
        SignalOrder::Reopen => signalled.reopen(),
        SignalOrder::Force => signalled.force(),
        // If one is wanted already, that one answers this signal, too.
        SignalOrder::LogState => drop(state_wanted.try_send(())),
    };
    shutdown::on_signals(handle.clone(), also).map_err(Error::Failed)?;
    let ended = prepare_and_run(file, only, log, (&handle, &stop), &states_wanted);
    if stop.is_forced() {
        log.force();
    }
    ended
}

fn prepare_and_run(
    file: &Path,
    only: &[String],
    log: &ProcessLog,
    (handle, stop): (&StopHandle, &Stop),
    states_wanted: &Receiver<()>,
) -> Result<(), Error> {
    let PreparedStart { config, path, socket_names, jobs } = start::prepare(file, only, log, handle, stop)?;
    let (sender, reports) = unbounded();
    let (mut watched, mut shown) = (Vec::new(), Vec::new());
    for job in jobs {
        watched.push(WatchedJob::new(job.name(), job.counters()));
        shown.push(ShownJob { name: job.name(), route: job.route(), counters: job.counters() });
        job_thread::start(job, stop, sender.clone())?;
    }
    drop(sender);
    let source = StatusSource { config: path, started: SystemTime::now(), jobs: Arc::new(shown) };
    let pulse = Pulse::default();
    status_server::start(&config, socket_names, &source, &pulse)?;
    let (timeout, on_failure) = (config.stop_timeout, config.on_failure);
    let reports = &reports;
    Watch { jobs: watched, reports, handle, stop, timeout, on_failure, states_wanted, pulse }.run()
}

/// The error of a stop that did not end in time.
fn cut_short() -> Error {
    Error::Failed(
        "the stop was cut short; unsettled records and items come again at the next start".to_owned(),
    )
}

/// Logs that the deadline has passed. The stop was forced before, so no thread waits for this log line.
fn log_timeout(timeout: Duration) {
    log::warn!(
        "the stop has lasted for stop_timeout ({timeout:?}): leaving now; unsettled records and items come \
         again at the next start"
    );
}
