//! Goal: a quota for what a client may read slows the reading down to the quota, and no further, whatever way
//! the broker throttles: before Kafka 2.0 it delays its answers by longer than a client waits for an answer,
//! later it answers without records and then reads nothing from the connection for a while.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, kafka};
use crate::support::wait::seconds;
use crate::support::{all, unique};
use std::time::Instant;

const PARTITIONS: usize = 4;
/// Bytes of a record with its pad.
const RECORD: u64 = 1000;

/// Reads so many bytes with this quota, in bytes per second.
fn limited(kafka: &Kafka, bytes: u64, quota: u64) {
    let tested = kafka.tested("a consumer quota: everything is read, at the rate of the quota");
    let (topic, records) = (unique("quota"), bytes / RECORD);
    kafka.create(&topic, PARTITIONS);
    kafka.limit_reading(&topic, quota);
    let produce = Produce::seq(kafka, &topic, records).with("--partitions", PARTITIONS);
    produce.with("--size", RECORD - 100).with("--batch", 20).run();
    let inv = Inv::log(kafka, &topic, &topic).job("children['log_kafka']", &topic);
    let mut daemon = Daemon::new(&inv);
    let began = Instant::now();
    daemon.start();
    let limit = seconds(bytes / quota * 10 / 9 + 5);
    daemon.finish(&[records / PARTITIONS as u64; PARTITIONS], limit);
    let took = began.elapsed();
    println!("Kafka {}: {bytes} bytes at {quota} per second after {took:?}", kafka.version);
    assert_eq!(daemon.log_lines("WARN"), Vec::<String>::new());
    tested.passed(format_args!("{bytes} bytes at {quota} per second after {} s", took.as_secs()));
}

/// On 1.1.1 the first answer would come after 13 s, later than answers are waited for otherwise. The brokers
/// are tested at the same time: a test mostly waits.
#[test]
fn a_quota_slows_reading_down_and_does_not_stop_it() {
    let plan: &[(&str, u64)] = match all() {
        true => &[("0.10.2.2", 6_000_000), ("1.1.1", 6_000_000), ("3.9.1", 6_000_000), ("4.1.0", 6_000_000)],
        false => &[("1.1.1", 1_400_000), ("3.9.1", 800_000)],
    };
    std::thread::scope(|scope| {
        for (version, bytes) in plan {
            scope.spawn(|| limited(&kafka(version), *bytes, if all() { 50_000 } else { 60_000 }));
        }
    });
}
