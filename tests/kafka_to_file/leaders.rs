//! Goal: no record is missing or doubled when leaders change. Method: clusters of three whose
//! leaders are killed, hung and moved while records come in.

use crate::support::cluster::Cluster;
use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::{Produce, Producing};
use crate::support::servers::Kafka;
use crate::support::wait::seconds;
use crate::support::{all, unique};

const PARTITIONS: usize = 4;
const RATE: u64 = 400;

#[test]
fn leaders_are_killed_hung_and_moved() {
    let (versions, rounds): (&[&str], _) =
        if all() { (&["1.1.1", "3.9.1", "4.1.0"], 4) } else { (&["4.1.0"], 1) };
    for version in versions {
        led(version, rounds);
    }
}

/// A paced stream that lasts for as long as there are faults to come.
struct Stream {
    kafka: Kafka,
    topic: String,
    producing: Producing,
    records: u64,
}

impl Stream {
    fn start(kafka: &Kafka, topic: &str, records: u64) -> Stream {
        let producing = Stream::produce(kafka, topic, 0, records);
        Stream { kafka: kafka.clone(), topic: topic.to_owned(), producing, records }
    }

    fn produce(kafka: &Kafka, topic: &str, first: u64, records: u64) -> Producing {
        let produce = Produce::seq(kafka, topic, records).with("--partitions", PARTITIONS);
        let produce = produce.with("--first", first / PARTITIONS as u64).with("--rate", RATE);
        produce.with("--codec", "lz4").with("--linger", 20).start()
    }

    /// Produces more records if the stream has ended: on a slow machine the faults take longer.
    fn keep_coming(&mut self) {
        if !self.producing.running() {
            let next = Stream::produce(&self.kafka, &self.topic, self.records, RATE * 20);
            std::mem::replace(&mut self.producing, next).finish();
            self.records += RATE * 20;
        }
    }
}

fn led(version: &str, rounds: u64) {
    let cluster = Cluster::up(version, 3);
    let kafka = cluster.kafka();
    let tested = kafka.tested("leaders killed, hung and moved");
    let (topic, group) = (unique("led"), unique("led"));
    // In later versions broker 1 alone is the controller, so it stays.
    cluster.create_on(&topic, &[&[2, 1], &[3, 1], &[2, 3], &[3, 2]]);
    let mut stream = Stream::start(&kafka, &topic, RATE * (20 + 40 * rounds));
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &group).client(&kafka, ClientKind::Native));
    daemon.start();
    daemon.wait_written_at_least(200, seconds(60));
    for round in 0..rounds {
        let (one, other) = if round % 2 == 0 { (2, 3) } else { (3, 2) };
        stream.keep_coming();
        cluster.kill(one);
        std::thread::sleep(seconds(3));
        cluster.start(one);
        std::thread::sleep(seconds(2));
        // Longer than the cluster waits for it.
        stream.keep_coming();
        cluster.hang(other);
        std::thread::sleep(seconds(9));
        cluster.resume(other);
        std::thread::sleep(seconds(2));
        let turned =
            if round % 2 == 0 { [[1, 3], [1, 2], [3, 1], [2, 3]] } else { [[2, 1], [3, 1], [2, 3], [3, 2]] };
        stream.keep_coming();
        cluster.relocate(&topic, &turned);
        std::thread::sleep(seconds(3));
    }
    stream.producing.finish();
    daemon.finish(&[stream.records / PARTITIONS as u64; PARTITIONS], seconds(120));
    for damage in ["recreated", "deleted at the broker", "panicked"] {
        assert!(daemon.log_lines(damage).is_empty(), "{:#?}", daemon.log_lines(damage));
    }
    tested.passed(format_args!("{rounds} kills, {rounds} hangs, {} moves", rounds * 4));
}
