//! The format `json`: one JSON object with everything that is known of the record.

use super::text::{Escape, base64, number, string, text_of, text_or_base64};
use crate::record::{Headers, Record, TopicPartition};

/// `{"topic","partition","offset","timestamp","key","headers","value"}`. Fields that the message format
/// does not have, or the client library does not give, are left out.
pub(super) fn append(out: &mut Vec<u8>, partition: &TopicPartition, record: &Record<'_>) {
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
