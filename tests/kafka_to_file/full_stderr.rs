//! Goal: a standard error that nobody reads stops neither the log file nor the end. Method: a full
//! pipe in its place, and events that pandad logs.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::kafka;
use crate::support::stuck::never_opens;
use crate::support::unique;
use crate::support::wait::{self, seconds};
use std::fs::OpenOptions;
use std::io::Write;

#[test]
fn full_stderr_stops_no_record() {
    let kafka = kafka("1.1.1");
    let tested = kafka.tested("standard error is full");
    let topic = unique("full-stderr");
    kafka.create(&topic, 2);
    let inv = Inv::log(&kafka, &topic, &unique("full-stderr")).set("daemon_section", "stop_timeout", "5");
    let shell = ["sh", "-c", "exec \"$@\" 2<>never-read", "sh"].map(str::to_string).to_vec();
    let mut daemon = Daemon::new(&inv).behind(shell);
    let pipe = never_opens(&daemon.dir, "never-read");
    // The pipe is open at both ends, so that opening it does not wait; then it is filled to the last byte.
    let mut full = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    rustix::io::ioctl_fionbio(&full, true).unwrap();
    for piece in [4096, 1] {
        while full.write(&vec![b'x'; piece]).is_ok() {}
    }
    daemon.start();
    Produce::seq(&kafka, &topic, 2000).with("--partitions", 2).run();
    daemon.wait_written(&[1000, 1000], seconds(30));
    // pandad logs that the file was moved away.
    std::fs::rename(&daemon.file, daemon.dir.join("consumer.log-20261124T153000.123Z")).unwrap();
    Produce::seq(&kafka, &topic, 2000).with("--partitions", 2).with("--first", 1000).run();
    wait::until("there is a new file", seconds(30), || daemon.file.exists());
    daemon.wait_written(&[2000, 2000], seconds(30));
    let took = daemon.stop();
    assert!(took < seconds(7), "stop_timeout is 5 s, it took {took:?}");
    daemon.assert_whole(&[2000, 2000]);
    tested.passed("4000 records");
}
