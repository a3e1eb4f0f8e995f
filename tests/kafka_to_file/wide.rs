//! Goal: many topics in files by topic and hour cost one journal, few descriptors and little memory, and
//! kills lose and double nothing. Method: topics by a pattern, produced in turn while pandad is killed again
//! and again.

use crate::support::check::Place;
use crate::support::daemon::Daemon;
use crate::support::file_set::{FIRST, Most, assert_whole, bytes_below, files_below};
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, Store, kafka};
use crate::support::wait::{millis, seconds};
use crate::support::{all, directory, seed, unique, wait};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

const PARTITIONS: usize = 4;
/// Records of each partition, and from one's time to the next one's in milliseconds: three hours.
const EACH: u64 = 250;
const STEP: u64 = 30_000;
/// Files that may be open if nobody says otherwise.
const OPEN: usize = 256;
/// In KiB.
const MEMORY_MAX: u64 = 48 << 10;

fn create(kafka: &Kafka, topics: &[String]) {
    for some in topics.chunks(50) {
        // The records' times are long past; without this setting they would be deleted.
        let keep = || Map::from_iter([("retention.ms".to_owned(), Value::from("-1"))]);
        kafka.create_with_settings(some.iter().map(|topic| (topic.as_str(), PARTITIONS, keep())).collect());
    }
}

/// Partitions are numbered through.
fn file_of(root: &Path, topics: &[String], Place { partition, index }: Place) -> PathBuf {
    let hour = index * STEP / 3_600_000;
    root.join(format!("{}/2023-11-01T{hour:02}.log", topics[partition / PARTITIONS]))
}

#[test]
fn kill_9_among_topics_by_pattern_and_hour() {
    let (count, kills, rate) = if all() { (1000, 20, 15_000) } else { (40, 3, 6000) };
    let (kafka, seed) = (kafka("3.9.1"), seed());
    println!("PANDAD_TEST_SEED={seed}");
    let tested = kafka.tested("kill -9 among topics by a pattern, in files by topic and hour");
    let mut dice = fastrand::Rng::with_seed(seed);
    let (stem, root) = (unique("wide"), directory("wide"));
    let topics: Vec<String> = (0..count).map(|number| format!("{stem}-{number:04}")).collect();
    create(&kafka, &topics);
    let records = (count * PARTITIONS) as u64 * EACH;
    let produce = Produce::new("wide", &kafka, &stem, records).with("--topics", count).with("--rate", rate);
    let produce = produce.with("--partitions", PARTITIONS).with("--linger", 100);
    let producing = produce.with("--time", FIRST).with("--step", STEP).start();
    let inv = Inv::member(&kafka, &format!("/{stem}-.*/"), &stem)
        .job("log_file['path']", root.join("{topic}/{%Y-%m-%dT%H}.log").to_str().unwrap());
    let mut daemon = Daemon::new(&inv);
    let (mut most, mut killed) = (Most::default(), 0);
    while killed < kills {
        daemon.start();
        let before = bytes_below(&root);
        let patience = if killed == 0 { 60 } else { 10 };
        let is_growing = wait::within(seconds(patience), || {
            most.look(&daemon);
            bytes_below(&root) > before
        });
        if !is_growing {
            break;
        }
        std::thread::sleep(millis(dice.u64(0..300)));
        most.look(&daemon);
        daemon.kill9();
        killed += 1;
    }
    println!("{killed} kills");
    assert!(killed * 2 >= kills, "everything was written after {killed} kills");
    producing.finish();
    if !daemon.is_started() {
        daemon.start();
    }
    for topic in &topics {
        wait::until("the group holds the end of each topic", seconds(120), || {
            assert!(daemon.running(), "the daemon ended");
            most.look(&daemon);
            kafka.committed(Store::Kafka, &stem, topic, PARTITIONS) == [EACH as i64; PARTITIONS]
        });
    }
    daemon.stop();
    let each = vec![EACH; count * PARTITIONS];
    assert_whole(&files_below(&root), &each, |file, place| file == file_of(&root, &topics, place));
    most.assert_few(OPEN);
    // The static binary is optimised, and has another allocator.
    if std::env::var_os("PANDAD_BIN").is_some() {
        assert!(most.memory <= MEMORY_MAX, "{} KiB, and {MEMORY_MAX} are allowed", most.memory);
    }
    tested.passed(format_args!("{count} topics, {records} records"));
    std::fs::remove_dir_all(&root).unwrap();
}
