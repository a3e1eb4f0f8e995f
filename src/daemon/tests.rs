//! The process goes on, or ends, when jobs fail for good.

use super::job_thread::{JobEvent, JobFailure, JobReport};
use super::start::{is_rotated, selected};
use super::*;
use crate::config::{Config, FailurePolicy};
use crate::error::ConfigFault;
use crate::report::{CountedUnit, Counters};
use crate::shutdown;
use crate::threads::{self, Thread};
use crossbeam_channel::{Sender, never};
use std::time::Instant;

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
        let (states_wanted, pulse) = (&never(), Pulse::default());
        let reports = &reports;
        Watch { jobs, reports, handle, stop, timeout: LIMIT, on_failure, states_wanted, pulse }.run()
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

/// The deadline of a stop is in the future, and a second request does not wait for it.
#[test]
fn jobs_have_time_to_end_until_they_are_forced() {
    let jobs = watched(FailurePolicy::Stay);
    jobs.handle.request();
    std::thread::sleep(Duration::from_millis(200));
    assert!(!jobs.stop.is_forced() && !jobs.watch.is_finished());
    jobs.handle.force();
    let (forced, until) = (Instant::now(), Instant::now() + LIMIT);
    while !jobs.watch.is_finished() {
        assert!(Instant::now() < until, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(jobs.watch.join().unwrap().is_err());
    assert!(forced.elapsed() >= FORCED_STOP_MAX, "they have no time to leave");
}

/// Status 78 says that a start can never work. Jobs that were ended, or that end the others, may.
#[test]
fn a_stop_that_was_asked_for_is_no_fault_of_the_configuration() {
    for on_failure in [FailurePolicy::Stay, FailurePolicy::Exit] {
        let jobs = watched(on_failure);
        if on_failure == FailurePolicy::Stay {
            jobs.handle.request();
        }
        jobs.send("a", failed("no", fault()));
        jobs.send("b", failed("no", fault()));
        assert!(matches!(jobs.end(), Err(Error::Failed(_))));
    }
}

/// `--only` takes those jobs, and names the section that is missing.
#[test]
fn only_the_named_jobs_are_selected() {
    let text = "[log_section]\nbroker_list=a\n[clearCache_section]\n[redis_env_section]\n\
                redis_kv_expire[host]=k\nredis_list[host]=l\n";
    let config = Config::parse(text, std::path::Path::new("test.inv")).unwrap();
    let names = |only: &[&str]| {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        selected(&config, &only).map(|jobs| jobs.iter().map(|job| job.name()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap(), ["kafka_to_file", "expired_to_list"]);
    assert_eq!(names(&["expired_to_list"]).unwrap(), ["expired_to_list"]);
    let Err(Error::Config(faults)) = names(&["kafka_to_file", "list_to_hash"]) else {
        panic!("the job is not configured")
    };
    assert_eq!((faults.len(), faults[0].section.as_str()), (1, "panda_server_section"));
}

/// Only a file can be moved away by somebody who then asks for another one.
#[test]
fn devices_and_pipes_are_not_rotated() {
    let file = std::env::temp_dir().join(format!("pandad-rotated-{}", std::process::id()));
    std::fs::write(&file, "").unwrap();
    let at = std::path::Path::new;
    assert!(is_rotated(&file));
    for other in [std::env::temp_dir().as_path(), at("/dev/null"), at("/proc/self/status"), at("/none")] {
        assert!(!is_rotated(other), "{}", other.display());
    }
    std::fs::remove_file(&file).unwrap();
    assert!(!is_rotated(&file));
}
