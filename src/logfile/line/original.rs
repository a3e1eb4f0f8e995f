//! The format `original`: the line of the PHP system that pandad replaces.

use super::text::{Escape, number, text_or_base64};
use crate::record::Record;

/// What PHP's `json_encode` gives for the message as the PHP client decoded it.
///
/// A record with a timestamp is a message of format 1: brokers sent that client format 1 also for
/// records of format 2. A record without a timestamp is a message of format 0. The CRC-32 covers
/// magic, attributes, timestamp, key and value (Kafka protocol guide, "Message sets"); the size is
/// that of the message without its offset and size fields. A null is an empty string, as in the
/// original. Bytes that are not UTF-8, for which the original lost the record, stand in
/// `key_base64` or `value_base64`.
pub(super) fn append(out: &mut Vec<u8>, record: &Record<'_>) {
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
