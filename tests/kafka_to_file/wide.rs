//! Goal: many topics in files by topic and hour cost one journal, few descriptors and little memory, and
//! kills, a full disk, another member and losses of power lose and double nothing. Method: topics by a
//! pattern, produced in turn while these things happen.

use crate::support::check::Place;
use crate::support::daemon::Daemon;
use crate::support::disk::{Disk, FileSystem};
use crate::support::file_set::{
    FIRST, Most, assert_each_in_its_place, assert_whole, bytes_below, files_below,
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
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PARTITIONS: usize = 4;
/// The records of a partition have the times of three hours, in milliseconds.
const SPAN: u64 = 3 * 3_600_000;
/// Files that may be open if nobody says otherwise.
const OPEN: usize = 256;
/// In KiB.
const MEMORY_MAX: u64 = 48 << 10;

/// Topics of which the names begin alike, each with the same number of records in each partition.
struct Wide {
    kafka: Kafka,
    stem: String,
    topics: Vec<String>,
    each: u64,
    producing: Option<Producing>,
    most: Most,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// In the full form these tests take turns: one broker has no room for the topics of all of them at once.
static TURN: Mutex<()> = Mutex::new(());

impl Wide {
    /// 1,000 topics in the full form.
    fn begin((each, rate): (u64, u64), (each_all, rate_all): (u64, u64)) -> Wide {
        let (count, each, rate) = if all() { (1000, each_all, rate_all) } else { (40, each, rate) };
        let turn = all().then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
        let (kafka, stem) = (kafka("3.9.1"), unique("wide"));
        let topics: Vec<String> = (0..count).map(|number| format!("{stem}-{number:04}")).collect();
        for some in topics.chunks(50) {
            // The records' times are long past; without this setting they would be deleted.
            let keep = || Map::from_iter([("retention.ms".to_owned(), Value::from("-1"))]);
            let new = some.iter().map(|topic| (topic.as_str(), PARTITIONS, keep()));
            kafka.create_with_settings(new.collect());
        }
        let records = (count * PARTITIONS) as u64 * each;
        let produce = Produce::new("wide", &kafka, &stem, records).with("--topics", count);
        let produce = produce.with("--rate", rate).with("--partitions", PARTITIONS).with("--linger", 100);
        let producing = Some(produce.with("--time", FIRST).with("--step", SPAN / each).start());
        Wide { kafka, stem, topics, each, producing, most: Most::default(), _turn: turn }
    }

    fn inv(&self, root: &Path) -> Inv {
        Inv::member(&self.kafka, &format!("/{}-.*/", self.stem), &self.stem)
            .job("log_file['path']", root.join("{topic}/{%Y-%m-%dT%H}.log").to_str().unwrap())
    }

    /// Partitions are numbered through.
    fn file_of(&self, root: &Path, Place { partition, index }: Place) -> PathBuf {
        let hour = index * (SPAN / self.each) / 3_600_000;
        root.join(format!(
            "{}/2023-11-{:02}T{:02}.log",
            self.topics[partition / PARTITIONS],
            1 + hour / 24,
            hour % 24
        ))
    }

    /// Whether lines came below this directory within a time.
    fn is_growing(&mut self, daemon: &Daemon, root: &Path, patience: u64) -> bool {
        let before = bytes_below(root);
        wait::within(seconds(patience), || {
            self.most.look(daemon);
            bytes_below(root) > before
        })
    }

    /// Waits until everything was produced and committed.
    fn finish(&mut self, daemon: &mut Daemon) {
        self.producing.take().unwrap().finish();
        if !daemon.is_started() {
            daemon.start();
        }
        for topic in &self.topics {
            wait::until("the group holds the end of each topic", seconds(120), || {
                assert!(daemon.running(), "the daemon ended");
                self.most.look(daemon);
                self.kafka.committed(Store::Kafka, &self.stem, topic, PARTITIONS)
                    == [self.each as i64; PARTITIONS]
            });
        }
        daemon.stop();
    }

    fn each(&self) -> Vec<u64> {
        vec![self.each; self.topics.len() * PARTITIONS]
    }

    fn assert_whole(&self, root: &Path) {
        assert_whole(&files_below(root), &self.each(), |file, place| file == self.file_of(root, place));
        self.most.assert_few(OPEN);
        // The static binary is optimised, and has another allocator.
        if std::env::var_os("PANDAD_BIN").is_some() {
            let memory = self.most.memory;
            assert!(memory <= MEMORY_MAX, "{memory} KiB, and {MEMORY_MAX} are allowed");
        }
    }

    fn records(&self) -> u64 {
        self.each().iter().sum()
    }
}

#[test]
fn kill_9_among_topics_by_pattern_and_hour() {
    let (kills, seed) = (if all() { 20 } else { 3 }, seed());
    println!("PANDAD_TEST_SEED={seed}");
    let mut wide = Wide::begin((250, 6000), (250, 15_000));
    let tested = wide.kafka.tested("kill -9 among topics by a pattern, in files by topic and hour");
    let mut dice = fastrand::Rng::with_seed(seed);
    let root = directory("wide");
    let mut daemon = Daemon::new(&wide.inv(&root));
    let mut killed = 0;
    while killed < kills {
        daemon.start();
        if !wide.is_growing(&daemon, &root, if killed == 0 { 60 } else { 10 }) {
            break;
        }
        std::thread::sleep(millis(dice.u64(0..300)));
        wide.most.look(&daemon);
        daemon.kill9();
        killed += 1;
    }
    println!("{killed} kills");
    assert!(killed * 2 >= kills, "everything was written after {killed} kills");
    wide.finish(&mut daemon);
    wide.assert_whole(&root);
    tested.passed(format_args!("{} topics, {} records", wide.topics.len(), wide.records()));
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_full_disk_among_topics_by_pattern_and_hour() {
    let mut wide = Wide::begin((60, 2000), (60, 6000));
    let tested = wide.kafka.tested("a full disk among topics by a pattern, kill -9 meanwhile");
    let disk = Disk::mount(&directory("wide"), if all() { 400 } else { 60 });
    let mut daemon = Daemon::new(&wide.inv(&disk.inside)).behind(disk.prefix());
    daemon.start();
    let rounds = if all() { 3 } else { 1 };
    for _ in 0..rounds {
        assert!(wide.is_growing(&daemon, &disk.outside, 60), "nothing comes");
        disk.fill();
        // Which file refuses first is chance: one with lines, or the journal, without which no file opens.
        let refused = "(os error 28); waiting";
        daemon.wait_log(refused, seconds(30));
        daemon.kill9();
        daemon.start();
        daemon.wait_log(refused, seconds(60));
        disk.free();
        assert!(wide.is_growing(&daemon, &disk.outside, 60), "nothing comes after the disk was full");
    }
    wide.finish(&mut daemon);
    let root = &disk.outside;
    assert_whole(&files_below(root), &wide.each(), |file, place| file == wide.file_of(root, place));
    wide.most.assert_few(OPEN);
    tested.passed(format_args!("{} topics, {} records, {rounds} times", wide.topics.len(), wide.records()));
}

#[test]
fn another_member_comes_among_topics_by_pattern_and_hour() {
    let mut wide = Wide::begin((90, 2500), (90, 8000));
    let tested = wide.kafka.tested("another member comes and goes among topics by a pattern");
    let roots = [directory("wide"), directory("wide")];
    let [mut one, mut two] = roots.each_ref().map(|root| {
        let inv = wide.inv(root).job("kafka['membership']", "coordinated");
        Daemon::new(&inv.job("kafka['session_ms']", "6000"))
    });
    let all_partitions = wide.topics.len() * PARTITIONS;
    one.start();
    assert!(wide.is_growing(&one, &roots[0], 60), "nothing comes");
    two.start();
    wait::until("both have partitions", seconds(60), || {
        partitions_of(&two) > 0 && partitions_of(&one) + partitions_of(&two) == all_partitions
    });
    assert!(wide.is_growing(&two, &roots[1], 60), "nothing comes to the other");
    one.kill9();
    one.start();
    assert!(wide.is_growing(&two, &roots[1], 60), "nothing comes to the other");
    two.stop();
    wait::until("one has all", seconds(60), || partitions_of(&one) == all_partitions);
    wide.finish(&mut one);
    let files = roots.each_ref().map(|root| files_below(root));
    let found = together(&wide.each(), &files).unwrap();
    println!("{found}, {} and {} files", files[0].len(), files[1].len());
    let faults: u64 = found.own.iter().map(|own| own.doubled + own.torn).sum();
    assert_eq!((found.missing, found.across, faults), (0, 0, 0), "{found}\n{}", found.examples.join("\n"));
    for (root, files) in roots.iter().zip(&files) {
        assert_each_in_its_place(files, |file, place| file == wide.file_of(root, place));
    }
    tested.passed(format_args!("{} topics, {} records", wide.topics.len(), wide.records()));
    roots.iter().for_each(|root| std::fs::remove_dir_all(root).unwrap());
}

#[test]
fn power_is_lost_among_topics_by_pattern_and_hour() {
    let disk = match Disk::of(&directory("wide"), FileSystem::Ext4) {
        Ok(disk) => disk,
        Err(why) => return println!("NO EXT4 HERE: {why}"),
    };
    let mut wide = Wide::begin((60, 2000), (60, 6000));
    let tested = wide.kafka.tested("losses of power among topics by a pattern, in files by topic and hour");
    let mut dice = fastrand::Rng::with_seed(seed());
    let inv = wide.inv(&disk.inside).job("log_file['settle_ms']", "2000");
    let mut daemon = Daemon::new(&inv).behind(disk.prefix());
    let rounds = if all() { 5 } else { 1 };
    for round in 0..rounds {
        daemon.start();
        assert!(wide.is_growing(&daemon, &disk.outside, 60), "nothing comes in round {round}");
        std::thread::sleep(millis(dice.u64(0..2500)));
        daemon.signal(Signal::STOP);
        let before = bytes_below(&disk.outside);
        disk.lose_power();
        daemon.kill9();
        disk.power_on(FileSystem::Ext4);
        println!("{before} bytes, {} after the loss of power", bytes_below(&disk.outside));
    }
    daemon.start();
    wide.finish(&mut daemon);
    let root = &disk.outside;
    assert_whole(&files_below(root), &wide.each(), |file, place| file == wide.file_of(root, place));
    tested.passed(format_args!("{} topics, {} records, {rounds} times", wide.topics.len(), wide.records()));
}
