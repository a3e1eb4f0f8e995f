//! Several pandads of one group, each with a file of its own, and which records may be written
//! twice when one of them is killed.

use super::daemon::Daemon;
use super::inv::Inv;
use super::produce::{Produce, Producing};
use super::run::run;
use super::servers::{Kafka, Store, kafka};
use super::tail::Tail;
use super::together::{Batch, Together, together};
use super::wait::{millis, seconds};
use super::{unique, wait};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

pub const PARTITIONS: usize = 12;
pub const SESSION: Duration = seconds(6);

/// Pandads of one group and the topic that they read.
pub struct Group {
    pub kafka: Kafka,
    pub topic: String,
    pub group: String,
    pub daemons: Vec<Daemon>,
    pub each: Vec<u64>,
}

impl Group {
    pub fn new(kafka: &Kafka, count: usize, records: u64) -> Group {
        let (topic, group) = (unique("group"), unique("group"));
        kafka.create(&topic, PARTITIONS);
        let each = (0..PARTITIONS as u64).map(|number| share(records, number)).collect();
        let inv = Group::inv(kafka, &topic, &group);
        let daemons = (0..count).map(|_| Daemon::new(&inv)).collect();
        Group { kafka: kafka.clone(), topic, group, daemons, each }
    }

    pub fn inv(kafka: &Kafka, topic: &str, group: &str) -> Inv {
        let inv =
            Inv::member(kafka, topic, group).job("kafka['session_ms']", &SESSION.as_millis().to_string());
        // The log must say where each partition begins: `owned` reads that.
        inv.set("daemon_section", "log_level", "debug")
    }

    pub fn produce(&self, rate: u64) -> Producing {
        let records = self.each.iter().sum();
        let produce = Produce::seq(&self.kafka, &self.topic, records).with("--partitions", PARTITIONS);
        produce.with("--rate", rate).with("--linger", 5).start()
    }

    fn files(&self) -> Vec<Vec<PathBuf>> {
        self.daemons.iter().map(Daemon::files).collect()
    }

    pub fn found(&self) -> Together {
        together(&self.each, &self.files()).unwrap()
    }

    /// Waits until every record is in some file.
    #[track_caller]
    pub fn wait_written(&mut self, limit: Duration) {
        let mut tails: Vec<Tail> = self.daemons.iter().map(|one| Tail::new(&one.file, PARTITIONS)).collect();
        let written = wait::within(limit, || {
            std::thread::sleep(millis(90));
            for tail in &mut tails {
                tail.read();
            }
            let next = |partition: usize| tails.iter().map(|tail| tail.next[partition]).max().unwrap();
            (0..PARTITIONS).all(|partition| next(partition) == self.each[partition])
        });
        let found = self.found();
        assert!(written, "after {limit:?}: {found}\n{}", found.examples.join("\n"));
    }

    /// Waits until all partitions are assigned, evenly, to this many pandads.
    #[track_caller]
    pub fn wait_balanced(&mut self, among: usize) {
        wait::until(&format!("{among} share"), seconds(60), || {
            let running = self.daemons.iter_mut().filter_map(|one| one.running().then_some(&*one));
            let shares: Vec<usize> = running.map(partitions_of).collect();
            shares.len() == among
                && shares.iter().sum::<usize>() == PARTITIONS
                && shares.iter().all(|share| *share == PARTITIONS / among)
        });
    }

    #[track_caller]
    pub fn stop_all(&mut self) {
        for daemon in self.daemons.iter_mut().filter(|one| one.is_started()) {
            daemon.stop();
        }
    }

    /// The group's offsets; 0 where the group has none.
    pub fn committed(&self) -> Vec<u64> {
        let offsets = self.kafka.committed(Store::Kafka, &self.group, &self.topic, PARTITIONS);
        offsets.into_iter().map(|offset| u64::try_from(offset).unwrap_or(0)).collect()
    }

    /// The records beyond the group's offsets that a pandad has written which was just killed or paused.
    /// They are of one settle batch at most: nothing is written after a settle until the group holds the
    /// offsets of that batch.
    #[track_caller]
    pub fn at_risk(&self, number: usize) -> Batch {
        let daemon = &self.daemons[number];
        let journal = run(&["journal", daemon.file.to_str().unwrap()]);
        let held = self.committed();
        let mut beyond: Vec<Range<u64>> = held.iter().map(|&held| held..held).collect();
        let mut settled_beyond = false;
        let mut unsettled = false;
        for partition in self.owned(daemon) {
            let start = format!("{}/{partition} is at ", self.topic);
            let Some(line) = journal.out.lines().find_map(|line| line.strip_prefix(&start)) else { continue };
            let (written, settled) = line.split_once(", settled up to ").unwrap_or((line, line));
            let (written, settled): (u64, u64) = (written.parse().unwrap(), settled.parse().unwrap());
            beyond[partition].end = written.max(held[partition]);
            settled_beyond |= settled > held[partition];
            unsettled |= written > settled;
        }
        assert!(!(settled_beyond && unsettled), "two settle batches beyond {held:?}:\n{}", journal.out);
        Batch { pandad: number, beyond }
    }

    /// The partitions assigned to this pandad in its last generation.
    fn owned(&self, daemon: &Daemon) -> Vec<usize> {
        let log = daemon.log();
        let (_, last) = log.rsplit_once(": this member has ").unwrap_or_default();
        let start = format!("{}/", self.topic);
        let of = |line: &str| line.split_once(" begins at ")?.0.rsplit_once(&start)?.1.parse().ok();
        last.lines().filter_map(of).collect()
    }
}

/// Records of one partition, as produce.py deals them out.
fn share(records: u64, number: u64) -> u64 {
    records / PARTITIONS as u64 + u64::from(number < records % PARTITIONS as u64)
}

/// `… this member has N partitions in generation …`
pub fn partitions_of(daemon: &Daemon) -> usize {
    let lines = daemon.log_lines(": this member has ");
    let Some(line) = lines.last() else { return 0 };
    let (_, after) = line.split_once(": this member has ").unwrap();
    after.split(' ').next().unwrap().parse().unwrap()
}

/// Fails unless all records are there and none is twice in one file.
#[track_caller]
pub fn assert_whole(found: &Together) {
    println!("{found}");
    assert!(found.whole_within(), "{found}\n{}", found.examples.join("\n"));
}

pub fn new_brokers() -> Vec<Kafka> {
    vec![kafka("3.9.1"), kafka("4.1.0")]
}
