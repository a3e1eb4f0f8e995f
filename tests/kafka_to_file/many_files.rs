//! Goal: with many files, by partition and by the record's time, nothing is missing, doubled or torn, each
//! file holds its own minute and partition only, and few files are open.
//! Method: a paced stream of which each batch falls into several files, under kills, a rebalance, a full disk
//! and losses of power.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::disk::{Disk, FileSystem};
use crate::support::file_set::{
    BY_MINUTE, FIRST, Most, STEP, assert_each_in_its_place, assert_whole, bytes_below, files_below,
    minute_of, written,
};
use crate::support::inv::Inv;
use crate::support::pandads::partitions_of;
use crate::support::produce::{Produce, Producing};
use crate::support::servers::{Kafka, Store, kafka};
use crate::support::together::together;
use crate::support::wait::{millis, seconds};
use crate::support::{all, directory, seed, unique, wait};
use rustix::process::Signal;
use serde_json::{Map, Value};
use std::fs::File;
use std::path::Path;
use std::time::Instant;

const PARTITIONS: usize = 4;
/// How many files may be open.
const OPEN: usize = 32;
const DOWN: &str = "cannot write";

/// A stream, and the group that reads it.
struct Stream {
    kafka: Kafka,
    topic: String,
    group: String,
    producing: Option<Producing>,
}

impl Stream {
    /// At least this many records come.
    fn begin(kafka: &Kafka, least: u64, rate: u64) -> Stream {
        let (topic, group) = (unique("files"), unique("files"));
        // The records' times are long past; without this setting they would be deleted.
        let keep = Map::from_iter([("retention.ms".to_owned(), Value::from("-1"))]);
        kafka.create_with_settings(vec![(&topic, PARTITIONS, keep)]);
        let produce = Produce::seq(kafka, &topic, 50 * least).with("--partitions", PARTITIONS);
        let produce = produce.with("--time", FIRST).with("--step", STEP).with("--linger", 50);
        let producing = Some(produce.with("--rate", rate).stream(least));
        Stream { kafka: kafka.clone(), topic, group, producing }
    }

    fn inv(&self, root: &Path, by: ClientKind) -> Inv {
        let path = root.join(BY_MINUTE);
        let inv = Inv::log(&self.kafka, &self.topic, &self.group).client(&self.kafka, by);
        let inv = inv.job("log_file['path']", path.to_str().unwrap());
        inv.job("log_file['open']", &OPEN.to_string())
    }

    fn committed(&self) -> Vec<u64> {
        let offsets = self.kafka.committed(Store::Kafka, &self.group, &self.topic, PARTITIONS);
        offsets.into_iter().map(|offset| u64::try_from(offset).unwrap_or(0)).collect()
    }

    /// Ends the stream, and waits until the group holds the end of every partition: then all is written and
    /// settled. Returns how many records each partition has.
    #[track_caller]
    fn end(&mut self, daemons: &mut [&mut Daemon]) -> Vec<u64> {
        let each = vec![self.producing.take().unwrap().end(); PARTITIONS];
        let reached = wait::within(seconds(60), || {
            daemons.iter_mut().for_each(|daemon| assert!(daemon.running(), "the daemon ended"));
            self.committed() == each
        });
        assert!(reached, "the group is at {:?} of {each:?}", self.committed());
        each
    }

    /// As [`Self::end`], of the only daemon; then nothing is missing, and each record is in its file.
    #[track_caller]
    fn finish(&mut self, daemon: &mut Daemon, root: &Path, by: ClientKind) {
        let each = self.end(&mut [daemon]);
        daemon.stop();
        assert_whole(&files_below(root), &each, |file, place| {
            let its = minute_of(root, &self.topic, place);
            // The crate shows no timestamps, so its files are those of the minutes of writing.
            if by == ClientKind::Crate { file.parent() == its.parent() } else { file == its }
        });
    }
}

#[track_caller]
fn wait_grown(daemon: &mut Daemon, root: &Path) {
    let before = bytes_below(root);
    wait::until("the files grow", seconds(30), || {
        assert!(daemon.running(), "the daemon ended");
        bytes_below(root) > before
    });
}

// ---- kill -9

#[test]
fn kill_9_among_many_files() {
    if !all() {
        return killed(&kafka("3.9.1"), ClientKind::Native, 6);
    }
    killed(&kafka("0.10.2.2"), ClientKind::Crate, 20);
    for version in ["0.10.2.2", "1.1.1", "3.9.1"] {
        killed(&kafka(version), ClientKind::Native, 20);
    }
}

fn killed(kafka: &Kafka, by: ClientKind, kills: u32) {
    let seed = seed();
    println!("Kafka {}, {by:?}, {kills} kills, PANDAD_TEST_SEED={seed}", kafka.version);
    let tested = kafka.tested(&format!("kill -9 among many files, by the {} client", by.word()));
    let mut dice = fastrand::Rng::with_seed(seed);
    let root = directory("files");
    let mut stream = Stream::begin(kafka, u64::from(kills) * 2000, 2000);
    let mut daemon = Daemon::new(&stream.inv(&root, by));
    let (mut most, mut between) = (Most::default(), 0);
    for kill in 0..kills {
        daemon.start();
        wait_grown(&mut daemon, &root);
        // Every other kill comes while the daemon catches up: then it writes all the time, and mostly it is
        // in the middle of a range.
        let is_catching_up = kill % 2 == 1;
        let until = Instant::now() + millis(dice.u64(0..if is_catching_up { 60 } else { 1500 }));
        while Instant::now() < until {
            most.look(&daemon);
            std::thread::sleep(millis(2));
        }
        if !is_catching_up {
            wait_grown(&mut daemon, &root);
        }
        daemon.kill9();
        let (committed, written) = (stream.committed(), written(&files_below(&root), PARTITIONS));
        between += u32::from(committed.iter().zip(&written).any(|(committed, written)| committed < written));
    }
    println!("{kills} kills, {between} between a write and its commit");
    daemon.start();
    stream.finish(&mut daemon, &root, by);
    most.assert_few(OPEN);
    assert!(between * 2 >= kills, "only {between} of {kills} kills were between a write and its commit");
    tested.passed(format_args!("{kills} kills"));
    std::fs::remove_dir_all(&root).unwrap();
}

// ---- A rebalance

/// Each member has files of its own. Nobody is killed for good, so no record is in the files of both.
#[test]
fn partitions_move_between_members_with_many_files() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("partitions move between members with many files, one killed and started");
    let mut stream = Stream::begin(&kafka, 6000, 1500);
    let roots = [directory("files"), directory("files")];
    let [mut one, mut two] = roots.each_ref().map(|root| {
        let inv = stream.inv(root, ClientKind::Native).job("kafka['membership']", "coordinated");
        Daemon::new(&inv.job("kafka['session_ms']", "6000"))
    });
    one.start();
    wait_grown(&mut one, &roots[0]);
    let rounds = if all() { 6 } else { 1 };
    for _ in 0..rounds {
        two.start();
        let is_shared = |one: &Daemon, two: &Daemon| partitions_of(one) == 2 && partitions_of(two) == 2;
        wait::until("both have partitions", seconds(30), || is_shared(&one, &two));
        wait_grown(&mut two, &roots[1]);
        wait_grown(&mut one, &roots[0]);
        one.kill9();
        one.start();
        wait_grown(&mut one, &roots[0]);
        wait_grown(&mut two, &roots[1]);
        two.stop();
        wait::until("one has all", seconds(30), || partitions_of(&one) == PARTITIONS);
        wait_grown(&mut one, &roots[0]);
    }
    let each = stream.end(&mut [&mut one]);
    one.stop();
    let files = roots.each_ref().map(|root| files_below(root));
    let found = together(&each, &files).unwrap();
    println!("{found}, {} and {} files", files[0].len(), files[1].len());
    let faults: u64 = found.own.iter().map(|own| own.doubled + own.torn).sum();
    assert_eq!((found.missing, found.across, faults), (0, 0, 0), "{found}\n{}", found.examples.join("\n"));
    for (root, files) in roots.iter().zip(&files) {
        assert_each_in_its_place(files, |file, place| file == minute_of(root, &stream.topic, place));
    }
    tested.passed(format_args!("{rounds} rounds"));
    roots.iter().for_each(|root| std::fs::remove_dir_all(root).unwrap());
}

// ---- A full disk

#[test]
fn full_disk_under_many_files_is_waited_out() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a full disk under many files, kill -9 meanwhile");
    let mut stream = Stream::begin(&kafka, 6000, 1500);
    let disk = Disk::mount(&directory("files"), 30);
    let mut daemon = Daemon::new(&stream.inv(&disk.inside, ClientKind::Native)).behind(disk.prefix());
    daemon.start();
    let rounds = if all() { 5 } else { 1 };
    for _ in 0..rounds {
        wait_grown(&mut daemon, &disk.outside);
        disk.fill();
        daemon.wait_log(DOWN, seconds(20));
        let lines = daemon.log_lines(DOWN);
        assert!(lines.len() == 1 && lines[0].contains("os error 28"), "{lines:#?}");
        daemon.kill9();
        daemon.start();
        daemon.wait_log(DOWN, seconds(30));
        let bytes = bytes_below(&disk.outside);
        std::thread::sleep(seconds(if all() { 10 } else { 1 }));
        assert!(daemon.running() && bytes == bytes_below(&disk.outside), "the disk is full");
        disk.free();
        daemon.wait_log("written again after", seconds(20));
        println!("{}", daemon.log_lines("written again after").join("\n"));
    }
    stream.finish(&mut daemon, &disk.outside, ClientKind::Native);
    tested.passed(format_args!("{rounds} times"));
}

// ---- A loss of power

#[test]
fn power_is_lost_under_many_files() {
    for kind in [FileSystem::Ext4, FileSystem::Xfs] {
        if all() || kind == FileSystem::Ext4 {
            power_is_lost(kind);
        }
    }
}

fn power_is_lost(kind: FileSystem) {
    let disk = match Disk::of(&directory("files"), kind) {
        Ok(disk) => disk,
        Err(why) => return println!("NO {} HERE: {why}", format!("{kind:?}").to_uppercase()),
    };
    let (kafka, seed) = (kafka("3.9.1"), seed());
    println!("{kind:?}, PANDAD_TEST_SEED={seed}");
    let tested = kafka.tested(&format!("losses of power under many files, {kind:?}"));
    let mut dice = fastrand::Rng::with_seed(seed);
    let rounds = if all() { 20 } else { 4 };
    let mut stream = Stream::begin(&kafka, rounds * 1500, 1500);
    // Much is written and not synced.
    let inv = stream.inv(&disk.inside, ClientKind::Native).job("log_file['settle_ms']", "2000");
    let mut daemon = Daemon::new(&inv).behind(disk.prefix());
    let mut lost = 0;
    for round in 0..rounds {
        // Files that are closed are synced: with few open ones little is lost, but also of files that
        // nobody has open any more.
        let open = if round % 2 == 0 { "512" } else { "16" };
        daemon.configure(&inv.clone().job("log_file['open']", open));
        daemon.start();
        wait_grown(&mut daemon, &disk.outside);
        std::thread::sleep(millis(dice.u64(0..2500)));
        if round % 2 == 1 {
            sync_some(&disk.outside, &mut dice);
        }
        std::thread::sleep(millis(dice.u64(0..200)));
        daemon.signal(Signal::STOP);
        let before = bytes_below(&disk.outside);
        disk.lose_power();
        daemon.kill9();
        disk.power_on(kind);
        let after = bytes_below(&disk.outside);
        println!("{before} bytes, {after} after the loss of power");
        lost += u32::from(after < before);
    }
    daemon.start();
    stream.finish(&mut daemon, &disk.outside, ClientKind::Native);
    println!("{lost} of {rounds} losses of power lost bytes");
    // What the kernel has written back by then is luck, of which a few rounds need not have any.
    assert!(lost > 0 || !all(), "nothing was ever lost");
    tested.passed(format_args!("{rounds} losses of power"));
}

/// The kernel writes back what it likes, when it likes.
fn sync_some(root: &Path, dice: &mut fastrand::Rng) {
    for file in files_below(root) {
        if dice.u32(0..30) == 0 {
            File::open(file).unwrap().sync_all().unwrap();
        }
    }
}
