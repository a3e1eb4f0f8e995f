//! Each format, for text, null and bytes that are not UTF-8.

mod filter;
mod newline;
mod template;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::text::BASE64_PIECE_BYTES;
use super::{LineFormat, LineFormatter, RecordFilter};
use crate::record::{Headers, Record, TopicPartition};

fn line(format: LineFormat, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    let mut out = Vec::new();
    let record = Record::bare(42, key, value);
    assert!(LineFormatter::new(format).append(&mut out, &TopicPartition::new("t", 3), &record));
    String::from_utf8(out).unwrap()
}

#[test]
fn raw_lines_are_the_value() {
    assert_eq!(line(LineFormat::Raw, Some(b"k"), Some(b"a b")), "a b\n");
    assert_eq!(line(LineFormat::Raw, None, None), "\n");
}

#[test]
fn json_distinguishes_null_text_and_bytes() {
    assert_eq!(
        line(LineFormat::Json, None, Some("\u{1}\"\\/é\n".as_bytes())),
        "{\"topic\":\"t\",\"partition\":3,\"offset\":42,\"key\":null,\
         \"value\":\"\\u0001\\\"\\\\/é\\n\"}\n"
    );
    assert_eq!(
        line(LineFormat::Json, Some(b"\xff"), None),
        "{\"topic\":\"t\",\"partition\":3,\"offset\":42,\"key_base64\":\"/w==\",\"value\":null}\n"
    );
    let long = [0xfe; 2 * BASE64_PIECE_BYTES + 1];
    let encoded = format!("\"value_base64\":\"{}\"}}\n", STANDARD.encode(long));
    assert!(line(LineFormat::Json, None, Some(&long)).ends_with(&encoded));
}

fn json_of(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    assert!(LineFormatter::new(LineFormat::Json).append(&mut out, &TopicPartition::new("t", 3), record));
    String::from_utf8(out).unwrap()
}

#[test]
fn json_shows_timestamps_and_headers_if_present() {
    let of = |timestamp, headers: Option<&'static [u8]>| Record {
        timestamp,
        headers: headers.map(|bytes| Headers::check(bytes).unwrap()),
        ..Record::bare(1, None, None)
    };
    let start = "{\"topic\":\"t\",\"partition\":3,\"offset\":1,\"timestamp\":-1,\"key\":null";
    assert_eq!(json_of(&of(Some(-1), None)), format!("{start},\"value\":null}}\n"));
    assert_eq!(json_of(&of(Some(-1), Some(b"\0"))), format!("{start},\"headers\":[],\"value\":null}}\n"));
    // One name stands twice; the values are a text, null and empty.
    let headers = b"\x06\x02a\x02\"\x02a\x01\x04\xc3\xbc\x00";
    assert_eq!(
        json_of(&of(Some(-1), Some(headers))),
        format!("{start},\"headers\":[[\"a\",\"\\\"\"],[\"a\",null],[\"ü\",\"\"]],\"value\":null}}\n")
    );
    let headers = b"\x04\x02a\x02\xff\x02b\x01";
    assert_eq!(
        json_of(&of(Some(-1), Some(headers))),
        format!("{start},\"headers_base64\":[[\"YQ==\",\"/w==\"],[\"Yg==\",null]],\"value\":null}}\n")
    );
}

/// PHP 8.2 made the expected text: `json_encode` of the decoded array.
#[test]
fn original_lines_are_as_php_encodes_them() {
    assert_eq!(
        line(LineFormat::Original, None, Some("a/é😀\u{7f}".as_bytes())),
        "consumer_message:{\"offset\":42,\"size\":23,\"message\":{\"crc\":495677643,\"magic\":0,\
         \"attr\":0,\"timestamp\":0,\"key\":\"\",\"value\":\"a\\/\\u00e9\\ud83d\\ude00\u{7f}\"}}\n"
    );
    assert!(
        line(LineFormat::Original, Some(b"k"), Some(b"\xfe"))
            .ends_with("\"key\":\"k\",\"value_base64\":\"/g==\"}}\n")
    );
}

#[test]
fn special_characters_are_escaped_by_the_rules_of_each_format() {
    let value = "\u{8}\u{c}\n\r\t\"\\/\u{0}\u{1f} \u{7f}ü";
    let short = r#"\b\f\n\r\t\"\\"#;
    let json = format!("{short}/\\u0000\\u001f \u{7f}ü");
    let php = format!("{short}\\/\\u0000\\u001f \u{7f}\\u00fc");
    let of = |format| line(format, None, Some(value.as_bytes()));
    assert!(of(LineFormat::Json).ends_with(&format!("\"value\":\"{json}\"}}\n")));
    assert!(of(LineFormat::Original).ends_with(&format!("\"value\":\"{php}\"}}}}\n")));
}

/// The message as it was on the wire: protocol guide, "Message sets".
#[test]
fn original_lines_describe_the_message() {
    let of = |timestamp: Option<i64>, append_time| {
        let record = Record { timestamp, append_time, ..Record::bare(7, Some(b"key"), None) };
        let mut out = Vec::new();
        assert!(LineFormatter::new(LineFormat::Original).append(
            &mut out,
            &TopicPartition::new("t", 3),
            &record
        ));
        String::from_utf8(out).unwrap()
    };
    let time = 1_700_000_000_123_i64;
    let cases = [
        (None, false, 17, 0, 0),
        (None, true, 17, 0, 0),
        (Some(time), false, 25, 1, 0),
        (Some(time), true, 25, 1, 8),
    ];
    for (timestamp, append_time, size, magic, attributes) in cases {
        let mut message = vec![magic, attributes];
        message.extend(timestamp.map(i64::to_be_bytes).into_iter().flatten());
        // The key has three bytes, and the value is null.
        message.extend_from_slice(b"\0\0\0\x03key\xff\xff\xff\xff");
        let (crc, shown) = (crc32fast::hash(&message), timestamp.unwrap_or(0));
        let head = format!("\"crc\":{crc},\"magic\":{magic},\"attr\":{attributes},\"timestamp\":{shown}");
        let message = format!("{{{head},\"key\":\"key\",\"value\":\"\"}}");
        assert_eq!(
            of(timestamp, append_time),
            format!("consumer_message:{{\"offset\":7,\"size\":{size},\"message\":{message}}}\n")
        );
    }
}
