//! Goal: a record is in the file that its time and key name, whatever these are. Method: brokers and clients
//! that give no timestamps, timestamps far ahead of the clock, keys that no file can be named after as they
//! are.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::file_set::{files_below, places};
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, Store, kafka};
use crate::support::wait::seconds;
use crate::support::{all, check, directory, unique, wait};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const MINUTE: i64 = 60_000;
/// A record's time in the past, in milliseconds since 1970.
const PAST: i64 = 1_698_796_800_000;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A time in milliseconds since 1970, as another program shows it in UTC.
fn shown(time: i64) -> String {
    let at = format!("@{}", time / 1000);
    let date = Command::new("date").args(["-u", "-d", &at, "+%Y-%m-%dT%H%M"]).output().unwrap();
    assert!(date.status.success(), "{date:?}");
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

/// A topic of one partition with so many records.
struct Topic {
    kafka: Kafka,
    name: String,
    records: u64,
    root: PathBuf,
}

impl Topic {
    fn produced(kafka: &Kafka, records: u64, more: impl Fn(Produce) -> Produce) -> Topic {
        let (kafka, name) = (kafka.clone(), unique("routes"));
        kafka.create(&name, 1);
        more(Produce::seq(&kafka, &name, records)).run();
        Topic { kafka, name, records, root: directory("routes") }
    }

    /// Reads all of it. Returns the log files, by their names.
    #[track_caller]
    fn read(&self, path: &str, by: ClientKind, more: &[(&str, &str)]) -> Vec<PathBuf> {
        let group = unique("routes");
        let inv = Inv::log(&self.kafka, &self.name, &group).client(&self.kafka, by);
        let inv = inv.job("log_file['path']", self.root.join(path).to_str().unwrap());
        let inv = more.iter().fold(inv, |inv, (key, value)| inv.job(key, value));
        let mut daemon = Daemon::new(&inv);
        daemon.start_and_wait();
        wait::until("all is settled", seconds(30), || {
            assert!(daemon.running(), "the daemon ended");
            self.kafka.committed(Store::Kafka, &group, &self.name, 1) == [self.records as i64]
        });
        daemon.stop();
        let files = files_below(&self.root);
        let report = check::files(&[self.records], &files).unwrap();
        // Records that follow each other are in several files.
        let faults = (report.missing, report.doubled, report.torn);
        assert_eq!(faults, (0, 0, 0), "{report}\n{}", report.examples.join("\n"));
        files
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.root).unwrap();
        }
    }
}

/// Kafka 0.9 has no timestamps, the crate shows none, and `append` asks for none.
#[test]
fn without_timestamps_the_time_of_writing_counts() {
    let mut plan = vec![("0.10.2.2", ClientKind::Crate, "record"), ("3.9.1", ClientKind::Native, "append")];
    if all() {
        plan.push(("0.9.0.1", ClientKind::Crate, "record"));
    }
    for (version, by, time) in plan {
        let kafka = kafka(version);
        let tested = kafka.tested("records without a time go to files by the time of writing");
        let with_time =
            |produce: Produce| if version == "0.9.0.1" { produce } else { produce.with("--time", PAST) };
        let topic = Topic::produced(&kafka, 200, with_time);
        let began = now();
        let files = topic.read("{topic}/{%Y-%m-%dT%H%M}.log", by, &[("log_file['time']", time)]);
        let minutes = began / MINUTE..=now() / MINUTE;
        let allowed: BTreeSet<PathBuf> = minutes
            .map(|minute| topic.root.join(format!("{}/{}.log", topic.name, shown(minute * MINUTE))))
            .collect();
        assert!(
            !files.is_empty() && files.iter().all(|file| allowed.contains(file)),
            "{files:?}: {allowed:?}"
        );
        tested.passed("200 records");
    }
}

#[test]
fn times_far_ahead_go_to_files_of_their_own() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("records whose time is far ahead of the clock");
    // From the eleventh record on they are more than an hour ahead.
    let first = now() + 50 * MINUTE;
    let topic = Topic::produced(&kafka, 30, |produce| produce.with("--time", first).with("--step", MINUTE));
    let files = topic.read("{%Y-%m-%dT%H%M}/a.log", ClientKind::Native, &[("log_file['future']", "1h")]);
    assert_eq!(files.len(), 30);
    for file in files {
        let [place] = places(&file)[..] else { panic!("{} has several", file.display()) };
        let index = i64::try_from(place.index).unwrap();
        let name = format!("{}/a.log", shown(first + index * MINUTE));
        let is_future = file == topic.root.join("future").join(&name);
        assert!(is_future || file == topic.root.join(&name), "{}: {index}", file.display());
        // The clock goes on until the record is read.
        assert!(if is_future { index > 10 } else { index < 15 }, "{}: {index}", file.display());
    }
    tested.passed("30 records");
}

/// The keys of produce.py, and the directory of each; of the longest the beginning.
const ODD_KEYS: [&str; 15] = [
    "%null",
    "%empty",
    "plain",
    "a%2Fb",
    "%2E.%2F..%2Fup",
    "%2E",
    "%2E.",
    "%2Ehidden",
    "%00%0A%FF%C3(",
    "gr\u{fc}n \u{4e2d}",
    "%25null",
    "%66uture",
    "%7Bkey%7D",
    "xxxxx",
    "xxxxx",
];

#[test]
fn each_key_has_files_of_its_own_whatever_it_is() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("keys of any bytes as names of directories");
    let count = ODD_KEYS.len() as u64;
    let topic = Topic::produced(&kafka, 20 * count, |produce| produce.with("--key", "odd"));
    let path = "{key}/{%F}.log";
    let files = topic.read(path, ClientKind::Native, &[("log_file['open']", "8")]);
    let mut keys: BTreeMap<&Path, BTreeSet<u64>> = BTreeMap::new();
    for file in &files {
        let directory = file.parent().unwrap();
        assert_eq!(directory.parent().unwrap(), topic.root, "{} left its directory", file.display());
        keys.entry(directory).or_default().extend(places(file).iter().map(|place| place.index % count));
    }
    assert_eq!(keys.len(), ODD_KEYS.len(), "{keys:?}");
    for (directory, keys) in keys {
        let name = directory.file_name().unwrap().to_str().unwrap();
        let [key] = keys.into_iter().collect::<Vec<_>>()[..] else { panic!("{name} has several keys") };
        let expected = ODD_KEYS[key as usize];
        let is_it = if expected == "xxxxx" { name.starts_with(expected) } else { name == expected };
        assert!(is_it, "the key {expected} is in {name}");
    }
    tested.passed(format_args!("{count} keys"));
}
