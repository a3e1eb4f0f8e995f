//! Escaped newlines: a record is one line, and the bytes come back.

use proptest::prelude::*;

use super::*;
use crate::line_template::LineTemplate;

fn escaped(formatter: LineFormatter, record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut formatter = formatter.escaping_newlines();
    assert!(formatter.append(&mut out, &TopicPartition::new("t", 3), record));
    assert_eq!(out.pop(), Some(b'\n'));
    out
}

fn raw() -> LineFormatter {
    LineFormatter::new(LineFormat::Raw)
}

fn template(text: &str) -> LineFormatter {
    LineFormatter::by_template(LineTemplate::parse(text).unwrap())
}

/// As docs/formats.md says it: the character behind a backslash stands for what it names.
fn undone(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, if *byte == b'\\' { bytes.next() } else { None }) {
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'\\')) => b'\\',
            (b'\\', other) => panic!("\\ and {other:?} in {line:?}"),
            (plain, _) => *plain,
        });
    }
    out
}

#[test]
fn only_what_comes_from_a_record_is_escaped() {
    let headers = Headers::check(b"\x02\x02a\x04x\n");
    let record = Record { headers, ..Record::bare(1, Some(b"\r\\n"), Some(b"a\nb\\")) };
    assert_eq!(escaped(raw(), &record), br"a\nb\\");
    assert_eq!(escaped(template(r"\{key}\{value}{headers[a]}"), &record), br"\\r\\n\a\nb\\x\n");
    // A JSON string has escapes of its own.
    assert_eq!(escaped(template("{value:json}"), &record), br#""a\nb\\""#);
    assert_eq!(escaped(LineFormatter::new(LineFormat::Json), &record), {
        let mut kept = Vec::new();
        let at = TopicPartition::new("t", 3);
        assert!(LineFormatter::new(LineFormat::Json).append(&mut kept, &at, &record));
        kept.pop();
        kept
    });
    assert_eq!(escaped(raw(), &Record::bare(1, None, None)), b"");
}

proptest! {
    #[test]
    fn a_record_is_one_line_and_comes_back(
        value in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'\\'), Just(b'n'), any::<u8>()],
            0..40,
        )
    ) {
        for formatter in [raw(), template("{value}")] {
            let line = escaped(formatter, &Record::bare(1, None, Some(&value)));
            prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "{:?}", line);
            prop_assert_eq!(undone(&line), value.clone());
        }
    }
}
