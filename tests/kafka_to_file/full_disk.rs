//! Goal: pandad waits out a full disk. Method: another program fills the disk and frees it later; pandad
//! logs one line when it must wait and one when it goes on, uses next to no CPU in between, and the file is
//! whole.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::disk::Disk;
use crate::support::inv::Inv;
use crate::support::produce::{Produce, Producing};
use crate::support::servers::kafka;
use crate::support::tested::Tested;
use crate::support::together::together;
use crate::support::wait::seconds;
use crate::support::{all, directory, unique, wait};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const DOWN: &str = "cannot write";
const UP: &str = "written again after";

/// A daemon that writes to a small disk, and a stream that comes in.
fn on_a_small_disk(version: &str, what: &str, records: u64) -> (Disk, Daemon, Producing, Tested) {
    let kafka = kafka(version);
    let tested = kafka.tested(what);
    let topic = unique("disk");
    kafka.create(&topic, 2);
    let disk = Disk::mount(&directory("disk"), 20);
    let path = disk.inside.join("consumer.log");
    let inv = Inv::log(&kafka, &topic, &unique("disk")).client(&kafka, ClientKind::Native);
    let inv = inv.job("log_file['path']", path.to_str().unwrap());
    let daemon = Daemon::new(&inv).behind(disk.prefix()).writes(disk.outside.join("consumer.log"));
    let produce = Produce::seq(&kafka, &topic, records).with("--partitions", 2).with("--rate", 500);
    (disk, daemon, produce.start(), tested)
}

/// The short form uses one broker for each test.
fn versions(short: &'static str) -> Vec<&'static str> {
    if all() { vec!["3.9.1", "4.1.0"] } else { vec![short] }
}

#[test]
fn full_disk_is_waited_out() {
    versions("3.9.1").into_iter().for_each(waited_out);
}

fn waited_out(version: &str) {
    let (full, records) = if all() { (120, 70_000) } else { (15, 15_000) };
    let (disk, mut daemon, producing, tested) = on_a_small_disk(version, "a full disk", records);
    daemon.start();
    daemon.wait_written_at_least(500, seconds(30));
    let mut follower = Follower::start(&daemon);
    disk.fill();
    daemon.wait_log(DOWN, seconds(20));
    let (cpu, began) = (daemon.cpu(), Instant::now());
    std::thread::sleep(seconds(full));
    let share = 100.0 * (daemon.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("full for {full} s: CPU {share:.2} %, memory {} KiB", daemon.memory());
    assert!(daemon.running() && daemon.log_lines(UP).is_empty(), "the disk is still full");
    disk.free();
    daemon.wait_log(UP, seconds(20));
    producing.finish();
    daemon.finish(&[records / 2, records / 2], seconds(60));
    let (down, up) = (daemon.log_lines(DOWN), daemon.log_lines(UP));
    assert_eq!((down.len(), up.len()), (1, 1), "one line down and one up: {down:#?} {up:#?}");
    println!("{}\n{}", down[0], up[0]);
    assert!(share < 2.0, "{share:.2} % CPU while the disk was full");
    follower.assert_printed_each_line_once(&daemon);
    tested.passed(format_args!("{records} records, full for {full} s"));
}

/// `tail -F` on the file, as people and log shippers follow it.
struct Follower {
    tail: Child,
    printed: PathBuf,
}

impl Follower {
    fn start(daemon: &Daemon) -> Follower {
        let printed = daemon.dir.join("tail");
        let mut tail = Command::new("tail");
        // tail polls the file: inotify does not reach into another mount namespace.
        tail.args(["-n", "+1", "-s", "0.2", "---disable-inotify", "-F"]).arg(&daemon.file);
        let out = std::fs::File::create(&printed).unwrap();
        Follower { tail: tail.stdout(out).stderr(Stdio::null()).spawn().unwrap(), printed }
    }

    #[track_caller]
    fn assert_printed_each_line_once(&mut self, daemon: &Daemon) {
        let file = std::fs::read(&daemon.file).unwrap();
        wait::until("tail has printed as much as there is", seconds(10), || {
            std::fs::metadata(&self.printed).unwrap().len() >= file.len() as u64
        });
        assert!(
            std::fs::read(&self.printed).unwrap() == file,
            "tail -F printed something else than the file"
        );
        println!("tail -F printed each of {} bytes once", file.len());
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.tail.kill();
        let _ = self.tail.wait();
    }
}

#[test]
fn killed_and_started_on_full_disk() {
    versions("4.1.0").into_iter().for_each(killed_and_started);
}

fn killed_and_started(version: &str) {
    let (disk, mut daemon, producing, tested) = on_a_small_disk(version, "kill -9 on a full disk", 10_000);
    daemon.start();
    daemon.wait_written_at_least(500, seconds(30));
    disk.fill();
    daemon.wait_log(DOWN, seconds(20));
    for _ in 0..2 {
        daemon.kill9();
        daemon.start();
        daemon.wait_log(DOWN, seconds(30));
    }
    // A disk that stays full does not delay a stop.
    let took = daemon.stop();
    println!("TERM on the full disk took {took:?}");
    daemon.start();
    daemon.wait_log(DOWN, seconds(30));
    disk.free();
    producing.finish();
    daemon.finish(&[5000, 5000], seconds(60));
    tested.passed("2 kills, 10000 records");
}

/// Two members, one of them on a full disk: it keeps its partitions for as long as configured, then the
/// other one takes over; when there is space again it joins again.
#[test]
fn member_on_full_disk_leaves_the_group() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a member on a full disk leaves the group in time and joins again");
    let (topic, group) = (unique("leaves"), unique("leaves"));
    kafka.create(&topic, 2);
    let disk = Disk::mount(&directory("disk"), 20);
    let path = disk.inside.join("consumer.log");
    let inv = Inv::member(&kafka, &topic, &group).job("kafka['session_ms']", "6000");
    let mut other = Daemon::new(&inv);
    let inv = inv.job("kafka['full_disk_s']", "4").job("log_file['path']", path.to_str().unwrap());
    let mut full = Daemon::new(&inv).behind(disk.prefix()).writes(disk.outside.join("consumer.log"));
    full.start_and_wait();
    other.start_and_wait();
    let records = if all() { 40_000 } else { 10_000 };
    let produce = Produce::seq(&kafka, &topic, records).with("--partitions", 2).with("--rate", records / 20);
    let producing = produce.start();
    full.wait_written_at_least(200, seconds(30));
    other.wait_written_at_least(200, seconds(30));
    disk.fill();
    full.wait_log(DOWN, seconds(20));
    let refused = Instant::now();
    full.wait_log("leaves the group, so that other members take over", seconds(20));
    other.wait_log("this member has 2 partitions", seconds(20));
    assert!(refused.elapsed() < seconds(24), "full_disk_s is 4, it took {:?}", refused.elapsed());
    assert!(full.running());
    std::thread::sleep(seconds(2));
    disk.free();
    full.wait_log("this member has 1 partition in generation", seconds(1));
    wait::until("the member joins again", seconds(40), || full.log_lines("this member has ").len() >= 2);
    producing.finish();
    let each = [records / 2, records / 2];
    let found = || together(&each, &[full.files(), other.files()]).unwrap();
    wait::until("no record is missing", seconds(60), || found().missing == 0);
    let found = found();
    full.stop();
    other.stop();
    println!("{found}");
    assert!(found.whole_within(), "{found}\n{}", found.examples.join("\n"));
    assert_eq!(found.across, 0, "unwritten records belong to the other member: {found}");
    tested.passed(format!("{records} records"));
}
