//! Goal: every kind of record on every version of Kafka comes out as it was produced: key, value,
//! headers and time, each record once. Method: content.py produces and notes what it produced;
//! both clients read, where both can.

use crate::support::content::{self, ClientKind, Contents, Kind, Produced};
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, brokers};
use crate::support::tested::Tested;
use crate::support::wait::{millis, seconds};
use crate::support::{all, seed, unique, wait};
use std::time::Instant;

#[test]
fn file_holds_what_was_produced() {
    let seed = seed();
    println!("PANDAD_TEST_SEED={seed}");
    // The brokers are tested at the same time, because a test mostly waits for them.
    std::thread::scope(|scope| {
        let each: Vec<_> = brokers().into_iter().map(|kafka| scope.spawn(move || on(&kafka, seed))).collect();
        let ended: Vec<_> = each.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        assert!(ended.iter().all(Result::is_ok), "see above");
    });
}

fn on(kafka: &Kafka, seed: u64) {
    let produced = content::produce(kafka, &unique("kind"), records(), seed);
    // Brokers of 0.11 cannot convert records with headers for the crate, and these records have some.
    let can_read = |by: &ClientKind| *by == ClientKind::Native || !kafka.version.starts_with("0.11.");
    for by in kafka.clients().into_iter().filter(can_read) {
        compare(kafka, &produced, by);
    }
}

/// About how many records of each kind are produced.
fn records() -> usize {
    if all() { 4000 } else { 400 }
}

/// All topics at once, each into a file of its own.
fn compare(kafka: &Kafka, produced: &Produced, by: ClientKind) {
    let topics: Vec<&(&Kind, String, Contents)> =
        produced.topics.iter().filter(|(kind, ..)| by == ClientKind::Native || kind.by_crate).collect();
    let names: Vec<&str> = topics.iter().map(|(_, topic, _)| topic.as_str()).collect();
    let inv = Inv::log(kafka, &names.join(","), &unique("content"));
    let inv = inv.client(kafka, by).job("log_file['format']", "json").job("log_file['path']", "{topic}.log");
    let begun: Vec<Tested> = topics.iter().map(|(kind, ..)| kafka.content(by.word(), kind.what)).collect();
    let mut daemon = Daemon::new(&inv);
    daemon.start();
    // The crate is slow with small batches and with gaps.
    let until = wait::deadline(seconds(if all() { 900 } else { 120 }));
    for (_, topic, contents) in &topics {
        let file = content::file_of(&daemon.dir, topic);
        // The comparison below finds wrong and missing records.
        while content::lines(&file) < contents.len() && Instant::now() < until {
            assert!(daemon.running(), "the daemon ended");
            std::thread::sleep(millis(100));
        }
    }
    daemon.stop();
    let mut faults = Vec::new();
    for ((kind, topic, contents), tested) in topics.iter().zip(begun) {
        match content::compare(&content::file_of(&daemon.dir, topic), topic, contents, by) {
            Ok(()) => tested.passed(kind.amount(records())),
            Err(why) => faults.push(why),
        }
    }
    assert!(faults.is_empty(), "Kafka {}: {}", kafka.version, faults.join("\n\n"));
}

/// A million records like log lines of people: every codec and client at once.
#[test]
fn many_records_in_each_codec() {
    let records = if all() { 200_000 } else { 10_000 };
    for kafka in brokers() {
        for by in kafka.clients() {
            volume(&kafka, by, records);
        }
    }
}

fn volume(kafka: &Kafka, by: ClientKind, records: u64) {
    let mut codecs = vec!["none", "gzip", "snappy"];
    if by == ClientKind::Native {
        codecs.push("lz4");
        codecs.extend(kafka.at_least(2, 1).then_some("zstd"));
    }
    let what = format!("raw lines, {}", codecs.join(", "));
    let tested = kafka.content(by.word(), &what);
    let stem = unique("volume");
    let topics: Vec<String> = codecs.iter().map(|codec| format!("{stem}-{codec}")).collect();
    for (at, (codec, topic)) in codecs.iter().zip(&topics).enumerate() {
        kafka.create(topic, 2);
        let produce = Produce::seq(kafka, topic, records).with("--partitions", 2).with("--codec", codec);
        produce.with("--linger", 5).with("--base", at * 2).run();
    }
    let inv = Inv::log(kafka, &topics.join(","), &unique("volume")).client(kafka, by);
    let mut daemon = Daemon::new(&inv);
    daemon.start();
    daemon.finish(&vec![records / 2; codecs.len() * 2], wait::seconds(120));
    tested.passed(format_args!("{} records", records * codecs.len() as u64));
}
