//! Work of a fixed size whose instructions `scripts/bench guard` counts.
//!
//!     bench_guard CASE PASSES DIRECTORY
//!
//! CASE: decode_CODEC, format_FORMAT, append, journal_append or journal_open. The files
//! of the last three are made in DIRECTORY.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool"
)]

mod record_set;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pandad::kafka::protocol::records::{Scratch, decode};
use pandad::line_template::LineTemplate;
use pandad::logfile::line::{LineFormat, LineFormatter};
use pandad::logfile::{
    self, Landmark, LogFile, LogFileOptions, Piece, PositionChange, RestartMemory, Rotation,
};
use pandad::record::{Headers, OffsetMetadata, Record, TopicPartition};
use record_set::{RECORDS, codec, record_set, value};

/// Two headers, as in a record of format 2.
const HEADERS: &[u8] = b"\x04\x0atrace\x10abcdef01\x08host\x0aweb-7";

/// With parts of a second, which are written anew for each record.
const TEMPLATE: &str = "{timestamp:%FT%T%.3fZ} {topic}/{partition}@{offset} {key} {headers[host]} {value}";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, passes, directory] = arguments.as_slice() else { panic!("CASE PASSES DIRECTORY") };
    let passes: usize = passes.parse().expect("how many passes");
    let file = Path::new(directory).join(format!("{case}.log"));
    match case.split_once('_') {
        Some(("decode", name)) => decoding(name, passes),
        Some(("format", name)) => formatting(name, passes),
        Some(("journal", "append")) => appending(&file, 200, 10, passes),
        Some(("journal", "open")) => opening(&file, passes),
        None if case == "append" => appending(&file, 3, 64 << 10, passes),
        _ => panic!("there is no case {case}"),
    }
}

/// A pass decodes a set of 4,096 records.
fn decoding(name: &str, passes: usize) {
    let set = record_set(codec(name).expect("a codec"));
    let mut scratch = Scratch::default();
    let mut lines = Vec::with_capacity(2 << 20);
    for _ in 0..passes {
        lines.clear();
        let decoded = decode(&set, 0, Some(&[]), &mut scratch, &mut |record| {
            lines.extend_from_slice(record.value.unwrap_or_default());
            ControlFlow::Continue(())
        });
        assert_eq!(decoded.map(|decoded| decoded.next), Ok(RECORDS));
        black_box(&lines);
    }
}

/// A pass formats 4,096 records with key, timestamp and two headers.
fn formatting(name: &str, passes: usize) {
    let mut formatter = match name {
        "raw" => LineFormatter::new(LineFormat::Raw),
        "json" => LineFormatter::new(LineFormat::Json),
        "original" => LineFormatter::new(LineFormat::Original),
        "template" => LineFormatter::by_template(LineTemplate::parse(TEMPLATE).expect("a template")),
        _ => panic!("a format: raw, json, original or template"),
    };
    let mut dice = fastrand::Rng::with_seed(1);
    let values: Vec<Vec<u8>> = (0..RECORDS).map(|offset| value(offset, &mut dice)).collect();
    let partition = TopicPartition::new("access-log", 3);
    let headers = Headers::check(HEADERS).expect("headers in the form of a record");
    let mut lines = Vec::with_capacity(4 << 20);
    for _ in 0..passes {
        lines.clear();
        // As the job does it: the decoder gives each record to a closure that it does not know.
        let mut append = |record: &Record<'_>| {
            black_box(formatter.append(&mut lines, &partition, record));
        };
        let append: &mut dyn FnMut(&Record<'_>) = black_box(&mut append);
        for (offset, value) in (0..).zip(&values) {
            append(&Record {
                timestamp: Some(1_700_000_000_000 + offset),
                headers: Some(headers),
                ..Record::bare(offset, Some(b"key-of-a-record"), Some(value))
            });
        }
        black_box(&lines);
    }
}

fn open(file: &Path) -> LogFile {
    let options = LogFileOptions { job: "bench", sync: false, rotation: Rotation::off() };
    logfile::open(file, &options, &mut RestartMemory::default()).expect("a log file")
}

/// A log file with this many partitions, each at offset 0.
fn with_partitions(file: &Path, count: i32) -> (LogFile, Vec<u32>) {
    let log = open(file);
    let numbers = (0..count).map(|number| {
        let partition = TopicPartition::new("access-log", number);
        log.ledger.resume(&partition, Some(0), &OffsetMetadata::Text(String::new())).expect("a position");
        log.ledger.written(&partition).expect("a number").0
    });
    let numbers = numbers.collect();
    (log, numbers)
}

/// Appends this many bytes, with a change of position for each partition.
fn append(log: &mut LogFile, bytes: &[u8], numbers: &[u32], position: i64) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes);
    let last = Some(Landmark { offset: position - 1, fingerprint: 7 });
    let changes: Vec<PositionChange> =
        numbers.iter().map(|index| PositionChange { index: *index, position, last }).collect();
    log.writer.append(&[Piece { bytes, crc: &crc }], &changes).expect("an append");
    if position % 16 == 0 {
        let checkpoint = log.writer.checkpoint();
        log.settler.settle(checkpoint).expect("a settling");
    }
}

/// A pass appends 64 times.
fn appending(file: &Path, partitions: i32, bytes: usize, passes: usize) {
    let (mut log, numbers) = with_partitions(file, partitions);
    let bytes = vec![b'x'; bytes];
    for position in 1..=64 * passes as i64 {
        append(&mut log, &bytes, &numbers, position);
    }
}

/// A pass opens a log file whose journal has 50 partitions and 100 writes to all of them.
fn opening(file: &Path, passes: usize) {
    let (mut log, numbers) = with_partitions(file, 50);
    for position in 1..=96 {
        append(&mut log, b"a line\n", &numbers, position);
    }
    drop(log);
    let journal: PathBuf = format!("{}.journal", file.display()).into();
    let bytes = std::fs::read(&journal).expect("a journal");
    for _ in 0..passes {
        std::fs::write(&journal, &bytes).expect("the journal as it was");
        black_box(open(file));
    }
}
