//! Goal: a template shows what was produced, escapes can be undone, and a filter leaves out what it should
//! and nothing else, whatever a kill -9 interrupts. Method: lines are compared with what the producer noted.

use crate::support::content::{self, Content};
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, Store, brokers, readable};
use crate::support::wait::{millis, seconds};
use crate::support::{all, check, seed, unique, wait};
use serde_json::Value;
use std::collections::BTreeMap;

/// One JSON object of everything, as a person would write it.
const JSON: &str = r#"{{"t":"{topic}","p":{partition},"o":{offset},"ms":"{timestamp}",
 "at":"{timestamp[+08:00]:%FT%T%.3f}","k":{key:json},"one":{headers[one]:json},
 "twice":{headers[twice]:json},"bytes":{headers[bytes]:json},"v":{value:json}}}"#;

const PARTITIONS: usize = 2;

fn record_count() -> usize {
    if all() { 4000 } else { 400 }
}

/// `null`, a string, or bytes in base64.
fn field(value: &Value) -> Option<Vec<u8>> {
    match value["base64"].as_str() {
        Some(text) => Some(check::base64(text).expect("base64")),
        None if value.is_null() => None,
        None => Some(value.as_str().expect("a string").as_bytes().to_vec()),
    }
}

/// The value of the last header of this name.
fn last_header(content: &Content, name: &str) -> Option<Vec<u8>> {
    content.headers.iter().rfind(|(other, _)| other == name.as_bytes()).and_then(|(_, value)| value.clone())
}

/// Waits until the group's offsets are the ends of the partitions, whether or not their last records have
/// lines.
#[track_caller]
fn await_committed(kafka: &Kafka, group: &str, topic: &str) {
    let ends: Vec<i64> = kafka.ends(topic, PARTITIONS).into_iter().map(|end| end as i64).collect();
    wait::until(&format!("the group holds {ends:?}"), seconds(60), || {
        kafka.committed(Store::Kafka, group, topic, PARTITIONS) == ends
    });
}

#[track_caller]
fn shows(line: &str, topic: &str, place: (i64, i64), content: &Content) {
    let fields: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    assert_eq!(fields["t"], topic, "{line}");
    assert_eq!((fields["p"].as_i64(), fields["o"].as_i64()), (Some(place.0), Some(place.1)), "{line}");
    assert_eq!(field(&fields["k"]), content.key, "{line}");
    assert_eq!(field(&fields["v"]), content.value, "{line}");
    for name in ["one", "twice", "bytes"] {
        assert_eq!(field(&fields[name]), last_header(content, name), "{name}: {line}");
    }
    let (ms, at) = (fields["ms"].as_str().unwrap(), fields["at"].as_str().unwrap());
    assert_eq!(ms, content.timestamp.map_or(String::new(), |time| time.to_string()), "{line}");
    let shown = content.timestamp.map(|time| {
        let time = jiff::Timestamp::from_millisecond(time).unwrap();
        time.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).strftime("%FT%T%.3f").to_string()
    });
    assert_eq!(at, shown.unwrap_or_default(), "{line}");
}

/// Records with headers, nulls and bytes that are no text, from brokers with and without headers and times.
#[test]
fn template_shows_what_was_produced() {
    let seed = seed();
    println!("PANDAD_TEST_SEED={seed}");
    for kafka in brokers() {
        let tested = kafka.tested("lines by a template, without tombstones");
        let kinds = content::kinds(&kafka).filter(|kind| kind.name == "none");
        let produced = content::produce_kinds(&kafka, kinds, &unique("template"), record_count(), seed);
        let (_, topic, contents) = &produced.topics[0];
        let group = unique("template");
        let inv = Inv::log(&kafka, topic, &group).job("log_file['format']", "template");
        let inv = inv.job("log_file['template']", &JSON.replace('\n', ""));
        let inv = inv.job("log_file['tombstones']", "drop");
        let mut daemon = Daemon::new(&inv);
        daemon.start();
        let kept: BTreeMap<_, _> = contents.iter().filter(|(_, content)| content.value.is_some()).collect();
        let has_empty = kept.values().any(|content| content.value.as_deref() == Some(b""));
        assert!(has_empty && kept.len() < contents.len(), "both empty values and tombstones are produced");
        await_committed(&kafka, &group, topic);
        daemon.stop();
        let text = std::fs::read_to_string(&daemon.file).unwrap();
        assert_eq!(text.lines().count(), kept.len(), "a line for each record with a value");
        let mut left = kept;
        for line in text.lines() {
            let fields: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            let place = (fields["p"].as_i64().unwrap(), fields["o"].as_i64().unwrap());
            let content = left.remove(&place).unwrap_or_else(|| panic!("{place:?} twice or not produced"));
            shows(line, topic, place, content);
        }
        tested.passed(format_args!("{} records", contents.len()));
    }
}

/// Which records of a partition the filter of the next test keeps: every other thousand, without those whose
/// numbers end in 7.
const INCLUDED: &str = "/key ([0-9]{1,3}|[0-9]*[02468][0-9]{3}) of [0-9]+/";
const EXCLUDED: &str = "/key [0-9]*7 of [0-9]+/";

fn is_kept(index: u64) -> bool {
    (index / 1000).is_multiple_of(2) && index % 10 != 7
}

/// A line without its escapes, as docs/formats.md says it.
fn undone(line: &str) -> Vec<u8> {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        let escaped = if char == '\\' { chars.next() } else { None };
        out.push(match (char, escaped) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('\\')) => '\\',
            ('\\', other) => panic!("\\ and {other:?}: {line}"),
            (plain, _) => plain,
        });
    }
    out.into_bytes()
}

/// The numbers of the records in the file, by partition, in the order of lines. Each is whole by its CRC.
#[track_caller]
fn indices(daemon: &Daemon) -> Vec<Vec<u64>> {
    let mut found = vec![Vec::new(); PARTITIONS];
    let text = std::fs::read_to_string(&daemon.file).unwrap_or_default();
    // After a kill, the last line may be torn until the next start.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let place = check::place_of(&undone(line)).unwrap_or_else(|why| panic!("{why}: {line}"));
        found[place.partition].push(place.index);
    }
    found
}

/// Stretches of a thousand records have no line, so whole replies are filtered out. Their positions must be
/// settled and committed all the same, and a kill at any moment must neither bring a filtered record back nor
/// lose another one.
#[test]
fn kill_9_in_a_filtered_stream() {
    let seed = seed();
    println!("PANDAD_TEST_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    for kafka in readable() {
        let tested = kafka.tested("kill -9 in a filtered stream");
        let (topic, group) = (unique("filtered"), unique("filtered"));
        kafka.create(&topic, PARTITIONS);
        let produce = Produce::seq(&kafka, &topic, 1_000_000).with("--partitions", PARTITIONS);
        let producing = produce.with("--rate", 4000).with("--linger", 5).stream(20_000);
        let inv = Inv::log(&kafka, &topic, &group).job("log_file['newline']", "escape");
        let inv = inv.job("log_file['include_key']", INCLUDED).job("log_file['exclude_key']", EXCLUDED);
        let mut daemon = Daemon::new(&inv.job("log_file['settle_ms']", "100"));
        let (kills, mut ahead) = (if all() { 25 } else { 8 }, 0);
        for kill in 0.. {
            assert!(kill < 10 * kills, "no kill came while filtered records were committed");
            daemon.start_and_wait();
            std::thread::sleep(millis(dice.u64(50..900)));
            daemon.kill9();
            let committed = kafka.committed(Store::Kafka, &group, &topic, PARTITIONS);
            let written = indices(&daemon);
            // At a kept record the filter does not matter: more than ten filtered ones are meant.
            ahead +=
                written.iter().zip(&committed).any(|(written, committed)| {
                    written.last().is_some_and(|last| *committed > *last as i64 + 10)
                }) as u32;
            if kill >= kills && ahead > 1 {
                break;
            }
        }
        let each = producing.end();
        daemon.start();
        await_committed(&kafka, &group, &topic);
        daemon.stop();
        let kept: Vec<u64> = (0..each).filter(|index| is_kept(*index)).collect();
        for (partition, found) in indices(&daemon).iter().enumerate() {
            let first = found.iter().zip(&kept).position(|(found, kept)| found != kept);
            let at = first.unwrap_or(found.len().min(kept.len()));
            let near = |all: &[u64]| all[at.saturating_sub(2)..all.len().min(at + 3)].to_vec();
            assert!(*found == kept, "partition {partition}: {:?}, not {:?}", near(found), near(&kept));
        }
        println!("{} of {} records, {ahead} kills behind filtered ones", kept.len() * 2, each * 2);
        tested.passed(format_args!("{kills} kills"));
    }
}
