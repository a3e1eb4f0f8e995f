//! The process: starts the jobs, runs failed ones again, logs their state, and stops them by a
//! deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select, unbounded};

use crate::backoff::Backoff;
use crate::config::Config;
use crate::error::{ConfigFault, Error, Fault};
use crate::jobs::{self, Job};
use crate::report::{Counters, Stage};
use crate::shutdown::{self, Stop, StopHandle};
use crate::threads;

/// How often each job's state is logged.
const STATE_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest and the longest pause before a failed job is run again.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A job that ran for this long before it failed is run again after the shortest pause. A
/// failure that was not met again for this long is over.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How long the jobs may take to end after the stop was forced.
const FORCED_STOP_MAX: Duration = Duration::from_millis(250);

/// The names of all jobs.
pub const JOBS: [&str; 3] = jobs::NAMES;

/// The end of a job: its name, and its failure if it failed for good.
type Ended = (&'static str, Option<Failed>);

/// Why a job failed for good, and what to change in the configuration if that is the cause.
struct Failed {
    why: String,
    config_fault: Option<ConfigFault>,
}

/// Runs the configured jobs, or those of them that `only` names, until the stop.
///
/// # Errors
/// `Config`: local faults, found before any job ran or by every job. `Failed`: every job has
/// failed for good, or the stop was forced.
pub fn run(config: &Config, only: &[String]) -> Result<(), Error> {
    let mut jobs = jobs::configured(config);
    jobs.retain(|job| only.is_empty() || only.iter().any(|name| name == job.name()));
    if jobs.is_empty() {
        return Err(Error::Failed(
            "none of the jobs that --only names has a section in the configuration".to_owned(),
        ));
    }
    let (handle, stop) = shutdown::pair();
    shutdown::on_signals(handle.clone()).map_err(Error::Failed)?;
    let faults: Vec<_> = jobs.iter_mut().filter_map(|job| job.prepare().err()).flatten().collect();
    if !faults.is_empty() {
        return Err(Error::Config(faults));
    }
    let (ended_sender, ended) = unbounded();
    let mut states = Vec::new();
    for job in jobs {
        states.push((job.name(), job.counters()));
        start(job, &stop, ended_sender.clone())?;
    }
    drop(ended_sender);
    let failed = watch(&states, &ended, &handle, &stop, config.daemon.stop_timeout);
    for (name, counters) in &states {
        log::info!("{name}: ended; {counters}");
    }
    failed
}

fn start(job: Box<dyn Job>, stop: &Stop, ended: Sender<Ended>) -> Result<(), Error> {
    let (name, stop) = (job.name(), stop.clone());
    threads::spawn(name, move || {
        let mut job = job;
        let outcome = threads::contain(|| keep_running(job.as_mut(), &stop))
            .unwrap_or_else(|panic| Some(format!("internal error: {panic}")));
        let outcome = outcome.map(|why| Failed { why, config_fault: job.config_fault() });
        // After the forced stop nobody waits for the end of a job.
        let _forced = ended.send((name, outcome));
    })
    .map(drop)
    .map_err(|error| Error::Failed(error.to_string()))
}

/// Runs a job again and again, until it ends by the stop (`None`) or fails for good.
fn keep_running(job: &mut dyn Job, stop: &Stop) -> Option<String> {
    let counters = job.counters();
    let mut backoff = Backoff::new(RESTART_PAUSE_MIN, RESTART_PAUSE_MAX);
    loop {
        let began = Instant::now();
        match job.run(stop) {
            Ok(()) => return None,
            Err(Fault::Fatal(why)) => {
                log::error!("{}: failed for good: {why}", job.name());
                return Some(why);
            }
            Err(fault) => {
                if began.elapsed() > HEALTHY_AFTER {
                    backoff.reset();
                }
                if let Fault::Retry(why) | Fault::Restart(why) = fault {
                    counters.health.down(Stage::Settling, &why);
                }
                if stop.wait(backoff.pause()) {
                    return None;
                }
            }
        }
    }
}

/// Waits until every job has ended, or until the deadline after the stop.
fn watch(
    states: &[(&'static str, Arc<Counters>)],
    ended: &Receiver<Ended>,
    handle: &StopHandle,
    stop: &Stop,
    timeout: Duration,
) -> Result<(), Error> {
    let mut failed = Vec::new();
    let mut running = states.len();
    let mut next_state = Instant::now() + STATE_LOG_INTERVAL;
    while running > 0 && !stop.is_requested() {
        select! {
            recv(ended) -> end => match end {
                Ok((name, why)) => {
                    running -= 1;
                    failed.extend(why.map(|failed| (name, failed)));
                }
                Err(_) => running = 0,
            },
            recv(stop.requested_channel()) -> _ => {}
            default(next_state.saturating_duration_since(Instant::now())) => {
                for (name, counters) in states {
                    counters.health.clear_after(HEALTHY_AFTER);
                    log::info!("{name}: state: {counters}");
                }
                next_state += STATE_LOG_INTERVAL;
            }
        }
    }
    if !stop.is_requested() {
        return Err(all_failed(failed));
    }
    if finish(running, ended, handle, stop, timeout) {
        return Ok(());
    }
    Err(Error::Failed("the stop was cut short; what is not settled comes again at the next start".to_owned()))
}

/// The error of a program whose jobs have all failed for good: a faulty configuration if that
/// is the cause of every failure.
fn all_failed(failed: Vec<(&'static str, Failed)>) -> Error {
    let config_faults: Vec<ConfigFault> =
        failed.iter().filter_map(|(_, failed)| failed.config_fault.clone()).collect();
    if !failed.is_empty() && config_faults.len() == failed.len() {
        return Error::Config(config_faults);
    }
    let all: Vec<String> = failed.iter().map(|(name, failed)| format!("{name}: {}", failed.why)).collect();
    Error::Failed(format!("every job has failed for good: {}", all.join("; ")))
}

/// Waits for the jobs after the stop, until the deadline. True if all of them ended in time.
fn finish(
    mut running: usize,
    ended: &Receiver<Ended>,
    handle: &StopHandle,
    stop: &Stop,
    timeout: Duration,
) -> bool {
    let deadline = Instant::now() + timeout;
    while running > 0 && !stop.is_forced() {
        let rest = deadline.saturating_duration_since(Instant::now());
        select! {
            recv(ended) -> _ => running -= 1,
            recv(stop.forced_channel()) -> _ => {}
            default(rest) => {
                log::warn!(
                    "the stop has lasted for stop_timeout ({timeout:?}): leaving now; what is not settled \
                     comes again at the next start"
                );
                handle.force();
            }
        }
    }
    if running == 0 {
        return true;
    }
    let deadline = Instant::now() + FORCED_STOP_MAX;
    while running > 0 {
        match ended.recv_deadline(deadline) {
            Ok(_) => running -= 1,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    false
}
