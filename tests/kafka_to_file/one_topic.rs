//! Goal: with a file for each topic, the trouble of one topic's file stops only that file. The other's
//! records go on being written and committed, memory stays bounded, and once the trouble is over the
//! stopped topic's file holds each record once, too.
//! Method: two topics in two directories of which one is taken away, replaced, full, read-only or
//! failing for a while, under two streams.

use crate::support::daemon::Daemon;
use crate::support::disk::{Disk, Ext4};
use crate::support::inv::Inv;
use crate::support::produce::{Produce, Producing};
use crate::support::servers::{Kafka, Store, kafka};
use crate::support::tail::Tail;
use crate::support::tested::Tested;
use crate::support::wait::seconds;
use crate::support::{check, directory, unique, wait};
use std::path::{Path, PathBuf};

const PARTITIONS: usize = 2;
/// How many lines of the other topic must be written while one topic is stopped.
const MEANWHILE: u64 = 4000;

/// One of the topics, its stream and its file as the test sees it.
struct Topic {
    name: String,
    file: PathBuf,
    producing: Option<Producing>,
}

impl Topic {
    fn begin(kafka: &Kafka, file: PathBuf, name: String, size: u32) -> Topic {
        kafka.create(&name, PARTITIONS);
        let produce = Produce::seq(kafka, &name, 200_000).with("--partitions", PARTITIONS);
        let produce = produce.with("--rate", 1500).with("--size", format!("{size}-{size}"));
        Topic { name, file, producing: Some(produce.stream(4000)) }
    }

    fn lines(&self) -> u64 {
        Tail::new(&self.file, PARTITIONS).read()
    }
}

/// A daemon that writes two topics; the first one's directory gets into trouble.
struct TwoTopics {
    kafka: Kafka,
    group: String,
    base: PathBuf,
    inv: Inv,
    daemon: Daemon,
    stopped: Topic,
    other: Topic,
    tested: Option<Tested>,
}

impl TwoTopics {
    /// `mount` puts a disk of its own at the first topic's directory.
    fn begin(
        what: &str,
        membership: &str,
        mount: impl FnOnce(&Path) -> Option<Disk>,
    ) -> (Self, Option<Disk>) {
        let kafka = kafka("3.9.1");
        let tested = Some(kafka.tested(&format!("one topic's {what}, the other goes on, {membership}")));
        let (base, group) = (directory("topics"), unique("topics"));
        let names = [unique("stopped"), unique("other")];
        let [directory, beside] = names.clone().map(|name| base.join(name));
        for path in [&directory, &beside] {
            std::fs::create_dir_all(path).unwrap();
        }
        let disk = mount(&directory);
        let seen = disk.as_ref().map_or(directory, |disk| disk.outside.clone());
        let [stopped, other] = names;
        let topics = format!("{stopped},{other}");
        // Where the disk is not small, so much comes for the stopped topic that memory cannot hold it.
        let size = if disk.is_none() { 8000 } else { 100 };
        let stopped = Topic::begin(&kafka, seen.join("out.log"), stopped, size);
        let other = Topic::begin(&kafka, beside.join("out.log"), other, 100);
        let path = base.join("{topic}/out.log");
        let inv = Inv::log(&kafka, &topics, &group).job("log_file['path']", path.to_str().unwrap());
        let inv = inv.job("kafka['membership']", membership).set("daemon_section", "memory", "8M");
        let mut daemon = Daemon::new(&inv);
        if let Some(disk) = &disk {
            daemon = daemon.behind(disk.prefix());
        }
        (TwoTopics { kafka, group, base, inv, daemon, stopped, other, tested }, disk)
    }

    fn directory(&self) -> PathBuf {
        self.base.join(&self.stopped.name)
    }

    fn down(&self) -> String {
        format!("the topic {}: ", self.stopped.name)
    }

    #[track_caller]
    fn both_are_written(&mut self) {
        let before = [self.stopped.lines(), self.other.lines()];
        wait::until("both topics are written", seconds(60), || {
            assert!(self.daemon.running(), "the daemon ended");
            self.stopped.lines() > before[0] + 200 && self.other.lines() > before[1] + 200
        });
    }

    fn committed(&self, topic: &Topic) -> i64 {
        self.kafka.committed(Store::Kafka, &self.group, &topic.name, PARTITIONS).iter().sum()
    }

    /// While one topic is stopped, lines of the other are written and committed.
    #[track_caller]
    fn other_goes_on(&mut self) {
        self.daemon.wait_log("; waiting", seconds(30));
        let (before, committed, memory) =
            (self.other.lines(), self.committed(&self.other), self.daemon.memory());
        let began = std::time::Instant::now();
        wait::until("the other topic is written and committed", seconds(25), || {
            assert!(self.daemon.running(), "the daemon ended");
            self.other.lines() >= before + MEANWHILE
                && self.committed(&self.other) >= committed + MEANWHILE as i64 / 2
        });
        let grown = self.daemon.memory().saturating_sub(memory);
        println!("{MEANWHILE} lines of the other topic in {:?}, {grown} KiB more memory", began.elapsed());
        assert!(grown < 24 << 10, "{grown} KiB more memory");
    }

    /// The trouble is over: everything is written, in both files.
    #[track_caller]
    fn finish(mut self) {
        let stopped = self.stopped.lines();
        wait::until("the stopped topic is written", seconds(40), || {
            assert!(self.daemon.running(), "the daemon ended");
            self.stopped.lines() > stopped
        });
        let each = [&mut self.stopped, &mut self.other].map(|topic| topic.producing.take().unwrap().end());
        for (topic, each) in [&self.stopped, &self.other].into_iter().zip(each) {
            let mut tail = Tail::new(&topic.file, PARTITIONS);
            wait::until("all is written", seconds(60), || {
                assert!(self.daemon.running(), "the daemon ended");
                tail.read() >= each * PARTITIONS as u64
            });
        }
        self.daemon.stop();
        for (topic, each) in [&self.stopped, &self.other].into_iter().zip(each) {
            let report = check::files(&[each; PARTITIONS], &[&topic.file]).unwrap();
            assert!(report.whole(), "{}: {report}\n{}", topic.name, report.examples.join("\n"));
            assert_eq!(self.committed(topic), each as i64 * PARTITIONS as i64, "{}", topic.name);
        }
        let lines = self.daemon.log_lines(&self.down());
        println!("{}", lines.join("\n"));
        let is_down = |line: &&String| line.contains("WARN") && line.ends_with("; waiting");
        let is_up = |line: &&String| line.contains(" after ");
        assert_eq!(
            (lines.iter().filter(is_down).count(), lines.iter().filter(is_up).count()),
            (1, 1),
            "one line down and one up"
        );
        let others = self.daemon.log_lines(&format!("the topic {}: ", self.other.name));
        assert!(others.is_empty(), "{others:#?}");
        self.tested.take().unwrap().passed(format_args!("{MEANWHILE} lines meanwhile"));
        std::fs::remove_dir_all(&self.base).unwrap();
    }
}

#[test]
fn one_topics_directory_is_gone_or_replaced() {
    for (membership, is_replaced) in [("alone", true), ("coordinated", false)] {
        let what = if is_replaced { "directory is replaced by a file" } else { "directory is gone" };
        let (mut two, _) = TwoTopics::begin(what, membership, |_| None);
        two.daemon.start_and_wait();
        two.both_are_written();
        let (directory, away) = (two.directory(), two.base.join("away"));
        std::fs::rename(&directory, &away).unwrap();
        if is_replaced {
            std::fs::write(&directory, "a file").unwrap();
        }
        two.other_goes_on();
        if is_replaced {
            std::fs::remove_file(&directory).unwrap();
        }
        std::fs::rename(&away, &directory).unwrap();
        two.finish();
    }
}

/// Also if pandad is killed meanwhile, in the middle of a write, and started again.
#[test]
fn one_topics_disk_is_full() {
    for (membership, is_killed) in [("alone", true), ("coordinated", false)] {
        let (mut two, disk) = TwoTopics::begin("disk is full", membership, |at| Some(Disk::mount(at, 30)));
        let disk = disk.unwrap();
        two.daemon.start_and_wait();
        two.both_are_written();
        disk.fill();
        two.other_goes_on();
        if is_killed {
            two.daemon.kill9();
            two.daemon.start_and_wait();
            two.other_goes_on();
        }
        disk.free();
        two.finish();
    }
}

/// It is read-only when pandad starts, which is known before anything is written.
#[test]
fn one_topics_disk_is_read_only_at_the_start() {
    let (mut two, disk) =
        TwoTopics::begin("disk is read-only at the start", "alone", |at| Some(Disk::mount(at, 30)));
    let disk = disk.unwrap();
    two.daemon.start_and_wait();
    two.both_are_written();
    two.daemon.kill9();
    disk.run("mount -o remount,ro '@'");
    two.daemon.start_and_wait();
    two.other_goes_on();
    disk.run("mount -o remount,rw '@'");
    two.finish();
}

/// The device under one topic's file system fails: a sync reports it, and the file system becomes
/// read-only. It is repaired and mounted again while pandad runs.
#[test]
fn one_topics_file_system_fails() {
    let mut why = String::new();
    let (mut two, disk) = TwoTopics::begin("file system fails", "coordinated", |at| {
        Disk::ext4(at, (64, 24), Ext4::Journalled).map_err(|error| why = error).ok()
    });
    let Some(disk) = disk else { return println!("NO LOOP DEVICE HERE: {why}") };
    two.daemon.start_and_wait();
    two.both_are_written();
    disk.fill();
    two.other_goes_on();
    disk.free();
    disk.mend();
    two.finish();
}

/// Another member joins while one topic's disk is full: it gets its share of both topics, and the
/// partitions that stay wait for their disk.
#[test]
fn another_member_joins_while_one_topics_disk_is_full() {
    let (mut two, disk) =
        TwoTopics::begin("disk is full, another member joins", "coordinated", |at| Some(Disk::mount(at, 30)));
    let disk = disk.unwrap();
    two.daemon.start_and_wait();
    two.both_are_written();
    disk.fill();
    two.other_goes_on();
    let path = "{topic}.log";
    let mut joined = Daemon::new(&two.inv.clone().job("log_file['path']", path));
    joined.start();
    let here = |topic: &Topic| joined.dir.join(format!("{}.log", topic.name));
    let theirs = [here(&two.stopped), here(&two.other)];
    wait::until("the other member writes both topics", seconds(60), || {
        theirs.iter().all(|file| file.exists() && Tail::new(file, PARTITIONS).read() > 500)
    });
    two.other_goes_on();
    disk.free();
    let stopped = two.stopped.lines();
    wait::until("the stopped topic is written", seconds(40), || two.stopped.lines() > stopped);
    two.daemon.stop();
    let topics = [&mut two.stopped, &mut two.other];
    let each = topics.map(|topic| topic.producing.take().unwrap().end());
    for ((topic, theirs), each) in [&two.stopped, &two.other].into_iter().zip(&theirs).zip(each) {
        wait::until("all is written", seconds(60), || {
            let files = [&topic.file, theirs];
            files.iter().map(|file| Tail::new(file, PARTITIONS).read()).sum::<u64>()
                >= each * PARTITIONS as u64
        });
    }
    joined.stop();
    for ((topic, theirs), each) in [&two.stopped, &two.other].into_iter().zip(&theirs).zip(each) {
        let report = check::files(&[each; PARTITIONS], &[&topic.file, theirs]).unwrap();
        assert!(report.whole(), "{}: {report}\n{}", topic.name, report.examples.join("\n"));
        assert_eq!(two.committed(topic), each as i64 * PARTITIONS as i64, "{}", topic.name);
    }
    two.tested.take().unwrap().passed(format_args!("{MEANWHILE} lines meanwhile"));
    std::fs::remove_dir_all(&two.base).unwrap();
}
