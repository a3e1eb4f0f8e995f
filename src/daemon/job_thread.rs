//! The thread of one job: runs it, runs it again after a fault, and tries it again every minute
//! after it has failed for good.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::HEALTHY_AFTER;
use crate::backoff::Backoff;
use crate::error::{ConfigFault, Error, Fault};
use crate::jobs::Job;
use crate::report::Stage;
use crate::shutdown::Stop;
use crate::threads;

/// The shortest and the longest pause before a job is run again.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);
/// The pause before a job that has failed for good is tried again: a lock may have been released,
/// a server may have been upgraded.
const FAILED_PAUSE: Duration = Duration::from_secs(60);

/// Why a job failed for good, and what to change if the configuration is the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobFailure {
    pub(super) why: String,
    pub(super) config_fault: Option<ConfigFault>,
}

/// What the thread of a job reports.
#[derive(Debug)]
pub(super) enum JobEvent {
    /// The job has failed for good, and waits to be tried again.
    Failed(JobFailure),
    /// The job is tried again now.
    TriedAgain,
    /// The thread has ended: by the stop, or by a panic. After a panic the job's memory cannot be trusted.
    Ended(Option<JobFailure>),
}

/// The name of a job and what its thread reports.
pub(super) type JobReport = (&'static str, JobEvent);

/// Starts the thread of a job.
///
/// # Errors
/// `Failed`: the thread cannot be started.
pub(super) fn start(job: Box<dyn Job>, stop: &Stop, reports: Sender<JobReport>) -> Result<(), Error> {
    let (name, stop) = (job.name(), stop.clone());
    threads::spawn(name, move || {
        let mut job = job;
        // If this fails, the stop was forced, and nobody waits for reports.
        let report = |event| drop(reports.send((name, event)));
        let ended = threads::contain(|| keep_running(job.as_mut(), &stop, FAILED_PAUSE, &report));
        report(JobEvent::Ended(ended.err().map(|panic| JobFailure {
            why: format!("internal error: {panic}"),
            config_fault: job.config_fault(),
        })));
    })
    .map(drop)
    .map_err(|error| Error::Failed(error.to_string()))
}

/// Runs a job again and again until the stop.
fn keep_running(job: &mut dyn Job, stop: &Stop, failed_pause: Duration, report: &dyn Fn(JobEvent)) {
    let counters = job.counters();
    let mut backoff = Backoff::new(RESTART_PAUSE_MIN, RESTART_PAUSE_MAX);
    loop {
        let began = Instant::now();
        match job.run(stop) {
            Ok(()) => return,
            Err(Fault::Fatal(why)) => {
                report(JobEvent::Failed(JobFailure { why, config_fault: job.config_fault() }));
                if stop.wait(failed_pause) {
                    return;
                }
                report(JobEvent::TriedAgain);
            }
            Err(fault) => {
                if began.elapsed() > HEALTHY_AFTER {
                    backoff.reset();
                }
                if let Fault::Retry(why) | Fault::Restart(why) = fault {
                    counters.health.down(Stage::Settling, &why);
                }
                if stop.wait(backoff.pause()) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CountedUnit, Counters};
    use crate::shutdown;
    use crate::status::JobRoute;
    use crossbeam_channel::unbounded;
    use std::sync::Arc;

    /// A job whose runs end with these faults, one after the other, and then by the stop.
    struct Planned(Vec<Fault>, Arc<Counters>);

    impl Job for Planned {
        fn name(&self) -> &'static str {
            "planned"
        }

        fn route(&self) -> JobRoute {
            JobRoute::default()
        }

        fn counters(&self) -> Arc<Counters> {
            Arc::clone(&self.1)
        }

        fn prepare(&mut self) -> Result<(), Vec<ConfigFault>> {
            Ok(())
        }

        fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
            if self.0.is_empty() {
                stop.wait(Duration::from_secs(60));
                return Ok(());
            }
            Err(self.0.remove(0))
        }
    }

    #[test]
    fn a_failed_job_is_tried_again() {
        let (handle, stop) = shutdown::pair();
        let faults = vec![Fault::Fatal("one".into()), Fault::RetryLogged, Fault::Fatal("two".into())];
        let mut job = Planned(faults, Counters::shared("planned", CountedUnit::Items));
        let (send, reports) = unbounded();
        let running = threads::spawn("planned", move || {
            let report = |event| drop(send.send(format!("{event:?}")));
            keep_running(&mut job, &stop, Duration::from_millis(10), &report);
        });
        let next = || reports.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(next().contains("one"));
        assert_eq!(next(), "TriedAgain");
        assert!(next().contains("two"));
        assert_eq!(next(), "TriedAgain");
        handle.request();
        assert!(running.unwrap().join().is_ok(), "the stop ends it");
    }
}
