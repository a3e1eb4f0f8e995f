//! Goal: a stopped pandad goes on where it was. Method: after each run the group's offsets are
//! exactly the ends of what is in the file.

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
        // In the first round the records wait already; in the other rounds they are produced while pandad
        // is down.
        Produce::seq(kafka, &topic, 1000).with("--partitions", 2).with("--first", first).run();
        daemon.start();
        daemon.finish(&[round * 500, round * 500], wait::seconds(30));
        let written = round as i64 * 500;
        assert_eq!(kafka.committed(store, &group, &topic, 2), [written, written], "after round {round}");
    }
    // A start without new records writes nothing and moves no offset.
    let before = std::fs::read(&daemon.file).unwrap();
    daemon.start_and_wait();
    daemon.stop();
    assert!(std::fs::read(&daemon.file).unwrap() == before, "an idle run changed the file");
    assert_eq!(kafka.committed(store, &group, &topic, 2), [1500, 1500]);
}
