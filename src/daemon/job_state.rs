//! The state of one job as the daemon knows it: whether it runs, has failed, or is tried again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::HEALTHY_AFTER;
use super::job_thread::{JobEvent, JobFailure};
use crate::report::{Counters, JobPhase};

/// One job, according to the reports of its thread.
#[derive(Debug)]
pub(super) struct WatchedJob {
    pub(super) name: &'static str,
    pub(super) counters: Arc<Counters>,
    failed: Option<FailedJob>,
    has_ended: bool,
}

/// A job that has failed for good and has made no progress since.
#[derive(Debug)]
struct FailedJob {
    failure: JobFailure,
    since: Instant,
    /// When the job was tried again, and how much it had done until then. `None` while it waits.
    trial: Option<(Instant, u64)>,
}

impl WatchedJob {
    pub(super) fn new(name: &'static str, counters: Arc<Counters>) -> Self {
        Self { name, counters, failed: None, has_ended: false }
    }

    /// Takes a report. True if the job has failed for a reason that was not known before.
    pub(super) fn take(&mut self, event: JobEvent, now: Instant) -> bool {
        self.refresh(now);
        match event {
            JobEvent::Failed(failure) => self.fail(failure, now),
            JobEvent::TriedAgain => {
                let done = self.counters.done.load(Relaxed);
                if let Some(failed) = &mut self.failed {
                    failed.trial = Some((now, done));
                }
                false
            }
            JobEvent::Ended(failure) => {
                self.has_ended = true;
                match failure {
                    Some(failure) => self.fail(failure, now),
                    // A failure that nothing has made good is still what there is to say.
                    None => {
                        if self.failed.is_none() {
                            self.counters.phase.set(JobPhase::Ended);
                        }
                        false
                    }
                }
            }
        }
    }

    fn fail(&mut self, failure: JobFailure, now: Instant) -> bool {
        self.counters.phase.set(JobPhase::Failed { why: failure.why.clone() });
        let earlier = self.failed.take();
        let since = earlier.as_ref().map_or(now, |earlier| earlier.since);
        let is_new = earlier.is_none_or(|earlier| earlier.failure != failure);
        self.failed = Some(FailedJob { failure, since, trial: None });
        is_new
    }

    /// Forgets a failure if the trial has made progress or has lasted: then it has succeeded.
    pub(super) fn refresh(&mut self, now: Instant) {
        let done = self.counters.done.load(Relaxed);
        let runs = |failed: &mut FailedJob| {
            failed.trial.is_some_and(|(at, before)| {
                done > before || now.saturating_duration_since(at) >= HEALTHY_AFTER
            })
        };
        if let Some(failed) = self.failed.take_if(runs) {
            self.counters.phase.set(JobPhase::Running);
            let took = now.saturating_duration_since(failed.since).as_secs_f64();
            log::info!("{}: running again; it had failed for {took:.1} s", self.name);
        }
    }

    /// Why the job has failed, unless it runs again.
    pub(super) fn failure(&self) -> Option<&JobFailure> {
        self.failed.as_ref().map(|failed| &failed.failure)
    }

    /// Whether the job runs, or is being tried again.
    pub(super) fn may_run(&self) -> bool {
        !self.has_ended && self.failed.as_ref().is_none_or(|failed| failed.trial.is_some())
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::CountedUnit;
    use std::time::Duration;

    fn failed(why: &str) -> JobEvent {
        JobEvent::Failed(JobFailure { why: why.to_owned(), config_fault: None })
    }

    #[test]
    fn a_failed_job_is_failed_until_it_makes_progress() {
        let mut job = WatchedJob::new("test", Counters::shared("test", CountedUnit::Items));
        let began = Instant::now();
        assert!(job.may_run() && job.failure().is_none());
        assert!(job.take(failed("one"), began));
        assert!(!job.may_run() && job.failure().is_some() && job.counters.phase.has_failed());
        job.counters.done.fetch_add(1, Relaxed);
        job.refresh(began + HEALTHY_AFTER * 2);
        assert!(!job.may_run(), "it was not tried again");

        assert!(!job.take(JobEvent::TriedAgain, began + HEALTHY_AFTER));
        assert!(job.may_run() && job.failure().is_some(), "it may fail again at once");
        assert!(!job.take(failed("one"), began + HEALTHY_AFTER), "the same reason again");
        assert!(!job.take(JobEvent::TriedAgain, began + HEALTHY_AFTER));
        assert!(job.take(failed("two"), began + HEALTHY_AFTER), "another reason");

        assert!(!job.take(JobEvent::TriedAgain, began));
        job.counters.done.fetch_add(1, Relaxed);
        job.refresh(began);
        assert!(job.failure().is_none() && !job.counters.phase.has_failed(), "it makes progress");
        assert!(job.take(failed("two"), began), "what is over is new when it comes again");
        assert!(!job.take(JobEvent::TriedAgain, began));
        job.refresh(began + HEALTHY_AFTER - Duration::from_millis(1));
        assert!(job.failure().is_some());
        job.refresh(began + HEALTHY_AFTER);
        assert!(job.failure().is_none() && job.may_run(), "it lasts");
    }

    #[test]
    fn a_job_that_has_ended_does_not_run() {
        let mut job = WatchedJob::new("test", Counters::shared("test", CountedUnit::Items));
        assert!(!job.take(JobEvent::Ended(None), Instant::now()));
        assert!(!job.may_run() && job.has_ended() && job.failure().is_none());
        let failure = JobFailure { why: "a panic".to_owned(), config_fault: None };
        assert!(job.take(JobEvent::Ended(Some(failure)), Instant::now()));
        assert!(job.failure().is_some());
        assert!(!job.take(JobEvent::Ended(None), Instant::now()));
        assert!(job.counters.phase.has_failed(), "it has not run since");
    }
}
