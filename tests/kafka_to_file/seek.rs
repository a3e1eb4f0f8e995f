//! Goal: `pandad seek` says what it would do, does it, and the next start goes exactly there; whatever
//! stands in the way is refused and named. Method: seeks back, by time, forward and past an unreadable
//! batch, on real brokers; a running pandad, foreign members, and brokers that are not there.

use crate::support::cluster::Cluster;
use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::run::{Ran, run};
use crate::support::segment::Segment;
use crate::support::servers::{Kafka, Store, brokers};
use crate::support::tail::places_of;
use crate::support::{all, unique, wait};
use std::time::Instant;

const PARTITIONS: usize = 2;
/// Records of each partition in one round.
const RECORDS: u64 = 100;
/// The timestamp of each partition's first record: 2026-11-27T06:00:00Z. They are a second apart.
const TIME: u64 = 1_795_759_200_000;

fn produce(kafka: &Kafka, topic: &str, first: u64) {
    let produce = Produce::seq(kafka, topic, RECORDS * PARTITIONS as u64).with("--partitions", PARTITIONS);
    let produce = produce.with("--first", first);
    let timed = |produce: Produce| produce.with("--time", TIME).with("--step", 1000);
    if kafka.at_least(0, 10) { timed(produce) } else { produce }.run();
}

fn seek(daemon: &Daemon, words: &[&str]) -> Ran {
    let inv = daemon.dir.join("test.inv").display().to_string();
    run(&[&["seek", &inv], words].concat())
}

/// Starts the daemon, waits until the file has as many records as expected, stops it, and compares.
#[track_caller]
fn goes_on(daemon: &mut Daemon, expected: &[Vec<u64>]) {
    daemon.start_and_wait();
    let count: usize = expected.iter().map(Vec::len).sum();
    daemon.wait_written_at_least(count as u64, wait::seconds(60));
    daemon.stop();
    assert!(places_of(&daemon.file, PARTITIONS) == expected, "the file holds other records than expected");
}

#[test]
fn seek_goes_where_it_says() {
    for kafka in brokers() {
        let stores = if kafka.zookeeper { &[Store::Kafka, Store::Zookeeper][..] } else { &[Store::Kafka] };
        for store in stores {
            for by in kafka.clients() {
                if all() || (by == ClientKind::Native) == kafka.at_least(0, 11) {
                    seeks(&kafka, by, *store);
                }
            }
        }
    }
}

fn seeks(kafka: &Kafka, by: ClientKind, store: Store) {
    let what = format!("pandad seek, offsets in {}, read by the {} client", store.name(), by.word());
    let tested = kafka.tested(&what);
    let (topic, group) = (unique("seek"), unique("seek"));
    kafka.create(&topic, PARTITIONS);
    produce(kafka, &topic, 0);
    let inv = match store {
        Store::Kafka => Inv::member(kafka, &topic, &group),
        Store::Zookeeper => Inv::log(kafka, &topic, &group).store(store),
    };
    let mut daemon = Daemon::new(&inv.client(kafka, by));
    let mut expected = vec![(0..RECORDS).collect::<Vec<u64>>(); PARTITIONS];
    goes_on(&mut daemon, &expected);
    let held = || kafka.committed(store, &group, &topic, PARTITIONS);
    // Nothing is done without --go.
    let ran = seek(&daemon, &[&topic, "10"]).expect(0).says("nothing was changed");
    let (one, log) = (format!("{topic}/1: group 100, journal 100, "), "log 0 to 99: to 10: ");
    assert!(ran.out.contains(&format!("{one}{log}90 offsets (10 to 99) are read again")), "{}", ran.out);
    assert_eq!(held(), [100, 100]);
    // One partition, by offset.
    seek(&daemon, &[&format!("{topic}/1"), "40", "--go"]).expect(0).says("1 offset of the group");
    assert_eq!(held(), [100, 40]);
    expected[1].extend(40..RECORDS);
    goes_on(&mut daemon, &expected);
    // All partitions, by time. In ZooKeeper the offset is one that was not committed before.
    if kafka.finds_times() {
        let ran = seek(&daemon, &["--go", &topic, "2026-11-27T06:01:30Z"]).expect(0);
        assert!(ran.out.contains("10 offsets (90 to 99) are read again"), "{}", ran.out);
        assert_eq!(held(), [90, 90]);
        expected.iter_mut().for_each(|one| one.extend(90..RECORDS));
        goes_on(&mut daemon, &expected);
    }
    // Forward, over records that are then never read.
    produce(kafka, &topic, RECORDS);
    let ran = seek(&daemon, &[&topic, "latest", "--go"]).expect(0);
    assert!(ran.out.contains("100 offsets (100 to 199) are skipped"), "{}", ran.out);
    produce(kafka, &topic, 2 * RECORDS);
    expected.iter_mut().for_each(|one| one.extend(2 * RECORDS..3 * RECORDS));
    goes_on(&mut daemon, &expected);
    let skipped = daemon.log_lines("skipped offset 100 to 199 (100 offsets)");
    assert_eq!(skipped.len(), PARTITIONS, "{skipped:#?}");
    let ended = daemon.log_lines("kafka_to_file: ended");
    assert!(ended.len() == 1 && ended[0].contains(" skipped=200 "), "{ended:#?}");
    if store == Store::Zookeeper {
        // The next start could not tell this offset from pandad's own commit.
        let ran = seek(&daemon, &[&format!("{topic}/0"), "200", "--go"]).expect(1);
        assert!(ran.err.contains("has committed without a token"), "{ran:?}");
        assert_eq!(held(), [300, 300]);
    }
    tested.passed(format_args!("{} records, 4 seeks", 6 * RECORDS));
}

#[test]
fn seek_refuses_what_it_cannot_do() {
    for kafka in brokers() {
        let tested = kafka.tested("pandad seek: what it refuses");
        let (topic, group) = (unique("refused"), unique("refused"));
        kafka.create(&topic, PARTITIONS);
        produce(&kafka, &topic, 0);
        let inv = Inv::member(&kafka, &topic, &group);
        let mut daemon = Daemon::new(&inv);
        goes_on(&mut daemon, &vec![(0..RECORDS).collect::<Vec<u64>>(); PARTITIONS]);
        let refused = |words: &[&str], why: &str| {
            let ran = seek(&daemon, words).expect(1);
            assert!(ran.err.contains(why), "{why:?} is not in {ran:?}");
        };
        refused(&[&topic, "101", "--go"], "offset 101 is outside of the log: an offset from 0 to 100");
        refused(&[&format!("{topic}/7"), "5", "--go"], "the topic has 2 partitions, from 0");
        refused(&["other", "5", "--go"], "does not read the topic, only");
        // A foreign member of the group.
        kafka.join(&group, &topic);
        refused(&[&topic, "5", "--go"], "1 live member (");
        refused(&[&topic, "5", "--go"], "at /127.0.0.1");
        kafka.part(&group);
        assert_eq!(kafka.committed(Store::Kafka, &group, &topic, PARTITIONS), [100, 100]);
        seek(&daemon, &[&topic, "5"]).expect(0);
        // This very pandad.
        daemon.start_and_wait();
        let ran = seek(&daemon, &[&topic, "5", "--go"]).expect(1);
        assert!(ran.err.contains("another pandad writes this log file; stop it"), "{ran:?}");
        daemon.stop();
        if kafka.at_least(0, 11) {
            let nowhere = unique("nowhere");
            let daemon = Daemon::new(&Inv::member(&kafka, &nowhere, &group));
            let ran = seek(&daemon, &[&nowhere, "earliest"]).expect(1);
            assert!(ran.err.contains("the brokers do not know the topic"), "{ran:?}");
        }
        tested.passed("7 refusals");
    }
}

#[test]
fn seek_tells_within_a_bound_that_no_broker_answers() {
    let inv = Inv::default().set("log_section", "broker_list", "127.0.0.1:1");
    let daemon = Daemon::new(&inv);
    let began = Instant::now();
    seek(&daemon, &["test", "earliest"]).expect(1).says("127.0.0.1:1 is unreachable");
    println!("after {:?}", began.elapsed());
    for (words, why) in [
        (&["test"][..], "are expected"),
        (&["test", "5", "6"], "are expected"),
        (&["test", "first"], "earliest, latest, an offset or a time"),
        (&["test/x", "5"], "TOPIC/PARTITION"),
        (&["test", "5", "--now"], "--now"),
    ] {
        seek(&daemon, words).expect(2).says(why);
    }
}

/// The log line of a batch that cannot be read names the very command. It works as it stands there.
#[test]
fn seek_is_the_way_past_an_unreadable_batch() {
    let cluster = Cluster::up("3.9.1", 1);
    let kafka = cluster.kafka();
    let tested = kafka.tested("a corrupt batch is given up by pandad seek, as the log line says");
    let (topic, group) = (unique("past"), unique("past"));
    kafka.create(&topic, 1);
    let produce = Produce::seq(&kafka, &topic, 1000).with("--batch", 50).with("--codec", "gzip");
    produce.with("--linger", 5).run();
    cluster.stop(1);
    let segment = Segment::open(&cluster.data(1), &topic, 0);
    let entry = segment.middle();
    segment.damage(&entry);
    cluster.start(1);
    let mut daemon = Daemon::new(&Inv::member(&kafka, &topic, &group).client(&kafka, ClientKind::Native));
    daemon.start();
    daemon.wait_log("cannot be read", wait::seconds(60));
    let line = daemon.log_lines("cannot be read").remove(0);
    println!("{line}");
    let command = line.split("run: pandad ").nth(1).unwrap().split(';').next().unwrap();
    let inv = daemon.dir.join("test.inv").display().to_string();
    assert_eq!(command, format!("seek {inv} {topic}/0 {} --go", entry.last + 1));
    daemon.stop();
    let skipped = entry.last - entry.first + 1;
    let ran = run(&command.split(' ').collect::<Vec<_>>()).expect(0);
    assert!(ran.out.contains(&format!("{skipped} offsets ({} to {}) are skipped", entry.first, entry.last)));
    daemon.start();
    daemon.wait_written_at_least(1000 - skipped, wait::seconds(60));
    let warned = daemon.log_lines("skipped offset");
    let range = format!("skipped offset {} to {} ({skipped} offsets)", entry.first, entry.last);
    assert!(warned.len() == 1 && warned[0].contains(&range), "{warned:#?}");
    daemon.stop();
    let expected: Vec<u64> = (0..entry.first).chain(entry.last + 1..1000).collect();
    assert!(places_of(&daemon.file, 1) == [expected], "all others, once and in order");
    let ended = daemon.log_lines("kafka_to_file: ended");
    assert!(ended[0].contains(&format!(" skipped={skipped} ")), "{ended:#?}");
    tested.passed(format_args!("1000 records, {skipped} of them given up"));
}
