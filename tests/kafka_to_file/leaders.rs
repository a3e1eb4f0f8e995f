//! Goal: no record is missing or doubled when leaders change. Method: clusters of three whose
//! leaders are killed, hung and moved while records come in.

use crate::support::cluster::Cluster;
use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
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

fn led(version: &str, rounds: u64) {
    let cluster = Cluster::up(version, 3);
    let kafka = cluster.kafka();
    let tested = kafka.tested("leaders killed, hung and moved");
    let (topic, group) = (unique("led"), unique("led"));
    // In later versions broker 1 alone is the controller, so it stays.
    cluster.create_on(&topic, &[&[2, 1], &[3, 1], &[2, 3], &[3, 2]]);
    let produce = Produce::seq(&kafka, &topic, RATE * 900).with("--partitions", PARTITIONS);
    let produce = produce.with("--rate", RATE).with("--codec", "lz4").with("--linger", 20);
    let stream = produce.stream(0);
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &group).client(&kafka, ClientKind::Native));
    daemon.start();
    daemon.wait_written_at_least(200, seconds(60));
    for round in 0..rounds {
        let (one, other) = if round % 2 == 0 { (2, 3) } else { (3, 2) };
        cluster.kill(one);
        std::thread::sleep(seconds(3));
        cluster.start(one);
        std::thread::sleep(seconds(2));
        // Longer than the cluster waits for it.
        cluster.hang(other);
        std::thread::sleep(seconds(9));
        cluster.resume(other);
        std::thread::sleep(seconds(2));
        let turned =
            if round % 2 == 0 { [[1, 3], [1, 2], [3, 1], [2, 3]] } else { [[2, 1], [3, 1], [2, 3], [3, 2]] };
        cluster.relocate(&topic, &turned);
        std::thread::sleep(seconds(3));
    }
    daemon.finish(&[stream.end(); PARTITIONS], seconds(120));
    for damage in ["recreated", "deleted at the broker", "panicked"] {
        assert!(daemon.log_lines(damage).is_empty(), "{:#?}", daemon.log_lines(damage));
    }
    tested.passed(format_args!("{rounds} kills, {rounds} hangs, {} moves", rounds * 4));
}
