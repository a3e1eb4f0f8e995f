//! kill -9 while a paced stream comes in, again and again, at least half of the
//! kills between a write and its commit: nothing missing, nothing doubled,
//! nothing torn, the order kept.

use crate::support::daemon::{Daemon, Inv};
use crate::support::produce::{Produce, Producing};
use crate::support::servers::{Kafka, Store, kafka};
use crate::support::tail::Tail;
use crate::support::wait::{millis, seconds};
use crate::support::{all, unique, wait};
use std::time::{Duration, Instant};

const PARTITIONS: usize = 4;

struct Stream {
    kafka: Kafka,
    topic: String,
    group: String,
    producing: Producing,
    each: [u64; PARTITIONS],
}

impl Stream {
    fn start(kafka: Kafka, records: u64, rate: u64) -> Stream {
        let (topic, group) = (unique("kill9"), unique("kill9"));
        kafka.create(&topic, PARTITIONS);
        let produce = Produce::seq(&kafka, &topic, records).with("--partitions", PARTITIONS);
        let producing = produce.with("--rate", rate).with("--codec", "gzip").with("--linger", 5).start();
        Stream { kafka, topic, group, producing, each: [records / PARTITIONS as u64; PARTITIONS] }
    }

    /// Now that it is dead: is there more in the file than the group knows of?
    fn between(&self, tail: &mut Tail) -> bool {
        tail.read();
        let committed = self.kafka.committed(Store::Kafka, &self.group, &self.topic, PARTITIONS);
        committed.iter().zip(&tail.next).any(|(&committed, &next)| committed.max(0) < next as i64)
    }
}

/// Runs it for a random time and kills it; every other time in the moment in
/// which the file has grown, as the commit must still be on its way.
fn run_and_kill(daemon: &mut Daemon, dice: &mut fastrand::Rng, on_growth: bool) {
    let length = |daemon: &Daemon| std::fs::metadata(&daemon.file).map_or(0, |data| data.len());
    let before = length(daemon);
    daemon.start();
    // A run that writes nothing would prove nothing.
    wait::until("the file grows", seconds(30), || length(daemon) > before || !daemon.running());
    let until = Instant::now() + millis(dice.u64(0..1500));
    while Instant::now() < until {
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(millis(5)));
    }
    let seen = length(daemon);
    let deadline = Instant::now() + seconds(10);
    while on_growth && length(daemon) == seen && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(100));
    }
    assert!(daemon.running(), "it ended by itself");
    daemon.kill9();
}

/// Kills that come while it starts: it reads its journal, it has written nothing.
fn kill_at_start(daemon: &mut Daemon, dice: &mut fastrand::Rng) {
    daemon.start();
    std::thread::sleep(millis(dice.u64(0..60)));
    daemon.kill9();
}

#[test]
fn kill_9_in_mid_stream() {
    let brokers = if all() { vec!["1.1.1", "3.9.1"] } else { vec!["3.9.1"] };
    for version in brokers {
        killed(kafka(version));
    }
}

fn killed(kafka: Kafka) {
    let (kills, records, rate) = if all() { (30, 300_000, 2500) } else { (6, 40_000, 2000) };
    let seed = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("Kafka {}, {kills} kills, {records} records, PANDAD_TEST_SEED={seed}", kafka.version);
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut stream = Stream::start(kafka, records, rate);
    let mut daemon = Daemon::new(&Inv::log(&stream.kafka, &stream.topic, &stream.group));
    let mut tail = Tail::new(&daemon.file, PARTITIONS);
    let mut between = 0;
    for kill in 0..kills {
        run_and_kill(&mut daemon, &mut dice, kill % 2 == 0);
        assert!(stream.producing.running(), "the stream ended before kill {kill}: not in mid-stream");
        between += u32::from(stream.between(&mut tail));
        if kill % 5 == 4 {
            kill_at_start(&mut daemon, &mut dice);
        }
    }
    println!(
        "{kills} kills at {} of {records} records, {between} between a write and its commit",
        tail.records
    );
    assert!(between * 2 >= kills, "only {between} of {kills} kills were between a write and its commit");
    daemon.start();
    stream.producing.finish();
    daemon.finish(&stream.each, seconds(60));
    let committed = stream.kafka.committed(Store::Kafka, &stream.group, &stream.topic, PARTITIONS);
    assert_eq!(committed, stream.each.map(|each| each as i64));
    println!("{} lines, whole", tail.read());
}
