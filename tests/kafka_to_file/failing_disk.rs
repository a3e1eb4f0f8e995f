//! Goal: pandad waits out a disk that is over quota, fails or is read-only, and the file is whole. Method:
//! real file systems (support/disk.rs). If this machine cannot have such a file system, the test reports
//! that; `src/logfile` simulates the same faults at every operation.

use crate::support::daemon::Daemon;
use crate::support::disk::{Disk, Ext4};
use crate::support::inv::Inv;
use crate::support::produce::{Produce, Producing};
use crate::support::servers::kafka;
use crate::support::tested::Tested;
use crate::support::wait::seconds;
use crate::support::{all, directory, unique};
use std::fs::OpenOptions;
use std::io::Write;

const DOWN: &str = "; waiting";
const UP: &str = "again after";

/// A daemon that writes to this disk, and a stream that comes in.
struct Streaming {
    disk: Disk,
    daemon: Daemon,
    producing: Option<Producing>,
    records: u64,
    tested: Option<Tested>,
}

impl Streaming {
    fn to(disk: Disk, what: &str, records: u64) -> Streaming {
        let kafka = kafka("3.9.1");
        let tested = Some(kafka.tested(what));
        let topic = unique("failing");
        kafka.create(&topic, 2);
        let path = disk.inside.join("consumer.log");
        let inv =
            Inv::log(&kafka, &topic, &unique("failing")).job("log_file['path']", path.to_str().unwrap());
        let daemon = Daemon::new(&inv).behind(disk.prefix()).writes(disk.outside.join("consumer.log"));
        let produce = Produce::seq(&kafka, &topic, records).with("--partitions", 2).with("--rate", 1500);
        Streaming { disk, daemon, producing: Some(produce.start()), records, tested }
    }

    /// Waits until all records are written and the file is whole.
    #[track_caller]
    fn finish(&mut self) {
        self.producing.take().unwrap().finish();
        self.daemon.finish(&[self.records / 2, self.records / 2], seconds(60));
    }

    #[track_caller]
    fn assert_one_outage(&self) {
        let (down, up) = (self.daemon.log_lines(DOWN), self.daemon.log_lines(UP));
        assert_eq!((down.len(), up.len()), (1, 1), "one line down and one up: {down:#?} {up:#?}");
        println!("{}\n{}", down[0], up[0]);
    }

    fn passed(&mut self) {
        let records = self.records;
        self.tested.take().unwrap().passed(format_args!("{records} records"));
    }
}

/// scripts/test shows this line at the end of the run.
fn missing(what: &str, why: &str) {
    println!("NO {what} HERE: {why}");
}

#[test]
fn exhausted_quota_is_waited_out() {
    let disk = match Disk::with_quota(&directory("quota"), 3) {
        Ok(disk) => disk,
        Err(why) => return missing("QUOTA", &why),
    };
    let mut to = Streaming::to(disk, "a quota that is used up", if all() { 60_000 } else { 30_000 });
    to.daemon.start();
    to.daemon.wait_log("uota exceeded", seconds(60));
    std::thread::sleep(seconds(3));
    to.disk.run("btrfs qgroup limit none '@'");
    to.daemon.wait_log(UP, seconds(30));
    to.finish();
    to.assert_one_outage();
    to.passed();
}

/// The device under the file system takes no more. The kernel learns that at write-back, reports it to one
/// sync, and has lost the bytes. The file system has no journal, so it goes on.
#[test]
fn failed_sync_loses_nothing() {
    let disk = match Disk::ext4(&directory("sync"), (64, 24), Ext4::Plain) {
        Ok(disk) => disk,
        Err(why) => return missing("LOOP DEVICE", &why),
    };
    let mut to = Streaming::to(disk, "a sync that fails", if all() { 60_000 } else { 20_000 });
    to.daemon.start();
    to.daemon.wait_written_at_least(1000, seconds(30));
    to.disk.fill();
    to.daemon.wait_log("cannot sync", seconds(60));
    std::thread::sleep(seconds(3));
    assert!(to.daemon.running() && to.daemon.log_lines(UP).is_empty(), "the device still fails");
    to.disk.free();
    to.daemon.wait_log(UP, seconds(30));
    to.finish();
    to.assert_one_outage();
    // Compares what is on the device, not what the kernel's cache holds.
    to.disk.run("sync '@/consumer.log' && dd if='@/consumer.log' iflag=nocache count=0");
    to.daemon.assert_whole(&[to.records / 2, to.records / 2]);
    assert_eq!(to.daemon.log_lines(": cut ").len(), 1, "what was lost was in the file, and is said once");
    to.passed();
}

/// The same with a journal: the file system becomes read-only, until somebody repairs it.
#[test]
fn failing_file_system_loses_nothing() {
    let disk = match Disk::ext4(&directory("fails"), (64, 28), Ext4::Journalled) {
        Ok(disk) => disk,
        Err(why) => return missing("LOOP DEVICE", &why),
    };
    let mut to = Streaming::to(disk, "a file system that fails", if all() { 100_000 } else { 40_000 });
    for round in 0..if all() { 5 } else { 2 } {
        to.daemon.start();
        to.daemon.wait_written_at_least(1000 * (round + 1), seconds(30));
        to.disk.fill();
        to.daemon.wait_log(DOWN, seconds(60));
        std::thread::sleep(seconds(2));
        let down = to.daemon.log_lines(DOWN);
        assert_eq!(down.len(), 1, "one line down: {down:#?}");
        println!("{}", down[0]);
        if round % 2 == 0 {
            println!("TERM took {:?}", to.daemon.stop());
        } else {
            to.daemon.kill9();
        }
        to.disk.free();
        to.disk.mend();
    }
    to.daemon.start();
    to.finish();
    to.passed();
}

#[test]
fn read_only_at_start_is_waited_out() {
    let disk = Disk::mount(&directory("readonly"), 20);
    let mut to = Streaming::to(disk, "a read-only file system at the start", 10_000);
    to.daemon.start();
    to.daemon.wait_written_at_least(500, seconds(30));
    to.daemon.kill9();
    to.disk.run("mount -o remount,ro '@'");
    to.daemon.start();
    to.daemon.wait_log("Read-only file system", seconds(30));
    std::thread::sleep(seconds(3));
    to.disk.run("mount -o remount,rw '@'");
    to.daemon.wait_log("opened after", seconds(30));
    to.finish();
    let (down, up) = (to.daemon.log_lines(DOWN), to.daemon.log_lines("opened after"));
    assert_eq!((down.len(), up.len()), (1, 1), "one line down and one up: {down:#?} {up:#?}");
    println!("{}\n{}", down[0], up[0]);
    to.passed();
}

/// A start that cannot finish for lack of space has the same findings at each attempt and logs them once.
#[test]
fn start_on_full_disk_logs_findings_once() {
    let disk = Disk::mount(&directory("findings"), 20);
    let mut to = Streaming::to(disk, "a start on a full disk", 10_000);
    to.daemon.start();
    to.daemon.wait_written_at_least(500, seconds(30));
    to.daemon.kill9();
    // A line of somebody else, which the start would end with a newline. The line fills its page, so
    // there is no space for the newline.
    let length = std::fs::metadata(&to.daemon.file).unwrap().len() as usize;
    let line = "#".repeat(4096 - length % 4096);
    OpenOptions::new().append(true).open(&to.daemon.file).unwrap().write_all(line.as_bytes()).unwrap();
    to.disk.fill();
    to.daemon.start();
    to.daemon.wait_log("No space left", seconds(30));
    // Time for some tries: the pauses between them begin with fractions of a second.
    std::thread::sleep(seconds(5));
    to.disk.free();
    to.daemon.wait_log("opened after", seconds(30));
    for finding in [
        "unsettled writes",
        "another program's and stay",
        "had no newline; one was added",
        DOWN,
        "opened after",
    ] {
        let lines = to.daemon.log_lines(finding);
        assert!(lines.len() <= 1, "said once: {lines:#?}");
    }
    assert_eq!(to.daemon.log_lines("had no newline; one was added").len(), 1);
    to.producing.take().unwrap().finish();
    to.daemon.wait_written(&[5000, 5000], seconds(60));
    to.daemon.stop();
    let text = std::fs::read_to_string(&to.daemon.file).unwrap();
    std::fs::write(&to.daemon.file, text.replace(&format!("{line}\n"), "")).unwrap();
    to.daemon.assert_whole(&[5000, 5000]);
    to.passed();
}
