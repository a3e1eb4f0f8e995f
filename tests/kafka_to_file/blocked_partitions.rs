//! Goal: a partition that cannot be read blocks no other. It is corrupt on the broker's disk,
//! compressed by an unknown codec, without a leader, denied, or behind a transaction that hangs.
//! Method: the other partitions go on; one line is logged when the partition is blocked and one
//! when it is read again, and then none of its records is missing.

use crate::support::cluster::Cluster;
use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::segment::{Entry, Segment};
use crate::support::servers::{Kafka, Store, kafka};
use crate::support::tail::Tail;
use crate::support::wait::seconds;
use crate::support::{all, check, unique, wait};
use serde_json::json;

/// The log lines of one partition: warnings and errors, and others.
fn lines_of(daemon: &Daemon, partition: &str) -> (Vec<String>, Vec<String>) {
    let lines = daemon.log_lines(&format!("{partition}: "));
    lines.into_iter().partition(|line| line.contains("WARN") || line.contains("ERROR"))
}

#[track_caller]
fn assert_logged_once(daemon: &Daemon, partition: &str) {
    let mut both = (Vec::new(), Vec::new());
    wait::within(seconds(30), || {
        both = lines_of(daemon, partition);
        !both.1.is_empty()
    });
    assert_eq!((both.0.len(), both.1.len()), (1, 1), "one line down and one up: {both:#?}");
    println!("{}\n{}", both.0[0], both.1[0]);
}

/// A thousand records for each of three partitions, compressed.
fn produce(kafka: &Kafka, topic: &str, first: u64) {
    let produce = Produce::seq(kafka, topic, 3000).with("--partitions", 3).with("--batch", 50);
    produce.with("--first", first).with("--codec", "gzip").with("--linger", 5).run();
}

#[test]
fn corrupt_partition_blocks_no_other() {
    for version in if all() { &["1.1.1", "3.9.1"][..] } else { &["3.9.1"] } {
        corrupt(version, ClientKind::Native);
    }
}

/// Where the crate cannot read, pandad looks a second time. The second look must not skip corrupt records.
#[test]
fn crate_does_not_skip_corrupt_records() {
    corrupt("0.10.2.2", ClientKind::Crate);
}

fn corrupt(version: &str, by: ClientKind) {
    let cluster = Cluster::up(version, 1);
    let kafka = cluster.kafka();
    let what = "one partition corrupt on the broker's disk, and repaired";
    let tested = match by {
        ClientKind::Native => kafka.tested(what),
        ClientKind::Crate => kafka.tested(&format!("{what}, by the crate client")),
    };
    if by == ClientKind::Crate {
        // The topic has the format that the crate reads: a broker that converts would report the damage in
        // its own way or, from 0.11 on, make new checksums for damaged records.
        cluster.stop(1);
        cluster.configure(1, "log.message.format.version=0.9.0");
        cluster.start(1);
    }
    let (topic, group) = (unique("corrupt"), unique("corrupt"));
    kafka.create(&topic, 3);
    produce(&kafka, &topic, 0);
    cluster.stop(1);
    let segment = Segment::open(&cluster.data(1), &topic, 1);
    let entry = segment.middle();
    segment.damage(&entry);
    cluster.start(1);
    let inv = Inv::log(&kafka, &topic, &group).client(&kafka, by);
    let mut daemon = Daemon::new(&inv);
    daemon.start();
    daemon.wait_log(&format!("{topic}/1: "), seconds(60));
    produce(&kafka, &topic, 1000);
    // These are all records of the other partitions, and the records before the damage. If one record of a
    // reply is corrupt, the crate returns nothing of the reply.
    let before = if by == ClientKind::Native { 100 } else { 0 };
    wait_for(&mut daemon, &[2000, before, 2000]);
    daemon.wait_log("WARN", seconds(30));
    let down = lines_of(&daemon, &format!("{topic}/1")).0;
    assert!(down.iter().any(|line| line.contains("CRC") || line.contains("checksum")), "{down:#?}");
    cluster.stop(1);
    segment.mend(&entry);
    cluster.start(1);
    daemon.wait_written(&[2000; 3], seconds(120));
    assert_logged_once(&daemon, &format!("{topic}/1"));
    daemon.finish(&[2000; 3], seconds(10));
    tested.passed("6000 records, 3 partitions");
}

/// Waits until at least this many records of each partition are written.
#[track_caller]
fn wait_for(daemon: &mut Daemon, least: &[u64]) {
    let mut tail = Tail::new(&daemon.file, least.len());
    wait::until("enough records of each partition", seconds(60), || {
        assert!(daemon.running(), "the daemon ended");
        tail.read();
        tail.next.iter().zip(least).all(|(next, least)| next >= least)
    });
}

#[test]
fn unknown_codec_blocks_no_other() {
    for version in if all() { &["0.10.2.2", "1.1.1", "3.9.1", "4.1.0"][..] } else { &["3.9.1"] } {
        unknown_codec(version);
    }
}

/// Brokers refuse to store such a batch, so one is made on their disk, in two partitions: one batch is
/// repaired later, the other one deleted.
fn unknown_codec(version: &str) {
    let cluster = Cluster::up(version, 1);
    let kafka = cluster.kafka();
    let tested = kafka.tested("batches of an unknown codec: one repaired, one deleted");
    let (topic, group) = (unique("codec"), unique("codec"));
    kafka.create(&topic, 3);
    produce(&kafka, &topic, 0);
    cluster.stop(1);
    let segments = [1, 2].map(|partition| Segment::open(&cluster.data(1), &topic, partition));
    let [one, other] = [&segments[0], &segments[1]].map(Segment::middle);
    segments[0].recode(&one, 5);
    segments[1].recode(&other, 7);
    cluster.start(1);
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &group).client(&kafka, ClientKind::Native));
    daemon.start();
    assert_stands(&mut daemon, &topic, &one, (1, 5));
    assert_stands(&mut daemon, &topic, &other, (2, 7));
    produce(&kafka, &topic, 1000);
    wait_for(&mut daemon, &[2000, one.first, other.first]);
    // Neither a kill nor a stop makes pandad skip the batch.
    daemon.kill9();
    daemon.start();
    assert_stands(&mut daemon, &topic, &one, (1, 5));
    assert_stands(&mut daemon, &topic, &other, (2, 7));
    daemon.stop();
    let ended = daemon.log_lines("kafka_to_file: ended");
    let lag = format!(" lag={} ", 4000 - one.first - other.first);
    assert!(ended.len() == 1 && ended[0].contains(" blocked_partitions=2 "), "{ended:#?}");
    assert!(ended[0].contains(&lag), "{lag} {ended:#?}");
    let mut tail = Tail::new(&daemon.file, 3);
    tail.read();
    assert_eq!(tail.next, [2000, one.first, other.first], "what is written");
    let committed = kafka.committed(Store::Kafka, &group, &topic, 3);
    assert_eq!(committed, [2000, one.first as i64, other.first as i64], "what is committed");
    daemon.start();
    assert_stands(&mut daemon, &topic, &one, (1, 5));
    assert_stands(&mut daemon, &topic, &other, (2, 7));
    let missing = be_gone(&cluster, &kafka, &topic, &segments, (&one, &other));
    wait_for(&mut daemon, &[2000; 3]);
    assert_logged_once(&daemon, &format!("{topic}/1"));
    daemon.stop();
    let report = check::files(&[2000; 3], &daemon.files()).unwrap();
    let lost = (report.missing, report.doubled, report.torn, report.disordered);
    assert_eq!(lost, (missing, 0, 0, 0), "missing is what was deleted: {:#?}", report.examples);
    let deleted = format!("{topic}/2: the broker deleted offset {} to", other.first);
    let deleted = daemon.log_lines(&deleted);
    assert_eq!(deleted.len(), usize::from(missing > 0), "{deleted:#?}");
    assert!(deleted.iter().all(|line| line.contains(&format!(" ({missing} record"))), "{deleted:#?}");
    tested.passed("6000 records, 3 partitions");
}

/// The log names the partition, the batch, the codec, and what helps.
#[track_caller]
fn assert_stands(daemon: &mut Daemon, topic: &str, at: &Entry, (partition, codec): (usize, u8)) {
    let (from, behind) = (format!(" offset {} on ", at.first), format!(" below offset {};", at.last + 1));
    daemon.wait_log(&format!("compression codec {codec} is not supported"), seconds(60));
    let (down, up) = lines_of(daemon, &format!("{topic}/{partition}"));
    assert!(down.len() == 1 && up.is_empty(), "one line down: {down:#?} {up:#?}");
    assert!(down[0].contains(&from) && down[0].contains(&behind), "{down:#?}");
    println!("{}", down[0]);
}

/// Repairs the first partition's batch and deletes the second's, where the broker can delete. Returns
/// how many records are deleted.
fn be_gone(
    cluster: &Cluster,
    kafka: &Kafka,
    topic: &str,
    segments: &[Segment; 2],
    (one, other): (&Entry, &Entry),
) -> u64 {
    cluster.stop(1);
    segments[0].mend(one);
    let deletes = kafka.at_least(0, 11);
    if !deletes {
        segments[1].mend(other);
    }
    cluster.start(1);
    if !deletes {
        return 0;
    }
    let below = other.last + 1;
    kafka.ask(json!({"do": "delete_records", "topic": topic, "partition": 2, "below": below}));
    below - other.first
}

#[test]
fn leaderless_partition_blocks_no_other() {
    let version = "3.9.1";
    let cluster = Cluster::up(version, 2);
    let kafka = cluster.kafka();
    let tested = kafka.tested("one partition without a leader");
    let (topic, group) = (unique("leaderless"), unique("leaderless"));
    cluster.create_on(&topic, &[&[1], &[2]]);
    Produce::seq(&kafka, &topic, 1000).with("--partitions", 2).run();
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &group).client(&kafka, ClientKind::Native));
    daemon.start();
    daemon.wait_written(&[500, 500], seconds(60));
    cluster.kill(2);
    daemon.wait_log(&format!("{topic}/1: "), seconds(60));
    let of_first = Produce::seq(&kafka, &topic, 500).with("--partitions", "0-0").with("--first", 500);
    of_first.run();
    wait_for(&mut daemon, &[1000, 500]);
    cluster.start(2);
    Produce::seq(&kafka, &topic, 500).with("--partitions", "1-1").with("--first", 500).run();
    daemon.wait_written(&[1000, 1000], seconds(120));
    assert_logged_once(&daemon, &format!("{topic}/1"));
    daemon.finish(&[1000, 1000], seconds(10));
    tested.passed("2000 records, 2 partitions");
}

#[test]
fn denied_topic_blocks_no_other() {
    let cluster = Cluster::up("3.9.1", 1);
    cluster.stop(1);
    cluster.configure(
        1,
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         allow.everyone.if.no.acl.found=true",
    );
    cluster.start(1);
    let kafka = cluster.kafka();
    let tested = kafka.tested("one topic that may not be read");
    let (open, shut, group) = (unique("open"), unique("shut"), unique("rights"));
    for (topic, base) in [(&open, 0), (&shut, 1)] {
        kafka.create(topic, 1);
        Produce::seq(&kafka, topic, 1000).with("--base", base).run();
    }
    let may = |may: bool| kafka.ask(json!({"do": "may_read", "name": shut, "may": may}));
    may(false);
    let inv = Inv::log(&kafka, &format!("{open},{shut}"), &group).client(&kafka, ClientKind::Native);
    let mut daemon = Daemon::new(&inv);
    daemon.start();
    daemon.wait_log(&format!("{shut}/0: "), seconds(60));
    wait_for(&mut daemon, &[1000, 0]);
    Produce::seq(&kafka, &open, 1000).with("--first", 1000).run();
    wait_for(&mut daemon, &[2000, 0]);
    may(true);
    daemon.wait_written(&[2000, 1000], seconds(120));
    assert_logged_once(&daemon, &format!("{shut}/0"));
    daemon.finish(&[2000, 1000], seconds(10));
    tested.passed("3000 records, 2 topics");
}

#[test]
fn hanging_transaction_is_named_with_age() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a transaction that hangs");
    let (topic, group) = (unique("hangs"), unique("hangs"));
    kafka.create(&topic, 2);
    Produce::seq(&kafka, &topic, 1000).with("--partitions", 2).run();
    // Partition 1 has a record of a transaction that stays open, and others after it.
    kafka.ask(json!({"do": "begin", "topic": topic, "partition": 1}));
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &group).client(&kafka, ClientKind::Native));
    daemon.start();
    Produce::seq(&kafka, &topic, 500).with("--partitions", "0-0").with("--first", 500).run();
    wait_for(&mut daemon, &[1000, 500]);
    daemon.wait_log("an open transaction blocks it", seconds(120));
    let (down, _) = lines_of(&daemon, &format!("{topic}/1"));
    assert!(down.len() == 1 && down[0].contains("s ago"), "{down:#?}");
    println!("{}", down[0]);
    kafka.ask(json!({"do": "abort"}));
    daemon.finish(&[1000, 500], seconds(60));
    tested.passed("1500 records");
}
