//! Watches the jobs until the stop or until none of them can run, and then waits for their end
//! until the deadline.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, select};

use super::job_state::WatchedJob;
use super::job_thread::JobReport;
use super::{FORCED_STOP_MAX, HEALTHY_AFTER, cut_short, log_timeout};
use crate::config::FailurePolicy;
use crate::error::{ConfigFault, Error};
use crate::shutdown::{Stop, StopHandle};
use crate::status::Pulse;

/// How often each job's state is logged.
const STATE_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// How often this thread shows that it lives.
const PULSE_INTERVAL: Duration = Duration::from_secs(5);

/// All jobs of the process.
pub(super) struct Watch<'a> {
    pub(super) jobs: Vec<WatchedJob>,
    pub(super) reports: &'a Receiver<JobReport>,
    pub(super) handle: &'a StopHandle,
    pub(super) stop: &'a Stop,
    pub(super) timeout: Duration,
    pub(super) on_failure: FailurePolicy,
    /// Asks for the state lines at once.
    pub(super) states_wanted: &'a Receiver<()>,
    /// Beats while this thread lives.
    pub(super) pulse: Pulse,
}

impl Watch<'_> {
    /// Watches until every job has ended, or until the deadline after the stop.
    ///
    /// # Errors
    /// See [`super::run`].
    pub(super) fn run(mut self) -> Result<(), Error> {
        self.until_stop();
        let was_requested = self.stop.is_requested();
        // A job that has failed waits for its next trial, and the request ends this wait.
        self.handle.request();
        let in_time = self.until_end();
        for job in &mut self.jobs {
            job.refresh(Instant::now());
            log::info!("{}: ended; {}", job.name, job.counters);
        }
        if !in_time {
            return Err(cut_short());
        }
        self.outcome(was_requested)
    }

    fn until_stop(&mut self) {
        let mut next_state = Instant::now() + STATE_LOG_INTERVAL;
        while !self.stop.is_requested() && self.may_go_on() {
            self.pulse.beat();
            let (reports, stop, wanted) = (self.reports, self.stop, self.states_wanted);
            let until_state = next_state.saturating_duration_since(Instant::now());
            select! {
                recv(reports) -> report => match report {
                    Ok(report) => self.take(report),
                    Err(_) => return,
                },
                recv(stop.requested_channel()) -> _ => {}
                recv(wanted) -> _ => self.log_states(),
                default(until_state.min(PULSE_INTERVAL)) => {}
            }
            if Instant::now() >= next_state {
                self.log_states();
                next_state += STATE_LOG_INTERVAL;
            }
        }
    }

    fn log_states(&mut self) {
        for job in &mut self.jobs {
            job.refresh(Instant::now());
            job.counters.health.clear_after(HEALTHY_AFTER);
            log::info!("{}: state: {}", job.name, job.counters);
        }
    }

    fn may_go_on(&self) -> bool {
        match self.on_failure {
            FailurePolicy::Stay => self.jobs.iter().any(WatchedJob::may_run),
            FailurePolicy::Exit => self.jobs.iter().all(|job| job.failure().is_none()),
        }
    }

    fn take(&mut self, (name, event): JobReport) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.name == name) else { return };
        let is_new = job.take(event, Instant::now());
        let is_over = job.has_ended();
        let why = job.failure().filter(|_| is_new).map(|failure| failure.why.clone());
        if let Some(why) = why {
            if self.may_go_on() && !is_over {
                log::error!("{name}: failed: {why}; trying again every minute, the other jobs go on");
            } else {
                log::error!("{name}: failed for good: {why}");
            }
        }
    }

    /// Waits for the end of every job's thread. True if all of them have ended in time.
    fn until_end(&mut self) -> bool {
        // The deadline counts from the request, which may have come while the jobs were prepared.
        let deadline = self.stop.requested_at().unwrap_or_else(Instant::now) + self.timeout;
        while self.is_any_left() && !self.stop.is_forced() {
            let rest = deadline.saturating_duration_since(Instant::now());
            let (reports, stop) = (self.reports, self.stop);
            select! {
                recv(reports) -> report => match report {
                    Ok(report) => self.take(report),
                    Err(_) => return !self.is_any_left(),
                },
                recv(stop.forced_channel()) -> _ => {}
                default(rest) => {
                    self.handle.force();
                    log_timeout(self.timeout);
                }
            }
        }
        if !self.is_any_left() {
            return true;
        }
        let deadline = Instant::now() + FORCED_STOP_MAX;
        while self.is_any_left() {
            match self.reports.recv_deadline(deadline) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        false
    }

    fn is_any_left(&self) -> bool {
        self.jobs.iter().any(|job| !job.has_ended())
    }

    /// The outcome of the process after every job has ended in time.
    fn outcome(&self, was_requested: bool) -> Result<(), Error> {
        let failed: Vec<_> = self.jobs.iter().filter_map(|job| Some((job.name, job.failure()?))).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let all: Vec<String> =
            failed.iter().map(|(name, failure)| format!("{name}: {}", failure.why)).collect();
        let is_every = failed.len() == self.jobs.len();
        let config_faults: Vec<ConfigFault> =
            failed.iter().filter_map(|(_, failure)| failure.config_fault.clone()).collect();
        // If the configuration is wrong for every job, restarting does not help.
        if is_every
            && !was_requested
            && self.on_failure == FailurePolicy::Stay
            && config_faults.len() == failed.len()
        {
            return Err(Error::Config(config_faults));
        }
        let subject = if is_every { "every job has failed for good" } else { "a job has failed for good" };
        Err(Error::Failed(format!("{subject}: {}", all.join("; "))))
    }
}
