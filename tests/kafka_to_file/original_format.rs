//! Goal: the `original` line is byte for byte what PHP's json_encode makes of the record.
//! Method: compare with lines that PHP wrote once (tests/vectors), and with the PHP that is
//! installed here, over random payloads.

use crate::support::{all, directory, repository};
use pandad::kafka::protocol::records::{Scratch, decode};
use pandad::logfile::line::{LineFormat, LineFormatter};
use pandad::record::{Record, TopicPartition};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};

/// Messages as Kafka 0.9.0.1 stored them (offset, size and message, from its log
/// file), with key and value: their CRCs are the producer's, checked by the broker.
const STORED: [(&str, Option<&str>, Option<&str>); 4] = [
    ("0000000000000000000000171d8b70cb0000ffffffff00000009612fc3a9f09f98807f", None, Some("a/é😀\u{7f}")),
    ("000000000000000100000011df0465750000000000036b222fffffffff", Some("k\"/"), None),
    ("00000000000000020000000ee38a687600000000000000000000", Some(""), Some("")),
    (
        "0000000000000003000000213eb1fe1a0000000000036b6579000000107b226e223a312c2274223a22c3bc227d",
        Some("key"),
        Some("{\"n\":1,\"t\":\"ü\"}"),
    ),
];

#[derive(Default)]
struct Case {
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    /// The timestamp of a message of format 1.
    timestamp: Option<i64>,
    append_time: bool,
}

impl Case {
    fn line(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        let record = Record {
            timestamp: self.timestamp,
            append_time: self.append_time,
            ..Record::bare(self.offset, key, value)
        };
        assert!(LineFormatter::new(LineFormat::Original).append(
            &mut out,
            &TopicPartition::new("t", 0),
            &record
        ));
        out
    }

    /// The case as tests/tools/original.php reads it.
    fn text(&self) -> String {
        let mut text = self.offset.to_string();
        for bytes in [&self.key, &self.value] {
            text += bytes.as_ref().map_or(" -", |_| " x");
            for byte in bytes.iter().flatten() {
                write!(text, "{byte:02x}").unwrap();
            }
        }
        if let Some(timestamp) = self.timestamp {
            write!(text, " {timestamp} {}", if self.append_time { 8 } else { 0 }).unwrap();
        }
        text
    }

    fn parse(text: &str) -> Case {
        let parts: Vec<&str> = text.split(' ').collect();
        let bytes = |part: &str| part.strip_prefix('x').map(unhex);
        Case {
            offset: parts[0].parse().unwrap(),
            key: bytes(parts[1]),
            value: bytes(parts[2]),
            timestamp: parts.get(3).map(|timestamp| timestamp.parse().unwrap()),
            append_time: parts.get(4) == Some(&"8"),
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// Compares each case's line with PHP's, and the number of lines.
fn compare(cases: &[Case], expected: &[u8]) {
    let mut expected = expected.split_inclusive(|byte| *byte == b'\n');
    for case in cases {
        let (ours, php) = (case.line(), expected.next().expect("a line for each case"));
        let (shown_ours, shown_php) = (String::from_utf8_lossy(&ours), String::from_utf8_lossy(php));
        assert!(ours == php, "case {}\nPHP    {shown_php}pandad {shown_ours}", case.text());
    }
    assert_eq!(expected.next(), None, "more lines than cases");
}

fn has_php() -> bool {
    Command::new("php").arg("--version").output().is_ok_and(|ran| ran.status.success())
}

/// Runs tests/tools/original.php with PHP's own defaults: no php.ini of this machine is read.
fn php(arguments: &[&str], input: Stdio) -> Vec<u8> {
    let mut php = Command::new("php");
    php.arg("-n").arg(repository("tests/tools/original.php")).args(arguments).stdin(input);
    let ran = php.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// PHP's lines for these cases.
fn ask_php(cases: &[Case]) -> Vec<u8> {
    let dir = directory("original");
    let path = dir.join("cases");
    let text: String = cases.iter().map(|case| case.text() + "\n").collect();
    std::fs::write(&path, text).unwrap();
    let said = php(&[], Stdio::from(File::open(&path).unwrap()));
    std::fs::remove_dir_all(&dir).unwrap();
    said
}

/// A code point of any of UTF-8's four lengths. Characters that JSON escapes come more often.
fn random_char(dice: &mut fastrand::Rng) -> char {
    const SPECIAL: &str = "\"\\/\0\u{8}\t\n\u{c}\r\u{1f} \u{7f}\u{80}\u{7ff}\u{800}\u{2028}\u{2029}\u{d7ff}\
                           \u{e000}\u{feff}\u{fffd}\u{ffff}\u{10000}\u{10ffff}'<>&";
    match dice.u8(..8) {
        0 | 1 => char::from(dice.u8(..0x80)),
        2 => dice.char('\u{80}'..='\u{7ff}'),
        3 => dice.char('\u{800}'..='\u{ffff}'),
        4 => dice.char('\u{10000}'..=char::MAX),
        5 => SPECIAL.chars().nth(dice.usize(..SPECIAL.chars().count())).unwrap(),
        _ => dice.alphanumeric(),
    }
}

fn random_text(dice: &mut fastrand::Rng, longest: usize) -> Option<Vec<u8>> {
    if dice.u8(..10) == 0 {
        return None;
    }
    let length = dice.usize(..=longest);
    let text: String = std::iter::repeat_with(|| random_char(dice)).take(length).collect();
    Some(text.into_bytes())
}

#[test]
fn original_equals_recorded_php() {
    let text = std::fs::read_to_string(repository("tests/vectors/original.txt")).unwrap();
    let (mut cases, mut lines) = (Vec::new(), Vec::new());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number % 2 == 0 {
            cases.push(Case::parse(line.trim_end()));
        } else {
            lines.extend_from_slice(line.as_bytes());
        }
    }
    assert!(cases.len() > 150, "only {} vectors", cases.len());
    compare(&cases, &lines);
}

#[test]
fn original_shows_stored_size_and_crc() {
    for (offset, (stored, key, value)) in STORED.iter().enumerate() {
        let stored = unhex(stored);
        let number = |from: usize| u32::from_be_bytes(stored[from..from + 4].try_into().unwrap());
        let bytes = |text: &Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let line =
            Case { offset: offset as i64, key: bytes(key), value: bytes(value), ..Case::default() }.line();
        let start = format!(
            "consumer_message:{{\"offset\":{offset},\"size\":{},\"message\":{{\"crc\":{},\"magic\":0,",
            number(8),
            number(12)
        );
        assert!(line.starts_with(start.as_bytes()), "{start}\n{}", String::from_utf8_lossy(&line));
    }
}

/// The lines of a record set.
fn lines(set: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let read = decode(set, 0, None, &mut Scratch::default(), &mut |record| {
        let mut out = Vec::new();
        assert!(LineFormatter::new(LineFormat::Original).append(
            &mut out,
            &TopicPartition::new("t", 0),
            record
        ));
        lines.push(String::from_utf8(out).unwrap());
        ControlFlow::Continue(())
    });
    assert!(read.is_ok(), "{read:?}");
    lines
}

/// The beginnings of the lines of a set whose messages are not compressed, from the bytes alone.
fn beginnings(mut set: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(head) = set.get(..26) {
        let number = |from: usize| u32::from_be_bytes(head[from..from + 4].try_into().unwrap());
        let long = |from: usize| i64::from_be_bytes(head[from..from + 8].try_into().unwrap());
        let timestamp = if head[16] == 0 { 0 } else { long(18) };
        found.push(format!(
            "consumer_message:{{\"offset\":{},\"size\":{},\"message\":{{\"crc\":{},\"magic\":{},\"attr\":{},\
             \"timestamp\":{timestamp},",
            long(0),
            number(8),
            number(12),
            head[16],
            head[17],
        ));
        set = &set[12 + number(8) as usize..];
    }
    found
}

/// Sets as brokers from 0.9 to 3.9 sent them; those named "-converted" are of format 2 on
/// the disk and were asked for as the PHP client does.
#[test]
fn original_shows_every_message_format() {
    let text = std::fs::read_to_string(repository("tests/vectors/record_sets.txt")).unwrap();
    let sets: HashMap<&str, Vec<u8>> = text
        .lines()
        .filter_map(|line| Some((line.split(' ').next()?, unhex(line.rsplit(' ').next()?))))
        .collect();
    let mut formats = [0; 3];
    for (name, sent) in &sets {
        // Plain messages: no codec in their attributes.
        if sent[16] > 1 || sent[17] & 7 != 0 {
            continue;
        }
        let stored = &sets[name.trim_end_matches("-converted")];
        formats[usize::from(stored[16])] += 1;
        let (lines, beginnings) = (lines(stored), beginnings(sent));
        assert_eq!(lines.len(), beginnings.len(), "{name}");
        for (line, beginning) in lines.iter().zip(&beginnings) {
            assert!(line.starts_with(beginning), "{name}\n{beginning}\n{line}");
        }
    }
    assert!(formats.iter().all(|count| *count > 1), "{formats:?}");
}

#[test]
fn original_equals_live_php() {
    if !has_php() {
        println!("NO PHP HERE: the original line format was compared with the recorded lines only");
        return;
    }
    let recorded = std::fs::read(repository("tests/vectors/original.txt")).unwrap();
    assert!(
        php(&["vectors"], Stdio::null()) == recorded,
        "this PHP writes other lines than the recorded ones"
    );

    let seed = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    let count = if all() { 20_000 } else { 4_000 };
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut cases = Vec::new();
    for number in 0..count {
        // The payloads are mostly short; some are longer than the first size of any buffer.
        let longest = match number % 1000 {
            0 => 300_000,
            1..20 => 20_000,
            _ => 60,
        };
        let (key, value) = (random_text(&mut dice, 20), random_text(&mut dice, longest));
        let timestamp = dice.bool().then(|| dice.i64(..));
        let append_time = timestamp.is_some() && dice.bool();
        cases.push(Case { offset: dice.i64(0..), key, value, timestamp, append_time });
    }
    println!("{count} random records against PHP, PANDAD_TEST_SEED={seed}");
    compare(&cases, &ask_php(&cases));
}

/// Where PHP writes nothing and loses the record, pandad writes the bytes as base64.
#[test]
fn original_keeps_bytes_that_php_lost() {
    let bad: [&[u8]; 6] =
        [b"\xff", b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80"];
    let case = |value: &&[u8]| Case { offset: 7, value: Some(value.to_vec()), ..Case::default() };
    let cases: Vec<Case> = bad.iter().map(case).collect();
    for case in &cases {
        let line = String::from_utf8(case.line()).unwrap();
        assert!(line.contains(",\"key\":\"\",\"value_base64\":\""), "{line}");
    }
    if has_php() {
        assert_eq!(ask_php(&cases), b"consumer_message:\n".repeat(bad.len()));
    } else {
        println!("NO PHP HERE: what it makes of such bytes was not compared");
    }
}
