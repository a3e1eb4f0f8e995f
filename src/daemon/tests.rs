//! The process goes on, or ends, when jobs fail for good.

use super::job_thread::{JobEvent, JobFailure, JobReport};
use super::*;
use crate::config::FailurePolicy;
use crate::error::ConfigFault;
use crate::report::{CountedUnit, Counters};
use crate::shutdown;
use crate::threads::{self, Thread};
use crossbeam_channel::Sender;

const LIMIT: Duration = Duration::from_secs(20);

/// Two jobs that are watched; the test sends reports in their name.
struct Jobs {
    reports: Sender<JobReport>,
    handle: StopHandle,
    stop: Stop,
    watch: Thread<Result<(), Error>>,
}

fn watched(on_failure: FailurePolicy) -> Jobs {
    let (handle, stop) = shutdown::pair();
    let (send, reports) = unbounded();
    let (watch_handle, watch_stop) = (handle.clone(), stop.clone());
    let watch = threads::spawn("watch", move || {
        let job = |name| WatchedJob::new(name, Counters::shared(name, CountedUnit::Items));
        let jobs = vec![job("a"), job("b")];
        let (handle, stop) = (&watch_handle, &watch_stop);
        Watch { jobs, reports: &reports, handle, stop, timeout: LIMIT, on_failure }.run()
    });
    Jobs { reports: send, handle, stop, watch: watch.unwrap() }
}

fn failed(why: &str, config_fault: Option<ConfigFault>) -> JobEvent {
    JobEvent::Failed(JobFailure { why: why.to_owned(), config_fault })
}

fn fault() -> Option<ConfigFault> {
    let text = String::new;
    Some(ConfigFault {
        file: text(),
        line: None,
        section: text(),
        key: text(),
        value: None,
        expected: "another file".to_owned(),
    })
}

impl Jobs {
    fn send(&self, name: &'static str, event: JobEvent) {
        self.reports.send((name, event)).unwrap();
    }

    /// Ends the jobs by the stop. Returns the outcome of the process.
    fn end(self) -> Result<(), Error> {
        assert!(self.stop.wait(LIMIT), "no stop was requested");
        self.send("a", JobEvent::Ended(None));
        self.send("b", JobEvent::Ended(None));
        self.watch.join().unwrap()
    }

    /// Whether nothing has ended the jobs so far.
    fn go_on(&self) -> bool {
        !self.stop.wait(Duration::from_millis(50))
    }
}

#[test]
fn the_others_go_on_and_the_status_is_1() {
    let jobs = watched(FailurePolicy::Stay);
    jobs.send("a", failed("no", None));
    assert!(jobs.go_on());
    jobs.handle.request();
    let Err(Error::Failed(why)) = jobs.end() else { panic!("status 1 is expected") };
    assert_eq!(why, "a job has failed for good: a: no");
}

#[test]
fn the_process_ends_when_no_job_is_left() {
    for (config_fault, status_78) in [(None, false), (fault(), true)] {
        let jobs = watched(FailurePolicy::Stay);
        jobs.send("a", failed("no", config_fault.clone()));
        jobs.send("a", JobEvent::TriedAgain);
        jobs.send("b", failed("neither", config_fault));
        assert!(jobs.go_on(), "a is being tried again");
        jobs.send("a", failed("no", fault()));
        match jobs.end() {
            Err(Error::Config(faults)) => assert!(status_78 && faults.len() == 2),
            Err(Error::Failed(why)) => {
                assert!(!status_78);
                assert_eq!(why, "every job has failed for good: a: no; b: neither");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn with_exit_the_others_settle_and_the_status_is_1() {
    let jobs = watched(FailurePolicy::Exit);
    assert!(jobs.go_on());
    jobs.send("b", failed("no", fault()));
    let Err(Error::Failed(why)) = jobs.end() else { panic!("status 1 is expected") };
    assert_eq!(why, "a job has failed for good: b: no");
}

#[test]
fn a_panic_of_the_last_job_ends_the_process() {
    let jobs = watched(FailurePolicy::Stay);
    jobs.send("a", JobEvent::Ended(Some(JobFailure { why: "panic".to_owned(), config_fault: None })));
    assert!(jobs.go_on());
    jobs.send("b", failed("no", None));
    assert!(matches!(jobs.end(), Err(Error::Failed(why)) if why.contains("a: panic; b: no")));
}

#[test]
fn a_stop_without_failures_is_clean() {
    let jobs = watched(FailurePolicy::Stay);
    jobs.handle.request();
    assert!(jobs.end().is_ok());
}
