//! The line formats: how one record becomes one line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::record::{Headers, Record, TopicPartition};

/// A multiple of three, so that no padding is between two pieces.
const BASE64_PIECE_BYTES: usize = 3 << 10;

/// How a record is written as a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// The value as it is. A null value gives an empty line. A newline inside a value is kept.
    Raw,
    /// One JSON object with everything that is known of the record.
    Json,
    /// The line of the PHP system that pandad replaces.
    Original,
}

impl LineFormat {
    /// Appends the record's line, newline included.
    pub fn append(self, out: &mut Vec<u8>, partition: &TopicPartition, record: &Record<'_>) {
        match self {
            LineFormat::Raw => out.extend_from_slice(record.value.unwrap_or_default()),
            LineFormat::Json => json(out, partition, record),
            LineFormat::Original => original(out, record),
        }
        out.push(b'\n');
    }
}

/// `{"topic","partition","offset","timestamp","key","headers","value"}`. Fields that the message format
/// does not have, or the client library does not give, are left out.
fn json(out: &mut Vec<u8>, partition: &TopicPartition, record: &Record<'_>) {
    out.extend_from_slice(b"{\"topic\":");
    string(out, &partition.topic, Escape::Json);
    out.extend_from_slice(b",\"partition\":");
    number(out, i64::from(partition.partition));
    out.extend_from_slice(b",\"offset\":");
    number(out, record.offset);
    if let Some(timestamp) = record.timestamp {
        out.extend_from_slice(b",\"timestamp\":");
        number(out, timestamp);
    }
    json_bytes(out, "key", record.key);
    if let Some(headers) = &record.headers {
        json_headers(out, headers);
    }
    json_bytes(out, "value", record.value);
    out.push(b'}');
}

/// `,"name":"text"`, `,"name":null`, or `,"name_base64":"…"` for bytes that are not UTF-8.
fn json_bytes(out: &mut Vec<u8>, name: &str, bytes: Option<&[u8]>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    match bytes {
        None => out.extend_from_slice(b"\":null"),
        Some(bytes) => text_or_base64(out, bytes, Escape::Json),
    }
}

/// `,"headers":[["name","value"],…]`; a null value is `null`. If any name or value is not UTF-8,
/// all of them go into `headers_base64`, so that each pair has one form only.
fn json_headers(out: &mut Vec<u8>, headers: &Headers<'_>) {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let is_text = headers.iter().all(|(name, value)| text(name) && value.is_none_or(text));
    out.extend_from_slice(if is_text { b",\"headers\":[" } else { b",\"headers_base64\":[" });
    for (at, (name, value)) in headers.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"[" } else { b",[" });
        for (at, bytes) in [Some(name), value].into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match bytes {
                None => out.extend_from_slice(b"null"),
                Some(bytes) if is_text => text_of(out, bytes),
                Some(bytes) => base64(out, bytes),
            }
        }
        out.push(b']');
    }
    out.push(b']');
}

/// What PHP's `json_encode` gives for the message as the PHP client decoded it.
///
/// A record with a timestamp is a message of format 1: brokers sent that client format 1 also for
/// records of format 2. A record without a timestamp is a message of format 0. The CRC-32 covers
/// magic, attributes, timestamp, key and value (Kafka protocol guide, "Message sets"); the size is
/// that of the message without its offset and size fields. A null is an empty string, as in the
/// original. Bytes that are not UTF-8, for which the original lost the record, stand in
/// `key_base64` or `value_base64`.
fn original(out: &mut Vec<u8>, record: &Record<'_>) {
    let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
    let timestamped = record.timestamp.is_some();
    // The only attribute says who set the timestamp: a single message is not compressed.
    let attributes = if timestamped && record.append_time { 8 } else { 0 };
    out.extend_from_slice(b"consumer_message:{\"offset\":");
    number(out, record.offset);
    out.extend_from_slice(b",\"size\":");
    number(out, (if timestamped { 22 } else { 14 } + key.len() + value.len()) as i64);
    out.extend_from_slice(b",\"message\":{\"crc\":");
    number(out, i64::from(message_crc(record, attributes)));
    out.extend_from_slice(b",\"magic\":");
    number(out, i64::from(timestamped));
    out.extend_from_slice(b",\"attr\":");
    number(out, i64::from(attributes));
    out.extend_from_slice(b",\"timestamp\":");
    number(out, record.timestamp.unwrap_or(0));
    out.extend_from_slice(b",\"key");
    text_or_base64(out, key, Escape::Php);
    out.extend_from_slice(b",\"value");
    text_or_base64(out, value, Escape::Php);
    out.extend_from_slice(b"}}");
}

fn message_crc(record: &Record<'_>, attributes: u8) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[u8::from(record.timestamp.is_some()), attributes]);
    if let Some(timestamp) = record.timestamp {
        hasher.update(&timestamp.to_be_bytes());
    }
    for field in [record.key, record.value] {
        // On the wire a length fits into an i32; -1 is null.
        let length = field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        hasher.update(&length.to_be_bytes());
        hasher.update(field.unwrap_or_default());
    }
    hasher.finalize()
}

/// Completes a name whose quotation mark is still open: `":"text"` or `_base64":"…"`.
fn text_or_base64(out: &mut Vec<u8>, bytes: &[u8], escape: Escape) {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            out.extend_from_slice(b"\":");
            string(out, text, escape);
        }
        Err(_) => {
            out.extend_from_slice(b"_base64\":");
            base64(out, bytes);
        }
    }
}

/// A JSON string. Bytes that are not UTF-8 are replaced.
fn text_of(out: &mut Vec<u8>, bytes: &[u8]) {
    string(out, &String::from_utf8_lossy(bytes), Escape::Json);
}

/// In pieces, so that no second copy of a large value is in memory.
fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for piece in bytes.chunks(BASE64_PIECE_BYTES) {
        out.extend_from_slice(STANDARD.encode(piece).as_bytes());
    }
    out.push(b'"');
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// Only the escapes that RFC 8259 requires.
    Json,
    /// The default escapes of PHP, which include `\/`, and `\uXXXX` for all that is not ASCII.
    Php,
}

fn string(out: &mut Vec<u8>, text: &str, escape: Escape) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| needs_escape(byte, escape)) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = from.chars();
        if let Some(special) = chars.next() {
            escaped(out, special);
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

fn needs_escape(byte: u8, escape: Escape) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20) || escape == Escape::Php && (byte == b'/' || byte >= 0x80)
}

fn escaped(out: &mut Vec<u8>, special: char) {
    let short = match special {
        '"' => b'"',
        '\\' => b'\\',
        '/' => b'/',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => {
            for unit in special.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Decimal digits, without an allocation.
fn number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LineFormat, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let mut out = Vec::new();
        let record = Record::bare(42, key, value);
        format.append(&mut out, &TopicPartition::new("t", 3), &record);
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
        LineFormat::Json.append(&mut out, &TopicPartition::new("t", 3), record);
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
}
