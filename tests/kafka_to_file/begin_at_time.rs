//! Goal: `kafka['start']` as a moment begins a partition without a position exactly at the first record
//! since then, and never too late where no timestamps tell. Method: records with known timestamps, records
//! of producers that send none, and brokers that know segments only.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, brokers};
use crate::support::tail::places_of;
use crate::support::{all, unique, wait};
use serde_json::{Map, json};
use std::time::{SystemTime, UNIX_EPOCH};

const PARTITIONS: usize = 2;
/// Records of each partition.
const RECORDS: u64 = 100;
/// Milliseconds from one record's timestamp to the next.
const STEP: u64 = 360_000;

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// RFC 3339.
fn in_utc(millis: u64) -> String {
    jiff::Timestamp::from_millisecond(i64::try_from(millis).unwrap()).unwrap().to_string()
}

fn produce(kafka: &Kafka, topic: &str, first: u64, time: u64) {
    let produce = Produce::seq(kafka, topic, RECORDS * PARTITIONS as u64).with("--partitions", PARTITIONS);
    produce.with("--first", first).with("--time", time).with("--step", STEP).run();
}

/// The clients to be tested with a broker; in the short form the one that is the default for it.
fn clients(kafka: &Kafka) -> Vec<ClientKind> {
    let mut clients = kafka.clients();
    clients.retain(|by| all() || (*by == ClientKind::Native) == kafka.at_least(0, 11));
    clients
}

/// Whether each partition of the file holds exactly the records from `from` on, of `of`.
#[track_caller]
fn finish(daemon: &mut Daemon, from: u64, of: u64) {
    daemon.wait_written_at_least((of - from) * PARTITIONS as u64, wait::seconds(30));
    daemon.stop();
    let expected: Vec<u64> = (from..of).collect();
    assert!(places_of(&daemon.file, PARTITIONS).iter().all(|one| *one == expected), "from {from}");
}

#[test]
fn partitions_begin_at_a_time() {
    for kafka in brokers().into_iter().filter(Kafka::finds_times) {
        for by in clients(&kafka) {
            let client = by.word();
            let tested =
                kafka.tested(&format!("begin at a time, ago, and after the end, by the {client} client"));
            let topic = unique("begin");
            kafka.create(&topic, PARTITIONS);
            // Record 81 is the first of the last two hours, and record 50 has a time that is named.
            let base = now() - RECORDS * STEP - 180_000;
            produce(&kafka, &topic, 0, base);
            let daemon = |start: &str| {
                let inv = Inv::log(&kafka, &topic, &unique("begin")).client(&kafka, by);
                let mut daemon = Daemon::new(&inv.job("kafka['start']", start));
                daemon.start_and_wait();
                daemon
            };
            finish(&mut daemon(&in_utc(base + 50 * STEP)), 50, RECORDS);
            finish(&mut daemon(&in_utc(base + 50 * STEP + 1)), 51, RECORDS);
            finish(&mut daemon("-2h"), 81, RECORDS);
            finish(&mut daemon("-36500d"), 0, RECORDS);
            let mut later = daemon(&in_utc(now() + 3_600_000));
            for partition in 0..PARTITIONS {
                let begins = format!("{topic}/{partition}: begins at offset {RECORDS}, its end");
                later.wait_log(&begins, wait::seconds(30));
            }
            // What is produced after the question is read, whatever its timestamp is.
            produce(&kafka, &topic, RECORDS, base - RECORDS * STEP);
            finish(&mut later, RECORDS, 2 * RECORDS);
            tested.passed(format_args!("{} records, 2 partitions", 4 * RECORDS));
        }
    }
}

/// Where timestamps do not tell, segments decide, or the first record: never too late, and logged.
#[test]
fn records_without_timestamps_are_not_passed_over() {
    for kafka in brokers() {
        // Kafka 4 refuses producers of the old format, and conversion.
        if kafka.at_least(4, 0) {
            continue;
        }
        for by in clients(&kafka) {
            let client = by.word();
            let what = format!("begin at a time without timestamps, by the {client} client");
            let tested = kafka.tested(&what);
            let (by_producer, by_format) = (unique("untimed"), unique("untimed"));
            kafka.create(&by_producer, PARTITIONS);
            let mut format = Map::new();
            if kafka.at_least(0, 10) && !kafka.at_least(3, 0) {
                format.insert("message.format.version".to_owned(), json!("0.9.0"));
            }
            kafka.create_with_settings(vec![(&by_format, PARTITIONS, format)]);
            for topic in [&by_producer, &by_format] {
                let old = Produce::seq(&kafka, topic, RECORDS * PARTITIONS as u64);
                old.with("--partitions", PARTITIONS).with("--version", "0.9.0").run();
                let inv = Inv::log(&kafka, topic, &unique("untimed")).client(&kafka, by);
                let mut daemon = Daemon::new(&inv.job("kafka['start']", "-1h"));
                daemon.start_and_wait();
                daemon.wait_log("begins at offset 0, perhaps earlier", wait::seconds(30));
                let warned = daemon.log_lines("perhaps earlier than kafka['start'] says");
                assert_eq!(warned.len(), 1, "one line for the topic: {warned:#?}");
                println!("{}", warned[0]);
                finish(&mut daemon, 0, RECORDS);
                // No segment has changed since a moment to come, so all records are older.
                let inv = Inv::log(&kafka, topic, &unique("untimed")).client(&kafka, by);
                let mut later = Daemon::new(&inv.job("kafka['start']", &in_utc(now() + 3_600_000)));
                later.start_and_wait();
                later.wait_log(&format!("begins at offset {RECORDS}, "), wait::seconds(30));
                later.stop();
            }
            tested.passed(format_args!("{} records, 2 topics", 2 * RECORDS * PARTITIONS as u64));
        }
    }
}
