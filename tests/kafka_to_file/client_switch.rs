//! Goal: a group can change between the two clients and keeps its position. Method: the clients
//! take turns, with one journal throughout or with a new file each turn, so that only the group's
//! offsets carry the position; no record is missing or doubled.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, Store, kafka};
use crate::support::wait::seconds;
use crate::support::{all, check, unique};
use std::path::PathBuf;

/// New records before each turn.
const MORE: u64 = 600;
const TURNS: [ClientKind; 5] =
    [ClientKind::Crate, ClientKind::Native, ClientKind::Crate, ClientKind::Native, ClientKind::Crate];

#[test]
fn group_position_survives_client_switch() {
    // With offsets in ZooKeeper the crate commits, whichever client reads.
    let mut plan = vec![("0.10.2.2", Store::Kafka), ("1.1.1", Store::Zookeeper), ("3.9.1", Store::Kafka)];
    if all() {
        plan.extend([("0.10.2.2", Store::Zookeeper), ("1.1.1", Store::Kafka)]);
        plan.extend([("0.9.0.1", Store::Kafka), ("0.9.0.1", Store::Zookeeper)]);
    }
    std::thread::scope(|scope| {
        let each = plan.into_iter().map(|(version, store)| {
            scope.spawn(move || {
                let tested = kafka(version)
                    .tested(&format!("a group moves between the clients, offsets in {}", store.name()));
                with_its_journal(&kafka(version), store);
                by_its_offset(&kafka(version), store);
                tested.passed(format_args!("{} turns, {} records", TURNS.len() * 2, MORE * 10));
            })
        });
        let each: Vec<_> = each.collect();
        let ended: Vec<_> = each.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        assert!(ended.iter().all(Result::is_ok), "see above");
    });
}

fn inv(kafka: &Kafka, topic: &str, group: &str, store: Store, by: ClientKind) -> Inv {
    Inv::log(kafka, topic, group).store(store).client(kafka, by)
}

/// Batches of different codecs, so that a position can be in the middle of one.
fn produce(kafka: &Kafka, topic: &str, turn: u64) {
    let codec = ["none", "gzip", "snappy"][turn as usize % 3];
    let produce = Produce::seq(kafka, topic, MORE * 2).with("--partitions", 2).with("--first", turn * MORE);
    produce.with("--codec", codec).with("--linger", 20).run();
}

/// One file and journal throughout; the daemon is killed or stopped between turns.
fn with_its_journal(kafka: &Kafka, store: Store) {
    let (topic, group) = (unique("turns"), unique("turns"));
    kafka.create(&topic, 2);
    let mut daemon = Daemon::new(&inv(kafka, &topic, &group, store, TURNS[0]));
    for (turn, by) in TURNS.into_iter().enumerate() {
        produce(kafka, &topic, turn as u64);
        daemon.configure(&inv(kafka, &topic, &group, store, by));
        daemon.start();
        daemon.wait_written(&[(turn as u64 + 1) * MORE; 2], seconds(60));
        if turn % 2 == 0 {
            daemon.kill9();
        } else {
            daemon.stop();
        }
    }
    daemon.assert_whole(&[TURNS.len() as u64 * MORE; 2]);
}

/// A new file and journal each turn: only the group's offset carries the position.
fn by_its_offset(kafka: &Kafka, store: Store) {
    let (topic, group) = (unique("hosts"), unique("hosts"));
    kafka.create(&topic, 2);
    let (mut daemons, mut files): (Vec<Daemon>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for (turn, by) in TURNS.into_iter().enumerate() {
        produce(kafka, &topic, turn as u64);
        let mut daemon = Daemon::new(&inv(kafka, &topic, &group, store, by));
        daemon.start();
        daemon.wait_written_at_least(MORE * 2, seconds(60));
        daemon.stop();
        files.push(daemon.file.clone());
        daemons.push(daemon);
        let end = (turn as i64 + 1) * MORE as i64;
        assert_eq!(kafka.committed(store, &group, &topic, 2), [end, end], "after {by:?}");
    }
    let report = check::files(&[TURNS.len() as u64 * MORE; 2], &files).unwrap();
    assert!(report.whole(), "{report}\n{}", report.examples.join("\n"));
}

/// The crate cannot read lz4, and `auto` chose it on old brokers once: what it has written goes on.
#[test]
fn auto_goes_on_after_the_crate_and_reads_lz4_of_old_brokers() {
    let mut versions = vec!["0.10.2.2"];
    versions.extend(all().then_some("0.9.0.1"));
    for kafka in versions.into_iter().map(kafka) {
        let tested = kafka.tested("lz4 by auto, after the crate");
        let (topic, group) = (unique("auto"), unique("auto"));
        kafka.create(&topic, 2);
        let mut daemon = Daemon::new(&inv(&kafka, &topic, &group, Store::Kafka, ClientKind::Crate));
        for (turn, codec) in ["gzip", "lz4"].into_iter().enumerate() {
            let turn = turn as u64;
            let produce = Produce::seq(&kafka, &topic, MORE * 2).with("--partitions", 2);
            produce.with("--first", turn * MORE).with("--codec", codec).with("--linger", 20).run();
            daemon.start();
            daemon.wait_written(&[(turn + 1) * MORE; 2], seconds(60));
            let said = daemon.log_lines("brokers before 0.11 are read by pandad's own client");
            assert_eq!(said.len() as u64, turn, "{said:?}");
            daemon.kill9();
            daemon.configure(&Inv::log(&kafka, &topic, &group));
        }
        daemon.assert_whole(&[MORE * 2; 2]);
        tested.passed(format_args!("{} records", MORE * 4));
    }
}
