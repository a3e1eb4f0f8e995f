//! How the worker makes one reply into lines, and what it says of a reply that it cannot read to the end.

use super::*;
use crate::jobs::kafka_to_file::formatter::{Formatter, REPLY_LINES_BYTES_MAX};
use crate::kafka::RecordSet;
use crate::logfile::line::{LineFormat, LineFormatter};
use crate::pipeline::Worker;

/// The outcome of a reply of these messages, which was to reach from offset 5 to `next`.
fn formatted(messages: &[Vec<u8>], next: i64) -> FormattedBatch {
    let set = messages.concat();
    let fetched = Fetched {
        partition: partition(),
        from: 5,
        base: 5,
        next,
        assignment: 3,
        lag: 0,
        broker: None,
        epochs: Vec::new(),
        last: None,
        bytes: set.len() as u64,
        payload: Payload::RecordSet(RecordSet::for_test(&set)),
    };
    let (batch, bytes) = Formatter::new(LineFormatter::new(LineFormat::Raw), BufferPool::new(1), false)
        .work(&fetched)
        .unwrap();
    assert_eq!((batch.from, batch.assignment, bytes), (5, 3, batch.lines.len() as u64));
    assert_eq!(batch.crc.clone().finalize(), crc32fast::hash(&batch.lines));
    batch
}

#[test]
fn each_record_is_a_line() {
    let batch = formatted(
        &[
            RecordSet::message_for_test(5, b"one"),
            RecordSet::message_for_test(6, b"two"),
            RecordSet::message_for_test(8, b"three"),
        ],
        9,
    );
    assert_eq!((batch.lines.as_slice(), batch.records), (b"one\ntwo\nthree\n".as_slice(), 3));
    assert_eq!((batch.next, batch.truncated), (9, None));
    assert_eq!(batch.last.map(|last| last.offset), Some(8));
}

/// What follows is fetched again from the end of what was read, and not taken for empty.
#[test]
fn a_reply_that_ends_early_is_broken() {
    let batch =
        formatted(&[RecordSet::message_for_test(5, b"one"), RecordSet::message_for_test(6, b"two")], 9);
    assert_eq!((batch.lines.as_slice(), batch.next), (b"one\ntwo\n".as_slice(), 7));
    let why = "its records end at offset 7, not at 9".to_owned();
    assert_eq!(batch.truncated, Some(Truncated::Broken(UnreadableBatch { why, end: Some(9) })));
}

#[test]
fn records_before_a_damaged_one_are_lines() {
    let mut damaged = RecordSet::message_for_test(6, b"two");
    *damaged.last_mut().unwrap() ^= 1;
    let batch = formatted(
        &[RecordSet::message_for_test(5, b"one"), damaged, RecordSet::message_for_test(7, b"three")],
        8,
    );
    assert_eq!((batch.lines.as_slice(), batch.next, batch.records), (b"one\n".as_slice(), 6, 1));
    assert!(matches!(batch.truncated, Some(Truncated::Broken(UnreadableBatch { end: Some(7), .. }))));
}

/// A reply may expand to a thousand times its size: the lines of one have a limit.
#[test]
fn a_reply_with_too_many_lines_is_read_in_parts() {
    let long = vec![b'x'; REPLY_LINES_BYTES_MAX - 4];
    let batch = formatted(
        &[
            RecordSet::message_for_test(5, b"one"),
            RecordSet::message_for_test(6, &long),
            RecordSet::message_for_test(7, b"three"),
        ],
        8,
    );
    assert_eq!((batch.lines.len(), batch.next, batch.records), (REPLY_LINES_BYTES_MAX + 1, 7, 2));
    assert_eq!(batch.truncated, Some(Truncated::Full));
}
