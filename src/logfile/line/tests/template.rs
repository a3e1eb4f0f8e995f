//! Each placeholder, for text, null, what a record does not have and bytes that are not UTF-8.

use super::*;
use crate::line_template::LineTemplate;

/// Headers: `a` with `1`, `b` with null, `a` with the byte 255, `c` with `é`.
const HEADERS: &[u8] = b"\x08\x02a\x021\x02b\x01\x02a\x02\xff\x02c\x04\xc3\xa9";

fn filled_bytes(template: &str, record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut formatter = LineFormatter::by_template(LineTemplate::parse(template).unwrap());
    assert!(formatter.append(&mut out, &TopicPartition::new("t", 3), record));
    assert_eq!(out.pop(), Some(b'\n'));
    out
}

fn filled(template: &str, record: &Record<'_>) -> String {
    String::from_utf8(filled_bytes(template, record)).unwrap()
}

/// A record with everything.
fn whole() -> Record<'static> {
    Record {
        timestamp: Some(1_764_115_200_123),
        headers: Headers::check(HEADERS),
        ..Record::bare(42, Some(b"k\"1"), Some("é\t\\".as_bytes()))
    }
}

#[test]
fn each_placeholder_has_its_field() {
    let record = whole();
    for (template, line) in [
        ("{topic}/{partition}@{offset}", "t/3@42"),
        ("{timestamp}", "1764115200123"),
        ("{timestamp:%F %T}", "2025-11-26 00:00:00"),
        ("{timestamp[+08:00]:%FT%T%.3f%:z}", "2025-11-26T08:00:00.123+08:00"),
        ("{key} {value}", "k\"1 é\t\\"),
        ("{key:json} {value:json}", "\"k\\\"1\" \"é\\t\\\\\""),
        ("{headers[c]}", "é"),
        ("{{{{{offset}}}}}", "{{42}}"),
        ("é", "é"),
    ] {
        assert_eq!(filled(template, &record), line, "{template}");
    }
}

#[test]
fn null_and_absent_are_empty_and_null_in_json() {
    let bare = Record::bare(1, None, None);
    let text = "<{timestamp}><{timestamp:%F}><{key}><{headers[a]}><{value}>";
    assert_eq!(filled(text, &bare), "<><><><><>");
    assert_eq!(filled("{key:json} {headers[a]:json} {value:json}", &bare), "null null null");
    // A header that is null, and one that the record does not have.
    assert_eq!(filled("<{headers[b]}>{headers[b]:json} {headers[x]:json}", &whole()), "<>null null");
    let empty = Record { timestamp: Some(-1), ..Record::bare(1, Some(b""), Some(b"")) };
    assert_eq!(filled("{key:json} {value:json} <{value}>", &empty), "\"\" \"\" <>");
    // The producer gave no timestamp.
    assert_eq!(filled("{timestamp}<{timestamp:%F}>", &empty), "-1<>");
}

#[test]
fn bytes_that_are_not_utf_8_stay_or_become_base64() {
    let record =
        Record { headers: Headers::check(HEADERS), ..Record::bare(1, Some(b"\xfe"), Some(b"\xffx")) };
    assert_eq!(filled_bytes("{key}{value}", &record), b"\xfe\xffx");
    assert_eq!(filled("{key:json} {value:json}", &record), r#"{"base64":"/g=="} {"base64":"/3g="}"#);
    // The last header of a name counts.
    assert_eq!(filled_bytes("{headers[a]}", &record), b"\xff");
    assert_eq!(filled("{headers[a]:json}", &record), r#"{"base64":"/w=="}"#);
}

/// One formatter for many records: what is kept of the last second must not show in the next line.
#[test]
fn times_of_many_records_are_their_own() {
    let template = LineTemplate::parse("{timestamp:%S} {timestamp:%S%.3f}").unwrap();
    let mut formatter = LineFormatter::by_template(template);
    let mut out = Vec::new();
    for timestamp in [1_000, 1_999, 2_000, 1_001, -1, 59_123] {
        let record = Record { timestamp: Some(timestamp), ..Record::bare(1, None, None) };
        assert!(formatter.append(&mut out, &TopicPartition::new("t", 3), &record));
    }
    let lines = "01 01.000\n01 01.999\n02 02.000\n01 01.001\n \n59 59.123\n";
    assert_eq!(String::from_utf8(out).unwrap(), lines);
}
