//! Which records have a line.

use super::*;
use crate::pattern::{HeaderPattern, Pattern};

/// Headers: `a` with `1`, `b` with null, `a` with the byte 255.
const HEADERS: &[u8] = b"\x06\x02a\x021\x02b\x01\x02a\x02\xff";

fn has_line(filter: &RecordFilter, record: &Record<'_>) -> bool {
    let mut out = Vec::new();
    let mut formatter = LineFormatter::new(LineFormat::Raw).filtered(filter.clone());
    let is_kept = formatter.append(&mut out, &TopicPartition::new("t", 3), record);
    assert_eq!(out.is_empty(), !is_kept, "a filtered record leaves no bytes, and another one a newline");
    is_kept
}

fn pattern(text: &str) -> Option<Pattern> {
    Some(Pattern::new(text).unwrap())
}

fn header(name: &str, text: &str) -> Option<HeaderPattern> {
    Some(HeaderPattern { name: name.to_owned(), value: Pattern::new(text).unwrap() })
}

#[test]
fn the_whole_key_decides() {
    let include = RecordFilter { include_key: pattern("user-[0-9]+"), ..RecordFilter::default() };
    let exclude = RecordFilter { exclude_key: pattern("user-[0-9]+"), ..RecordFilter::default() };
    for (key, matches) in [
        (Some("user-17"), true),
        (Some("user-17x"), false),
        (Some("a user-17"), false),
        (Some(""), false),
        // A key that is null matches no pattern.
        (None, false),
    ] {
        let record = Record::bare(1, key.map(str::as_bytes), Some(b"v"));
        assert_eq!(has_line(&include, &record), matches, "{key:?}");
        assert_eq!(has_line(&exclude, &record), !matches, "{key:?}");
    }
    let any = RecordFilter { include_key: pattern(".*"), ..RecordFilter::default() };
    assert!(has_line(&any, &Record::bare(1, Some(b"\xff"), None)), "bytes that are not UTF-8 are characters");
    assert!(!has_line(&any, &Record::bare(1, None, None)));
}

#[test]
fn one_of_the_headers_of_a_name_decides() {
    let with = |headers| Record { headers: Headers::check(headers), ..Record::bare(1, None, Some(b"v")) };
    let none = Record::bare(1, None, Some(b"v"));
    for (name, text, matches) in [
        ("a", "1", true),
        ("a", "\u{fffd}", true),
        ("a", "", false),
        ("b", ".*", false),
        ("1", "a", false),
        ("c", ".*", false),
    ] {
        let include = RecordFilter { include_header: header(name, text), ..RecordFilter::default() };
        let exclude = RecordFilter { exclude_header: header(name, text), ..RecordFilter::default() };
        assert_eq!(has_line(&include, &with(HEADERS)), matches, "{name} {text}");
        assert_eq!(has_line(&exclude, &with(HEADERS)), !matches, "{name} {text}");
        for record in [&with(b"\0"), &none] {
            assert!(!has_line(&include, record) && has_line(&exclude, record), "{name} {text}");
        }
    }
}

#[test]
fn only_null_is_a_tombstone() {
    let drop = RecordFilter { drops_tombstones: true, ..RecordFilter::default() };
    assert!(!has_line(&drop, &Record::bare(1, Some(b"k"), None)));
    assert!(has_line(&drop, &Record::bare(1, Some(b"k"), Some(b""))));
    assert!(has_line(&RecordFilter::default(), &Record::bare(1, Some(b"k"), None)));
}

#[test]
fn every_rule_must_let_a_record_pass() {
    let filter = RecordFilter {
        include_key: pattern("a.*"),
        exclude_key: pattern("ab.*"),
        include_header: header("a", "1"),
        exclude_header: header("b", "x"),
        drops_tombstones: true,
    };
    let record = |key, value| Record { headers: Headers::check(HEADERS), ..Record::bare(1, key, value) };
    let value = Some(b"v".as_slice());
    assert!(has_line(&filter, &record(Some(b"ac"), value)));
    assert!(!has_line(&filter, &record(Some(b"b"), value)));
    assert!(!has_line(&filter, &record(Some(b"abc"), value)));
    assert!(!has_line(&filter, &record(Some(b"ac"), None)));
    assert!(!has_line(&filter, &Record { headers: None, ..record(Some(b"ac"), value) }));
}
