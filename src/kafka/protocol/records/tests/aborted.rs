//! Transactions: records of aborted ones are left out, and all others are delivered.

use super::*;

fn aborted(first_offset: i64, producer: i64) -> Aborted {
    Aborted { first_offset, producer }
}

fn of(producer: i64, from: i64, count: i64) -> Vec<u8> {
    Batch::of(Codec::Lz4, &records(from, count)).transactional(producer).bytes()
}

/// Producer 1 aborts [0, 2), commits [10, 12), aborts [14, 16); producer 2 commits
/// [2, 4), aborts [6, 8); [4, 6) and [8, 10) belong to no transaction.
fn log() -> Vec<Vec<u8>> {
    vec![
        of(1, 0, 2),
        of(2, 2, 1),
        Batch::marker(3, 1, 0).bytes(),
        Batch::of(Codec::None, &records(4, 1)).bytes(),
        Batch::marker(5, 2, 1).bytes(),
        of(2, 6, 1),
        Batch::marker(7, 2, 0).bytes(),
        Batch::of(Codec::Gzip, &records(8, 2)).bytes(),
        of(1, 10, 1),
        Batch::marker(11, 1, 1).bytes(),
        Batch::of(Codec::None, &records(12, 2)).bytes(),
        of(1, 14, 1),
        Batch::marker(15, 1, 0).bytes(),
    ]
}

const LIST: [Aborted; 3] = [
    Aborted { first_offset: 14, producer: 1 },
    Aborted { first_offset: 0, producer: 1 },
    Aborted { first_offset: 6, producer: 2 },
];

#[test]
fn aborted_records_and_markers_are_left_out() {
    let set = log().concat();
    let (seen, done) = read(&set, 0, Some(&LIST));
    assert_eq!(offsets(&seen), [2, 4, 8, 9, 10, 12, 13]);
    assert_eq!(done, Ok(16));
    assert_eq!(offsets(&all(&set, 0)), [0, 1, 2, 4, 6, 8, 9, 10, 12, 13, 14], "read_uncommitted");
    assert_eq!(offsets(&read(&set, 0, Some(&[])).0), [0, 1, 2, 4, 6, 8, 9, 10, 12, 13, 14]);
}

#[test]
fn decoding_from_any_offset_heeds_earlier_markers() {
    let set = log().concat();
    for from in 0..17 {
        let expected: Vec<i64> = [2, 4, 8, 9, 10, 12, 13].into_iter().filter(|one| *one >= from).collect();
        let (seen, done) = read(&set, from, Some(&LIST));
        assert_eq!((offsets(&seen), done), (expected, Ok(from.max(16))), "from {from}");
    }
}

#[test]
fn a_reply_can_be_resumed_after_any_entry() {
    let log = log();
    for cut in 0..=log.len() {
        let (passed, rest) = log.split_at(cut);
        let (mut seen, done) = read(&passed.concat(), 0, Some(&LIST));
        let from = done.unwrap();
        let left = still_aborted(&passed.concat(), &LIST).unwrap();
        let (more, done) = read(&rest.concat(), from, Some(&left));
        seen.extend(more);
        assert_eq!((offsets(&seen), done), (vec![2, 4, 8, 9, 10, 12, 13], Ok(16)), "cut at {cut}");
    }
}

#[test]
fn only_transactional_batches_of_the_producer_are_left_out() {
    let idempotent = Batch { producer: 1, ..Batch::of(Codec::None, &records(2, 1)) }.bytes();
    let set = [of(1, 0, 1), of(3, 1, 1), idempotent].concat();
    assert_eq!(offsets(&read(&set, 0, Some(&[aborted(0, 1)])).0), [1, 2]);
    // Records before the first offset of an aborted transaction are delivered.
    assert_eq!(offsets(&read(&of(1, 0, 3), 0, Some(&[aborted(3, 1)])).0), [0, 1, 2]);
}

#[test]
fn a_marker_emptied_by_compaction_ends_no_transaction() {
    let mut marker = Batch::marker(1, 1, 0);
    (marker.count, marker.records) = (0, Vec::new());
    let set = [of(1, 0, 1), marker.bytes(), of(1, 2, 1)].concat();
    assert_eq!(read(&set, 0, Some(&[aborted(0, 1)])), (vec![], Ok(3)));
}

#[test]
fn a_damaged_marker_is_an_error() {
    let mut marker = Batch::marker(1, 1, 0).bytes();
    let last = marker.len() - 1;
    marker[last] ^= 1;
    let set = [of(1, 0, 1), marker.clone(), of(1, 2, 1)].concat();
    let (seen, done) = read(&set, 2, Some(&[aborted(0, 1)]));
    assert_eq!((seen, done), (vec![], Err(DecodeError { next: 2, why: DecodeErrorKind::Checksum })));
    assert_eq!(
        still_aborted(&marker, &[aborted(0, 1)]),
        Err(DecodeError { next: 0, why: DecodeErrorKind::Checksum })
    );
}
