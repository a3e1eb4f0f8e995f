//! The start: reads the configuration, opens the log, prepares the jobs. Each step uses disks, so a
//! separate thread takes these steps, while the main thread keeps the deadline of a stop.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, at, never, select, unbounded};

use super::{FORCED_STOP_MAX, cut_short, log_timeout};
use crate::config::{Config, DaemonConfig};
use crate::error::{ConfigFault, Error};
use crate::host;
use crate::jobs::{self, Job};
use crate::logfile::{Lock, LockRequest};
use crate::logging::{LogError, LogTarget, OnReopened, ProcessLog};
use crate::shutdown::{Stop, StopHandle};
use crate::status::socket_names;
use crate::threads;

/// How often pandad looks into the lock file of its own log.
const REQUEST_INTERVAL: Duration = Duration::from_millis(250);

/// The parts that are ready to run.
pub(super) struct PreparedStart {
    pub(super) config: DaemonConfig,
    /// The path of the .inv.
    pub(super) path: String,
    /// Where `pandad status` may ask this process: see [`socket_names`].
    pub(super) socket_names: Vec<String>,
    pub(super) jobs: Vec<Box<dyn Job>>,
}

/// The steps of the start.
enum StartStep {
    /// The configuration was read. The time is its `stop_timeout`.
    Configured(Duration),
    /// The start has ended.
    Done(Result<PreparedStart, Error>),
}

/// Makes everything ready, or says why that is not possible.
///
/// # Errors
/// `Config`: local faults. `Failed`: the start did not end in time after a stop.
pub(super) fn prepare(
    file: &Path,
    only: &[String],
    log: &ProcessLog,
    handle: &StopHandle,
    stop: &Stop,
) -> Result<PreparedStart, Error> {
    let (sender, steps) = unbounded();
    let (file, only, log) = (file.to_owned(), only.to_owned(), log.clone());
    let start = move || {
        let done = threads::contain(|| prepare_all(&file, &only, &log, &sender))
            .unwrap_or_else(|panic| Err(Error::Failed(format!("internal error at the start: {panic}"))));
        // If this fails, the stop was forced, and nobody waits for the start.
        let _forced = sender.send(StartStep::Done(done));
    };
    threads::spawn("start", start).map_err(|error| Error::Failed(error.to_string()))?;
    wait(&steps, handle, stop)
}

/// Waits for the end of the start, or for the deadline after a stop.
fn wait(steps: &Receiver<StartStep>, handle: &StopHandle, stop: &Stop) -> Result<PreparedStart, Error> {
    // Before the configuration was read, nothing has begun that would need time to end.
    let mut timeout = FORCED_STOP_MAX;
    loop {
        let requested = stop.requested_at();
        let deadline = requested.map_or_else(never, |requested| at(requested + timeout));
        let requested = if requested.is_some() { &never() } else { stop.requested_channel() };
        select! {
            recv(steps) -> step => match step {
                Ok(StartStep::Configured(stop_timeout)) => timeout = stop_timeout,
                Ok(StartStep::Done(done)) => return done,
                Err(_) => return Err(Error::Failed("internal error: the start has no outcome".to_owned())),
            },
            recv(requested) -> _ => {}
            recv(stop.forced_channel()) -> _ => return wait_forced(steps),
            recv(deadline) -> _ => {
                handle.force();
                log_timeout(timeout);
                return Err(cut_short());
            }
        }
    }
}

/// Takes the outcome of the start if it comes just after a forced stop.
fn wait_forced(steps: &Receiver<StartStep>) -> Result<PreparedStart, Error> {
    let deadline = after(FORCED_STOP_MAX);
    loop {
        select! {
            recv(steps) -> step => match step {
                Ok(StartStep::Configured(_)) => {}
                Ok(StartStep::Done(done)) => return done,
                Err(_) => return Err(cut_short()),
            },
            recv(deadline) -> _ => return Err(cut_short()),
        }
    }
}

fn prepare_all(
    file: &Path,
    only: &[String],
    log: &ProcessLog,
    steps: &Sender<StartStep>,
) -> Result<PreparedStart, Error> {
    let config = Config::load(file)?;
    let _forced = steps.send(StartStep::Configured(config.daemon.stop_timeout));
    start_log(&config, log)?;
    for text in &config.warnings {
        log::warn!("{text}");
    }
    log::info!(
        "pandad {} starts with the configuration {}",
        env!("CARGO_PKG_VERSION"),
        config.path.display()
    );
    prepare_process();
    let mut jobs = selected(&config, only)?;
    let faults: Vec<_> = jobs.iter_mut().filter_map(|job| job.prepare().err()).flatten().collect();
    if !faults.is_empty() {
        return Err(Error::Config(faults));
    }
    let socket_names = socket_names(file).unwrap_or_else(|error| {
        let why = format!("{}: {error}", file.display());
        log::warn!("'pandad status' cannot ask this process: {why}");
        Vec::new()
    });
    Ok(PreparedStart { path: config.path.display().to_string(), config: config.daemon, socket_names, jobs })
}

/// What the kernel grants this process, and a warning about each thing that it refuses.
fn prepare_process() {
    if let Err(error) = host::raise_open_files_max() {
        log::warn!("cannot raise the limit of open files to what is allowed: {error}");
    }
    if !host::counts_suspension() {
        log::warn!(
            "CLOCK_BOOTTIME is refused, so pandad does not see for how long this machine was suspended: \
             after that it may go on for a while with what another pandad has taken over"
        );
    }
}

/// The configured jobs, or those of them that `only` names.
pub(super) fn selected(config: &Config, only: &[String]) -> Result<Vec<Box<dyn Job>>, Error> {
    let mut jobs = jobs::configured(config);
    let missing = only.iter().filter(|name| !jobs.iter().any(|job| job.name() == name.as_str()));
    let faults: Vec<_> = missing.map(|name| missing_section(config, name)).collect();
    if !faults.is_empty() {
        return Err(Error::Config(faults));
    }
    jobs.retain(|job| only.is_empty() || only.iter().any(|name| name == job.name()));
    Ok(jobs)
}

fn missing_section(config: &Config, job: &str) -> ConfigFault {
    let section = jobs::section_of(job).to_owned();
    ConfigFault {
        file: config.path.display().to_string(),
        line: None,
        section,
        key: String::new(),
        value: None,
        expected: format!("this section is expected in the file, since --only names the job {job}"),
    }
}

/// Starts the log, which goes to standard error or to the end of a file.
fn start_log(config: &Config, log: &ProcessLog) -> Result<(), Error> {
    let DaemonConfig { log: target, log_level, .. } = &config.daemon;
    let path = (target != "stderr").then(|| PathBuf::from(target));
    let lock = Arc::new(OnceLock::<Lock>::new());
    let taken = Arc::clone(&lock);
    let target = path.clone().map_or(LogTarget::Stderr, LogTarget::File);
    let reopening = move || -> OnReopened {
        // Requests are read before the file is opened again: the next reopening answers a request that
        // comes later.
        let asked = taken.get().cloned().map(|lock| (lock.requests().unwrap_or_default(), lock));
        Box::new(move || {
            if let Some((asked, lock)) = asked {
                lock.record_reopened(&asked);
            }
        })
    };
    log.start(target, *log_level, reopening).map_err(|error| match error {
        LogError::Open(why) => Error::Config(vec![log_fault(config, &why)]),
        LogError::Thread(why) => Error::Failed(why.to_string()),
    })?;
    if let Some(path) = path.filter(|path| is_rotated(path)) {
        match Lock::take(&path) {
            Ok(taken) => {
                drop(lock.set(taken.clone()));
                let log = log.clone();
                threads::spawn("log-requests", move || watch_requests(&taken, &log))
                    .map_err(|error| Error::Failed(error.to_string()))?;
            }
            Err(error) => log::warn!(
                "'pandad reopen' does not reach pandad's own log: {}; send HUP after that log was moved \
                 away",
                error.into_text()
            ),
        }
    }
    Ok(())
}

/// Reopens pandad's own log when another process asks for that in the lock file. Never returns.
fn watch_requests(lock: &Lock, log: &ProcessLog) {
    loop {
        let asked = lock.requests().unwrap_or_default();
        if asked.requests.contains(&LockRequest::Reopen) {
            log.reopen();
        }
        std::thread::sleep(REQUEST_INTERVAL);
    }
}

/// Whether the log is a file that somebody may move away, and not a device or a pipe.
pub(super) fn is_rotated(path: &Path) -> bool {
    !path.starts_with("/dev")
        && !path.starts_with("/proc")
        && path.metadata().is_ok_and(|data| data.is_file())
}

/// The fault that pandad's own log cannot be opened. A person must mend it.
fn log_fault(config: &Config, why: &std::io::Error) -> ConfigFault {
    ConfigFault {
        file: config.path.display().to_string(),
        line: None,
        section: "daemon_section".to_owned(),
        key: "log".to_owned(),
        value: Some(config.daemon.log.clone()),
        expected: format!(
            "cannot be opened: {why}; a file in a directory that pandad may write to is expected"
        ),
    }
}
