//! Stopped and started again it goes on where it was, and the group's offsets
//! say so to anybody: they are what has landed, no more and no less.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, Store, readable};
use crate::support::{unique, wait};

#[test]
fn restart_resumes_where_it_stopped() {
    for kafka in readable() {
        let tested = kafka.tested("stopped and started again");
        goes_on(&kafka, Store::Kafka);
        if kafka.zookeeper {
            goes_on(&kafka, Store::Zookeeper);
        }
        tested.passed("3 rounds of 1000 records");
    }
}

fn goes_on(kafka: &Kafka, store: Store) {
    println!("Kafka {}, offsets in {}", kafka.version, store.name());
    let (topic, group) = (unique("resume"), unique("resume"));
    kafka.create(&topic, 2);
    let inv = Inv::log(kafka, &topic, &group).store(store).job("log_file['format']", "json");
    let mut daemon = Daemon::new(&inv);
    for round in 1..=3u64 {
        let first = (round - 1) * 500;
        // The first round finds them waiting, the others are produced while it is down.
        Produce::seq(kafka, &topic, 1000).with("--partitions", 2).with("--first", first).run();
        daemon.start();
        daemon.finish(&[round * 500, round * 500], wait::seconds(30));
        let landed = round as i64 * 500;
        assert_eq!(kafka.committed(store, &group, &topic, 2), [landed, landed], "after round {round}");
    }
    // A start with nothing new writes nothing and moves nothing.
    let before = std::fs::read(&daemon.file).unwrap();
    daemon.start_and_wait();
    daemon.stop();
    assert!(std::fs::read(&daemon.file).unwrap() == before, "an idle run changed the file");
    assert_eq!(kafka.committed(store, &group, &topic, 2), [1500, 1500]);
}
