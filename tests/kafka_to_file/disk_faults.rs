//! Goal: pandad waits out a limit on the size of files and a log directory that disappears. Method: one
//! line is logged when the fault begins and one when it ends, and the file is whole.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::{Produce, Producing};
use crate::support::servers::kafka;
use crate::support::unique;
use crate::support::wait::seconds;
use std::process::Command;

const DOWN: &str = "cannot write";
const UP: &str = "written again after";

/// A daemon, and a stream that it reads; the log file may be in a directory of its own.
fn streaming(directory: &str) -> (Daemon, Producing) {
    let kafka = kafka("3.9.1");
    let topic = unique("fault");
    kafka.create(&topic, 2);
    let path = format!("{directory}consumer.log");
    let daemon = Daemon::new(&Inv::log(&kafka, &topic, &unique("fault")).job("log_file['path']", &path));
    let file = daemon.dir.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let produce = Produce::seq(&kafka, &topic, 16_000).with("--partitions", 2).with("--rate", 2000);
    (daemon.writes(file), produce.start())
}

#[track_caller]
fn assert_one_outage(daemon: &Daemon) {
    let (down, up) = (daemon.log_lines(DOWN), daemon.log_lines(UP));
    assert_eq!((down.len(), up.len()), (1, 1), "one line down and one up: {down:#?} {up:#?}");
    println!("{}\n{}", down[0], up[0]);
}

/// Beyond the limit the kernel sends SIGXFSZ, which would end a process that does not handle it.
#[test]
fn file_size_limit_is_waited_out() {
    let tested = kafka("3.9.1").tested("a limit on the size of files");
    let (daemon, producing) = streaming("");
    let mut daemon = daemon.behind(vec!["prlimit".to_string(), "--fsize=700000:unlimited".to_string()]);
    daemon.start();
    daemon.wait_log(DOWN, seconds(60));
    std::thread::sleep(seconds(2));
    assert_eq!(std::fs::metadata(&daemon.file).unwrap().len(), 700_000, "it wrote up to the last byte");
    let pid = daemon.id().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(lifted.success());
    daemon.wait_log(UP, seconds(20));
    producing.finish();
    daemon.finish(&[8000, 8000], seconds(60));
    assert_one_outage(&daemon);
    tested.passed("16000 records");
}

#[test]
fn missing_log_directory_is_waited_out() {
    let tested = kafka("3.9.1").tested("a log directory that is missing for a while");
    let (mut daemon, producing) = streaming("logs/");
    daemon.start();
    daemon.wait_written_at_least(500, seconds(30));
    let (there, away) = (daemon.dir.join("logs"), daemon.dir.join("away"));
    std::fs::rename(&there, &away).unwrap();
    daemon.wait_log(DOWN, seconds(20));
    std::thread::sleep(seconds(2));
    std::fs::rename(&away, &there).unwrap();
    daemon.wait_log(UP, seconds(20));
    producing.finish();
    daemon.finish(&[8000, 8000], seconds(60));
    assert_one_outage(&daemon);
    tested.passed("16000 records");
}

#[test]
fn irregular_file_is_refused() {
    let (mut daemon, producing) = streaming("");
    assert!(Command::new("mkfifo").arg(&daemon.file).status().unwrap().success());
    daemon.start();
    assert_eq!(daemon.wait_exit(seconds(10)).code(), Some(78));
    assert!(daemon.log().contains("not a regular file"));
    producing.finish();
}
