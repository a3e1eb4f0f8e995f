//! Goal: pandad's own log can be a file that is rotated, and has the reason why a start ended. Method: no
//! server runs, so a job waits; the file is moved away as logrotate does.

use super::hangs::waiting;
use crate::support::daemon::Daemon;
use crate::support::run::run;
use crate::support::wait::{self, seconds};
use rustix::process::Signal;

/// The log is reopened by HUP, by USR1 and by `pandad reopen`, also without [log_section].
#[test]
fn own_log_is_reopened() {
    let mut daemon = Daemon::new(&waiting().set("daemon_section", "log", "pandad.log"));
    let log = daemon.dir.join("pandad.log");
    daemon.start();
    let holds = |phrase: &str| std::fs::read_to_string(&log).is_ok_and(|text| text.contains(phrase));
    wait::until("it logs", seconds(20), || holds("; waiting"));
    let inv = daemon.dir.join("test.inv").display().to_string();
    let rotate = |suffix: &str| std::fs::rename(&log, daemon.dir.join(format!("pandad.log.{suffix}")));
    for signal in [Signal::HUP, Signal::USR1] {
        rotate(&format!("{signal:?}")).unwrap();
        daemon.signal(signal);
        wait::until("there is a new file", seconds(5), || log.exists());
    }
    rotate("reopen").unwrap();
    run(&["reopen", &inv]).expect(0).says("pandad.log: reopened");
    assert!(log.exists(), "the command returns when nothing more comes into the old file");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(5)).code(), Some(0));
    assert!(holds("stopping") && holds("ended; state=ended items=0 "), "the newest file has the end");
    run(&["reopen", &inv]).expect(0).says("nothing to do");
}

/// Without a log file and with the log on standard error there is nothing to be reopened.
#[test]
fn reopen_without_a_file_exits_1() {
    let daemon = Daemon::new(&waiting());
    run(&["reopen", daemon.dir.join("test.inv").to_str().unwrap()]).expect(1).says("no log file");
}

/// The reason why a start ended stands in the log and on standard error.
#[test]
fn own_log_says_what_ended_a_start() {
    let inv = waiting().set("daemon_section", "log", "pandad.log");
    let inv = inv.job("broker_list", "127.0.0.1:1").job("kafka['topics']", "test");
    let daemon = Daemon::new(&inv.job("log_file['path']", "/nowhere/at/all/consumer.log"));
    let path = daemon.dir.join("test.inv").display().to_string();
    let ran = run(&[&path]).expect(78);
    assert!(ran.err.contains("/nowhere/at/all"), "{}", ran.err);
    let said = std::fs::read_to_string(daemon.dir.join("pandad.log")).unwrap();
    assert!(said.lines().any(|line| line.contains("ERROR] ") && line.contains("/nowhere/at/all")), "{said}");
}

/// A missing directory of the log is a fault of the configuration, reported with its key.
#[test]
fn missing_directory_of_own_log_exits_78() {
    for log in ["/nowhere/at/all/pandad.log", "."] {
        let daemon = Daemon::new(&waiting().set("daemon_section", "log", log));
        let path = daemon.dir.join("test.inv").display().to_string();
        run(&[&path]).expect(78).says("[daemon_section] log = /");
    }
}

/// A job that --only names needs its section, whatever other jobs are there.
#[test]
fn only_without_section_exits_78() {
    let daemon = Daemon::new(&waiting());
    let path = daemon.dir.join("test.inv").display().to_string();
    for jobs in ["kafka_to_file", "list_to_hash,expired_to_list,kafka_to_file"] {
        run(&["--only", jobs, &path]).expect(78).says("[log_section]: ").says("kafka_to_file");
    }
}
