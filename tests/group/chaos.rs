//! Goal: no record is missing and none is twice in one file, whatever happens to the members. A record in
//! two files must have been in the settle batch of a member that was killed or paused. Method: three
//! pandads share one topic. Every few seconds one of them is killed, stopped, or paused for longer than its
//! session, with and without an operator who stops all of them and resets the offsets.

use crate::support::daemon::Daemon;
use crate::support::pandads::{Group, PARTITIONS, SESSION, assert_whole};
use crate::support::servers::kafka;
use crate::support::together::{Batch, Explained, together_of};
use crate::support::wait::{millis, seconds};
use crate::support::{all, seed, wait};
use rustix::process::Signal;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[test]
fn chaos_duplicates_settle_batches_only() {
    on_brokers("3.9.1", 0);
}

#[test]
fn chaos_with_offset_resets() {
    on_brokers("4.1.0", if all() { 10 } else { 2 });
}

/// In the full form the test runs on both brokers at the same time.
fn on_brokers(short: &str, resets: u64) {
    let versions = if all() { vec!["3.9.1", "4.1.0"] } else { vec![short] };
    std::thread::scope(|scope| {
        for version in versions {
            scope.spawn(move || chaos(version, resets));
        }
    });
}

/// A group, the counts of what has been done to it, and the part of the run since the last reset.
struct Chaos {
    group: Group,
    dice: fastrand::Rng,
    kills: u64,
    stops: u64,
    pauses: u64,
    looks: u64,
    /// Where each partition began in the present part of the run.
    begun: Vec<u64>,
    /// How long each pandad's file was at the beginning of the part.
    files: Vec<u64>,
    /// The records at risk in this part, for each kill and pause.
    batches: Vec<Batch>,
    parts: usize,
    largest: u64,
    across: u64,
    /// The explained records of all parts.
    explained: Explained,
}

fn chaos(version: &str, resets: u64) {
    let kafka = kafka(version);
    let (records, length) = if all() { (1_000_000, 300) } else { (24_000, 24) };
    let seed = seed();
    println!("Kafka {version}, {records} records in {length} s, {resets} resets, PANDAD_TEST_SEED={seed}");
    let with = if resets > 0 { ", and offset resets" } else { "" };
    let what = format!("three members, one killed, stopped or paused every few seconds{with}");
    let tested = kafka.tested(&what);
    let mut chaos = Chaos::new(Group::new(&kafka, 3, records), seed);
    chaos.group.daemons.iter_mut().for_each(Daemon::start_and_wait);
    chaos.group.wait_balanced(3);
    let mut producing = chaos.group.produce(records / length);
    let (every, mut done) = (seconds(length) / (resets as u32 + 1), 0);
    let mut next = Instant::now() + every;
    while producing.running() {
        chaos.disturb();
        if done < resets && Instant::now() >= next {
            chaos.reset();
            done += 1;
            next = Instant::now() + every / 2;
        }
    }
    producing.finish();
    for _ in done..resets {
        chaos.disturb();
        chaos.reset();
    }
    chaos.wait_committed(seconds(90));
    let each = chaos.group.each.clone();
    chaos.finish_part(Some(each));
    let Chaos { kills, stops, pauses, looks, across, largest, explained, .. } = &chaos;
    println!("{kills} kills, {stops} stops, {pauses} pauses, {resets} resets, {looks} looks: {explained}");
    println!("{across} doubled across files, the largest settle batch at risk held {largest}");
    match resets {
        0 => tested.passed(format_args!("{records} records")),
        _ => tested.passed(format_args!("{records} records, {resets} resets")),
    }
}

impl Chaos {
    fn new(group: Group, seed: u64) -> Chaos {
        let files = vec![0; group.daemons.len()];
        Chaos {
            group,
            dice: fastrand::Rng::with_seed(seed),
            kills: 0,
            stops: 0,
            pauses: 0,
            looks: 0,
            begun: vec![0; PARTITIONS],
            files,
            batches: Vec::new(),
            parts: 0,
            largest: 0,
            across: 0,
            explained: Explained::default(),
        }
    }

    /// Waits, then kills, stops or pauses one of the pandads.
    fn disturb(&mut self) {
        let until = Instant::now() + millis(self.dice.u64(1_000..3_000));
        while Instant::now() < until {
            self.look();
            std::thread::sleep(millis(self.dice.u64(50..250)));
        }
        let number = self.dice.usize(..self.group.daemons.len());
        // The pandad is started again at once, or after the others have taken over.
        let pause = millis(if self.dice.bool() { 0 } else { self.dice.u64(0..10_000) });
        match self.dice.u32(..6) {
            0..=2 => {
                self.kills += 1;
                self.group.daemons[number].kill9();
                self.at_risk(number);
                std::thread::sleep(pause);
                self.group.daemons[number].start();
            }
            3 | 4 => {
                self.stops += 1;
                self.group.daemons[number].stop();
                std::thread::sleep(pause / 4);
                self.group.daemons[number].start();
            }
            _ => {
                self.pauses += 1;
                self.group.daemons[number].signal(Signal::STOP);
                self.at_risk(number);
                std::thread::sleep(SESSION + millis(self.dice.u64(0..4_000)));
                self.group.daemons[number].signal(Signal::CONT);
            }
        }
    }

    /// Pauses one pandad for a moment, whatever it is doing: no more than one settle batch may be at risk.
    fn look(&mut self) {
        let number = self.dice.usize(..self.group.daemons.len());
        self.group.daemons[number].signal(Signal::STOP);
        self.group.at_risk(number);
        self.group.daemons[number].signal(Signal::CONT);
        self.looks += 1;
    }

    fn at_risk(&mut self, number: usize) {
        let batch = self.group.at_risk(number);
        self.largest = self.largest.max(batch.records());
        self.batches.push(batch);
    }

    /// Stops all pandads, sets every partition's offset back or forward, and starts all: the next part must
    /// begin exactly at these offsets.
    fn reset(&mut self) {
        self.finish_part(None);
        let (from, ends) = (self.begun.clone(), self.group.kafka.ends(&self.group.topic, PARTITIONS));
        for partition in 0..PARTITIONS {
            let least = from[partition].saturating_sub(1_500);
            let most = ends[partition].min(from[partition] + 300);
            self.begun[partition] = self.dice.u64(least..=most);
            let Group { kafka, group, topic, .. } = &self.group;
            kafka.set_offset(group, topic, partition, self.begun[partition] as i64);
        }
        self.group.daemons.iter_mut().for_each(Daemon::start);
    }

    /// Stops all pandads and compares the records of this part with the offsets at its begin and end: the
    /// files must have all of these records, and no others.
    fn finish_part(&mut self, ends: Option<Vec<u64>>) {
        // By then the pandad that was killed last is a member again.
        self.group.wait_balanced(3);
        std::thread::sleep(millis(700));
        self.group.stop_all();
        let held = self.group.committed();
        assert!(ends.is_none_or(|ends| ends == held), "the group holds {held:?}");
        let expected: Vec<Range<u64>> = self.begun.iter().zip(&held).map(|(from, to)| *from..*to).collect();
        println!("part {}: {expected:?}", self.parts);
        let found = together_of(&expected, &self.cut()).unwrap();
        assert_whole(&found);
        let explained = found.explained(&self.batches);
        println!("{explained}");
        let Explained { by, unexplained } = explained;
        assert!(unexplained.is_empty(), "doubled and in no settle batch: {unexplained:?}");
        self.across += found.across;
        self.explained.by.extend(by);
        self.batches.clear();
        self.begun = held;
        self.parts += 1;
    }

    /// Copies what was added to each file in this part to files of their own.
    fn cut(&mut self) -> Vec<Vec<PathBuf>> {
        let mut cut = Vec::new();
        for (daemon, from) in self.group.daemons.iter().zip(&mut self.files) {
            let mut bytes = Vec::new();
            let mut file = File::open(&daemon.file).unwrap();
            file.seek(SeekFrom::Start(*from)).unwrap();
            *from += file.read_to_end(&mut bytes).unwrap() as u64;
            let path = daemon.dir.join(format!("part-{}", self.parts));
            File::create(&path).unwrap().write_all(&bytes).unwrap();
            cut.push(vec![path]);
        }
        cut
    }

    /// Waits until the group holds the end of every partition.
    #[track_caller]
    fn wait_committed(&self, limit: Duration) {
        let mut held = Vec::new();
        let all = wait::within(limit, || {
            std::thread::sleep(millis(200));
            held = self.group.committed();
            held == self.group.each
        });
        assert!(all, "after {limit:?} the group holds {held:?}");
    }
}
