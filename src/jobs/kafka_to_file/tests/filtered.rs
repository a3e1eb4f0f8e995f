//! Records without lines: they are counted, and their positions hold like those of written records.

use std::path::Path;

use super::*;
use crate::config::{Config, LogFileConfig};
use crate::jobs::kafka_to_file::cut::{Cut, CutList};
use crate::jobs::kafka_to_file::formatter::Formatter;
use crate::jobs::kafka_to_file::split::split;
use crate::jobs::line_formatter;
use crate::kafka::DecodedRecords;
use crate::logfile::Landmark;
use crate::pipeline::Worker;
use crate::record::{Headers, Record};

/// `log_file[…]` of a job with raw lines and these keys.
fn configured(keys: &str) -> LogFileConfig {
    with_format("raw", keys)
}

fn with_format(format: &str, keys: &str) -> LogFileConfig {
    let text = format!("[log_section]\nbroker_list='a'\nlog_file['format']='{format}'\n{keys}\n");
    let config = Config::parse(&text, Path::new("t.inv")).unwrap_or_else(|why| panic!("{why}"));
    config.kafka_to_file.unwrap().log_file
}

#[test]
fn each_key_of_the_configuration_reaches_the_lines() {
    let headers = Headers::check(b"\x02\x02a\x02x");
    let record = |key, value| Record { headers, ..Record::bare(1, key, value) };
    let (key, value) = (Some(b"k".as_slice()), Some(b"v\n".as_slice()));
    for (keys, line) in [
        ("", Some("v\n\n")),
        ("log_file['newline']='escape'", Some("v\\n\n")),
        ("log_file['include_key']='/k/'", Some("v\n\n")),
        ("log_file['include_key']='/x/'", None),
        ("log_file['exclude_key']='/k/'", None),
        ("log_file['include_header']='a=/x/'", Some("v\n\n")),
        ("log_file['include_header']='a=/y/'", None),
        ("log_file['exclude_header']='a=/x/'", None),
    ] {
        let mut out = Vec::new();
        let has_line = line_formatter(&configured(keys)).append(&mut out, &partition(), &record(key, value));
        assert_eq!(
            (has_line, String::from_utf8(out).unwrap().as_str()),
            (line.is_some(), line.unwrap_or(""))
        );
    }
    let config = with_format("template", "log_file['template']='{offset} {headers[a]} {value}'");
    let mut out = Vec::new();
    assert!(line_formatter(&config).append(&mut out, &partition(), &record(key, Some(b"v"))));
    assert_eq!(out, b"1 x v\n");
    let mut without = line_formatter(&configured("log_file['tombstones']='drop'"));
    assert!(!without.append(&mut out, &partition(), &record(key, None)));
}

/// Records whose keys and values are their offsets.
struct Numbered(std::ops::Range<i64>);

impl DecodedRecords for Numbered {
    fn each(&self, each: &mut dyn FnMut(&Record<'_>)) {
        for offset in self.0.clone() {
            let text = offset.to_string();
            each(&Record::bare(offset, Some(text.as_bytes()), Some(text.as_bytes())));
        }
    }
}

/// What a worker makes of the records from 0 on. Only those whose keys match the pattern have lines.
fn formatted(next: i64, pattern: &str, is_cut: bool) -> FormattedBatch {
    let lines = line_formatter(&configured(&format!("log_file['include_key']='/{pattern}/'")));
    let fetched = Fetched {
        partition: partition(),
        from: 0,
        base: 0,
        next,
        assignment: 1,
        lag: 0,
        broker: None,
        epochs: Vec::new(),
        last: Some((next - 1, 7)),
        bytes: 1,
        payload: Payload::Decoded(Box::new(Numbered(0..next))),
    };
    Formatter::new(lines, BufferPool::new(1), is_cut).work(&fetched).unwrap().0
}

#[test]
fn a_range_covers_its_filtered_records() {
    let batch = formatted(100, "1[0-9]", false);
    assert_eq!((batch.from, batch.next, batch.records, batch.filtered), (0, 100, 10, 90));
    assert_eq!(batch.lines, (10..20).map(|one| format!("{one}\n")).collect::<String>().into_bytes());
    assert_eq!(batch.crc.finalize(), crc32fast::hash(&batch.lines));
    assert_eq!(batch.last, Some(Landmark { offset: 99, fingerprint: 7 }), "the last record that was read");
    let none = formatted(100, "x", false);
    assert_eq!((none.next, none.records, none.filtered, none.lines.len()), (100, 0, 100, 0));
}

#[test]
fn each_part_of_an_outcome_counts_its_filtered_records() {
    let batch = formatted(20_000, "[0-9]*[05]", true);
    assert!(batch.cuts.len() > 2, "{}", batch.cuts.len());
    let whole = batch.lines.clone();
    let parts = split(batch, 9000, 9000);
    assert!(parts.len() > 2, "{}", parts.len());
    let (mut at, mut bytes, mut filtered) = (0, Vec::new(), 0);
    for part in &parts {
        assert_eq!(part.from, at);
        assert_eq!((part.next - part.from) as u64, part.records + part.filtered);
        (at, filtered) = (part.next, filtered + part.filtered);
        bytes.extend_from_slice(&part.lines);
    }
    assert_eq!((at, filtered, bytes), (20_000, 16_000, whole));
}

/// Filtered records behind a long line belong to a part; none of them makes an empty part.
#[test]
fn filtered_records_make_no_cut() {
    let mut cuts = CutList::new(true);
    let end = |bytes, next| Cut { bytes, next, records: 1, filtered: next as u64 - 1 };
    for next in 1..10 {
        cuts.record(end(5000, next));
    }
    assert_eq!(cuts.cuts, [end(5000, 1)]);
}

fn without_lines(mut batch: FormattedBatch) -> FormattedBatch {
    batch.lines.clear();
    batch.crc = crc32fast::Hasher::new();
    (batch.records, batch.filtered) = (0, (batch.next - batch.from) as u64);
    batch
}

#[test]
fn positions_behind_filtered_records_are_committed_and_survive_a_kill() {
    let mut member = Member::at_work();
    let written = member.fetches(0, 2);
    let filtered = without_lines(member.fetches(2, 9));
    member.writes(vec![written, filtered]).unwrap();
    let message = member.settles();
    member.source.feedback(message);
    assert_eq!(member.is_committed().0, 9);
    // A settle batch without any line.
    let filtered = without_lines(member.fetches(9, 12));
    member.writes(vec![filtered]).unwrap();
    assert!(member.sink.needs_checkpoint(), "the position waits for its commit");
    let message = member.settles();
    member.source.feedback(message);
    assert_eq!(member.is_committed().0, 12);
    assert_eq!(member.content(), lines(2));
    let [done, filtered] =
        [&member.counters.done, &member.counters.filtered].map(|count| count.load(Relaxed));
    assert_eq!((done, filtered), (1, 10));
    assert!(member.counters.to_string().contains(" filtered=10 "), "{}", member.counters);

    let late = without_lines(member.fetches(20, 23));
    member.writes(vec![late]).unwrap();
    assert_eq!(member.counters.refetched.load(Relaxed), 3, "they do not continue the written ones");

    // Written, and killed before it is settled.
    let filtered = without_lines(member.fetches(12, 15));
    member.writes(vec![filtered]).unwrap();
    let copy = member.dir.join("killed");
    std::fs::create_dir(&copy).unwrap();
    for name in ["out.log", "out.log.journal"] {
        std::fs::copy(member.dir.join(name), copy.join(name)).unwrap();
    }
    let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
    let log = logfile::open(&copy.join("out.log"), &options, &mut RestartMemory::default()).unwrap();
    let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    assert_eq!(resumed.position, Some(15));
    assert_eq!(member.content(), lines(2));
}
