//! Goal: a group on three brokers loses no record. Method: members join and leave, partitions are
//! added, and the broker that coordinates the group is killed and hung, all in mid-stream.

use crate::support::cluster::Cluster;
use crate::support::daemon::Daemon;
use crate::support::groups::ForeignMember;
use crate::support::inv::Inv;
use crate::support::produce::{Produce, Producing};
use crate::support::tail::Tail;
use crate::support::tested::Tested;
use crate::support::together::together;
use crate::support::wait::{millis, seconds};
use crate::support::{all, unique, wait};
use pandad::kafka::client::brokers::Brokers;
use pandad::kafka::client::connection::ConnectionLimits;
use pandad::kafka::client::dialer::Dialer;
use pandad::kafka::protocol::messages::FindCoordinator;
use std::path::PathBuf;

const FIRST: usize = 6;
const LATER: usize = 2;
/// How many records a second are produced, in all partitions together.
const RATE: u64 = 1_500;
/// The least number of records of each partition in each of three streams. A stream lasts until its faults
/// have come, which takes longer on a slow machine.
fn least() -> u64 {
    if all() { 5_000 } else { 1_500 }
}

#[test]
fn group_survives_failing_brokers() {
    let versions = if all() { &["1.1.1", "2.8.2", "3.9.1", "4.1.0"][..] } else { &["3.9.1"] };
    for version in versions {
        fails(version);
    }
}

/// The number of the broker that coordinates the group.
#[track_caller]
fn coordinator(cluster: &Cluster, group: &str) -> usize {
    let mut brokers =
        Brokers::new(&cluster.addresses, Dialer::new("pandad-tests", ConnectionLimits::default()));
    let mut number = 0;
    wait::until("the group has a coordinator", seconds(60), || {
        let Ok(found) = brokers.ask(&FindCoordinator { group }) else { return false };
        if found.code.is_none() {
            number = cluster.number(&format!("{}:{}", found.host, found.port));
        }
        number > 0
    });
    number
}

fn lines(daemons: &[Daemon]) -> u64 {
    daemons.iter().map(|one| Tail::new(&one.file, 0).read()).sum()
}

/// Waits for more records in the files.
#[track_caller]
fn wait_more(daemons: &[Daemon], what: &str) {
    let before = lines(daemons);
    wait::until(&format!("more lines {what}"), seconds(90), || {
        std::thread::sleep(millis(90));
        lines(daemons) > before + 300
    });
}

fn produce(cluster: &Cluster, topic: &str, partitions: &str, from: u64, records: u64) -> Produce {
    let mut kafka = cluster.kafka();
    kafka.address = cluster.addresses.join(",");
    let produce = Produce::seq(&kafka, topic, records).with("--partitions", partitions);
    produce.with("--rate", RATE).with("--first", from).with("--linger", 5)
}

/// A stream to `count` partitions, to be ended by the test.
fn stream(cluster: &Cluster, topic: &str, partitions: &str, count: usize, from: u64) -> Producing {
    produce(cluster, topic, partitions, from, RATE * 300).stream(least() * count as u64)
}

fn fails(version: &str) {
    let cluster = Cluster::up(version, 3);
    let what = "three brokers: members join and leave, partitions added, the coordinator killed and hung";
    let tested = Tested::begins(&format!("Kafka {version}"), "kafka_to_file", what);
    let (topic, mut group) = (unique("cluster"), unique("cluster"));
    cluster.create(&topic, FIRST);
    // With KRaft the first broker is the only controller: without it no other broker takes over
    // anything.
    while coordinator(&cluster, &group) == 1 {
        group = unique("cluster");
    }
    let mut kafka = cluster.kafka();
    kafka.address = cluster.addresses.join(",");
    let inv = Inv::member(&kafka, &topic, &group).job("kafka['session_ms']", "6000");
    let mut daemons: Vec<Daemon> = (0..3).map(|_| Daemon::new(&inv)).collect();
    daemons[..2].iter_mut().for_each(Daemon::start_and_wait);
    // A broker is killed between two streams, so that no producer is disturbed.
    let first = stream(&cluster, &topic, "6", FIRST, 0);
    wait_more(&daemons, "from the first members");

    daemons[2].start_and_wait();
    // The foreign member commits nothing: after it has left, its records are read once more.
    let foreign: ForeignMember = kafka.foreign_member(&group, &[&topic], serde_json::json!({}));
    wait::until("librdkafka is assigned partitions", seconds(60), || !foreign.assigned().is_empty());
    wait_more(&daemons, "beside librdkafka");
    cluster.alter(&topic, FIRST + LATER);
    let later = stream(&cluster, &topic, "6-7", LATER, 0);
    foreign.leave();
    let (first, later) = (first.end(), later.end());
    // From here on every partition has the same number of records.
    let so_far = first.max(later);
    for (partitions, count, has) in [("6", FIRST, first), ("6-7", LATER, later)] {
        produce(&cluster, &topic, partitions, has, (so_far - has) * count as u64).run();
    }

    let old = coordinator(&cluster, &group);
    cluster.kill(old);
    let second = stream(&cluster, &topic, "8", FIRST + LATER, so_far);
    wait_more(&daemons, "after the coordinator was killed");
    daemons[0].stop();
    wait_more(&daemons, "after one has left");
    daemons[0].start_and_wait();
    let so_far = so_far + second.end();
    cluster.start(old);

    if all() {
        let hangs = coordinator(&cluster, &group);
        cluster.hang(hangs);
        std::thread::sleep(seconds(8));
        cluster.resume(hangs);
    }
    let third = stream(&cluster, &topic, "8", FIRST + LATER, so_far);
    wait_more(&daemons, "after the coordinator came back");
    let each = vec![so_far + third.end(); FIRST + LATER];
    let files = |daemons: &[Daemon]| -> Vec<Vec<PathBuf>> { daemons.iter().map(Daemon::files).collect() };
    let written = wait::within(seconds(90), || {
        std::thread::sleep(millis(200));
        together(&each, &files(&daemons)).unwrap().missing == 0
    });
    for daemon in &mut daemons {
        daemon.stop();
    }
    let found = together(&each, &files(&daemons)).unwrap();
    println!("Kafka {version}: {found}");
    assert!(written && found.whole_within(), "{found}\n{}", found.examples.join("\n"));
    assert!(found.across <= 4_000, "{found}");
    tested.passed(format_args!("at least {} records", 3 * least() * (FIRST + LATER) as u64));
}
