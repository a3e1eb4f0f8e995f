//! Record sets made by hand, in every format and with every codec.

use super::*;

/// The same records in each format, compressed with each codec.
fn every_form(mut check: impl FnMut(u8, Codec)) {
    for magic in [0, 1, 2] {
        for codec in CODECS {
            if codec != Codec::Lz4Old || magic == 0 {
                check(magic, codec);
            }
        }
    }
}

#[test]
fn records_are_read_as_they_were_stored() {
    let mut records = records(1000, 50);
    records.push(record(1050, None, Some("")));
    records.push(record(1051, Some(""), None));
    every_form(|magic, codec| {
        let expected: Vec<Seen> = records.iter().map(|one| in_format(magic, one)).collect();
        assert_eq!(all(&stored(magic, codec, &records), 1000), expected, "format {magic}, {codec:?}");
    });
}

#[test]
fn one_set_holds_every_format_and_codec() {
    let (mut set, mut expected) = (Vec::new(), Vec::new());
    let mut next = 40;
    every_form(|magic, codec| {
        let records = records(next, 7);
        next += 7;
        set.extend(stored(magic, codec, &records));
        expected.extend(records.iter().map(|one| in_format(magic, one)));
    });
    assert_eq!(all(&set, 0), expected);
    assert_eq!(span(&set, 0).unwrap(), Span { next, base: 0, bytes: set.len(), entries: 34, cut: None });
}

/// The checksum of a batch does not cover its offset.
#[test]
fn a_batch_beyond_the_end_of_the_log_is_damaged() {
    let (good, mut bad) = (stored(2, Codec::None, &records(0, 7)), stored(2, Codec::None, &records(7, 3)));
    assert_eq!(span_below(&[good.clone(), bad.clone()].concat(), 0, 10).unwrap().next, 10);
    bad[..3].copy_from_slice(b"XXX");
    let set = [good.clone(), bad.clone()].concat();
    let expected = Span { next: 7, base: 0, bytes: good.len(), entries: 1, cut: None };
    assert_eq!(span_below(&set, 0, 10), Ok(expected));
    let broken = span_below(&bad, 7, 10).unwrap_err();
    assert_eq!(broken.next, 7);
    assert!(broken.to_string().contains("beyond the end of the log"), "{broken}");
}

#[test]
fn records_below_the_requested_offset_are_left_out() {
    every_form(|magic, codec| {
        let records = records(10, 20);
        let set = [stored(magic, codec, &records[..15]), stored(magic, codec, &records[15..])].concat();
        for from in 0..32 {
            let seen = all(&set, from);
            assert_eq!(offsets(&seen), (from.max(10)..30).collect::<Vec<_>>(), "format {magic}, {codec:?}");
            assert_eq!(span(&set, from).unwrap().next, from.max(30));
        }
    });
}

#[test]
fn a_truncated_last_entry_is_no_error() {
    every_form(|magic, codec| {
        let first = stored(magic, codec, &records(5, 3));
        let second = stored(magic, codec, &records(8, 1));
        for cut in 0..second.len() {
            let set = [&first, &second[..cut]].concat();
            assert_eq!(offsets(&all(&set, 5)), [5, 6, 7], "format {magic}, {codec:?}, {cut}");
        }
        for cut in 0..second.len() {
            let says = (cut >= 12).then_some(second.len());
            let expected = Span { next: 8, base: 8, bytes: 0, entries: 0, cut: says };
            assert_eq!(span(&second[..cut], 8), Ok(expected));
            assert_eq!(read(&second[..cut], 8, None), (vec![], Ok(8)));
        }
    });
}

/// A broker sends a stub in place of a batch that it cannot convert to an older format.
#[test]
fn a_stub_larger_than_the_set_is_a_truncated_entry() {
    let mut stub = (-1i64).to_be_bytes().to_vec();
    stub.extend(1_000_000i32.to_be_bytes());
    stub.extend([0; 20]);
    assert_eq!(span(&stub, 3).unwrap().cut, Some(1_000_012));
    assert_eq!(read(&stub, 3, None), (vec![], Ok(3)));
    // The shortest stub has only offset and size, and the size is that of the rest of the set.
    stub.truncate(12);
    stub[8..].copy_from_slice(&12i32.to_be_bytes());
    assert_eq!(read(&[stored(2, Codec::None, &records(3, 1)), stub].concat(), 3, None).1, Ok(4));
}

#[test]
fn offsets_removed_by_compaction_are_skipped() {
    // Compaction removed records from the middle and from the end of a batch.
    let mut kept = records(100, 10);
    kept.retain(|one| one.offset % 3 == 0);
    let mut batch = Batch::of(Codec::Gzip, &kept);
    (batch.base, batch.last_delta) = (100, 19);
    let first_timestamp = batch.first_timestamp;
    batch.records = kept.iter().flat_map(|one| in_batch(100, first_timestamp, one)).collect();
    assert_eq!(offsets(&all(&batch.bytes(), 100)), [102, 105, 108]);
    assert_eq!(read(&batch.bytes(), 109, None), (vec![], Ok(120)));
    // Compaction removed all records of a batch.
    let mut empty = Batch::of(Codec::None, &[]);
    (empty.base, empty.last_delta) = (120, 7);
    let set = [batch.bytes(), empty.bytes()].concat();
    assert_eq!(read(&set, 115, None), (vec![], Ok(128)));
    // Compaction removed records of a wrapper: its offset is that of the last record that is left.
    let set = wrapper(1, Codec::Gzip, 0, 0, &kept);
    assert_eq!(offsets(&all(&set, 0)), [102, 105, 108]);
    assert_eq!(read(&set, 109, None), (vec![], Ok(109)));
}

#[test]
fn log_append_time_replaces_the_record_timestamps() {
    let records = records(5, 3);
    let stamped = |magic: u8| -> Vec<Seen> {
        let one = |one: &Seen| Seen { timestamp: Some(77), append_time: true, ..in_format(magic, one) };
        records.iter().map(one).collect()
    };
    assert_eq!(all(&wrapper(1, Codec::Xerial(32), 8, 77, &records), 0), stamped(1));
    let mut batch = Batch::of(Codec::Zstd, &records);
    batch.attributes |= 8;
    batch.max_timestamp = 77;
    assert_eq!(all(&batch.bytes(), 0), stamped(2));
    let plain = message(1, 8, 5, 77, Some(b"k"), None);
    assert_eq!(all(&plain, 0)[0].timestamp, Some(77));
    assert!(all(&plain, 0)[0].append_time);
    // Format 0 has no timestamp; the attribute bit means nothing there.
    let plain = message(0, 8, 5, 0, Some(b"k"), None);
    assert!(!all(&plain, 0)[0].append_time);
}

#[test]
fn headers_keep_their_order_and_repeated_names() {
    let headers = vec![
        (b"trace".to_vec(), Some(b"1".to_vec())),
        (b"trace".to_vec(), None),
        (b"\xff".to_vec(), Some(Vec::new())),
    ];
    let records = [Seen { headers: Some(headers), ..record(9, None, Some("x")) }];
    for codec in CODECS {
        if codec != Codec::Lz4Old {
            assert_eq!(all(&Batch::of(codec, &records).bytes(), 0), records);
        }
    }
}

#[test]
fn decoding_stops_at_the_callers_limit_and_resumes_there() {
    every_form(|magic, codec| {
        let set = [stored(magic, codec, &records(10, 9)), stored(magic, codec, &records(19, 9))].concat();
        let mut scratch = Scratch::default();
        let (mut from, mut seen) = (10, Vec::new());
        for turn in 0.. {
            let mut room = 1 + turn % 4;
            let before = from;
            from = decode(&set, from, None, &mut scratch, &mut |record| {
                seen.push(record.offset);
                room -= 1;
                if room == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
            assert_eq!(from, seen.last().unwrap() + 1);
            if from == 28 {
                break;
            }
            assert!(from > before);
        }
        assert_eq!(seen, (10..28).collect::<Vec<_>>(), "format {magic}, {codec:?}");
    });
}

#[test]
fn no_record_of_a_damaged_entry_is_delivered() {
    every_form(|magic, codec| {
        let good = stored(magic, codec, &records(10, 3));
        let bad = stored(magic, codec, &records(13, 1));
        let checked = if magic == 2 { 21 } else { 16 };
        for at in checked..bad.len() {
            // A changed format number is a fault of another kind.
            if magic < 2 && at == 16 {
                continue;
            }
            let mut set = [good.clone(), bad.clone()].concat();
            set[good.len() + at] ^= 0x40;
            let (seen, done) = read(&set, 10, None);
            assert_eq!(offsets(&seen), [10, 11, 12], "format {magic}, {codec:?}, byte {at}");
            let broken = done.unwrap_err();
            assert_eq!(broken.next, 13);
            let negative = DecodeErrorKind::Malformed("a batch ends before it begins");
            assert!(broken.why == DecodeErrorKind::Checksum || broken.why == negative, "{broken}");
        }
    });
}

/// The error that decoding gives, and the offset at which to go on after it.
fn broken(set: &[u8]) -> (i64, String) {
    let broken = read(set, 0, None).1.unwrap_err();
    (broken.next, broken.why.to_string())
}

#[test]
fn decode_errors_are_explained_in_words() {
    let mut unknown = stored(2, Codec::None, &records(0, 1));
    unknown[16] = 3;
    assert_eq!(broken(&unknown), (0, "message format 3 is not supported".to_owned()));
    assert_eq!(span(&unknown, 4), Err(DecodeError { next: 4, why: DecodeErrorKind::Format(3) }));
    for codec in 5..8 {
        let mut batch = Batch::of(Codec::None, &records(0, 3));
        batch.attributes = i16::from(codec);
        assert_eq!(
            read(&batch.bytes(), 1, None),
            (vec![], Err(DecodeError { next: 1, why: DecodeErrorKind::Codec { codec, last: 2 } }))
        );
        for magic in 0..2 {
            let mut set = stored(magic, Codec::None, &records(0, 2));
            set.extend(message(magic, codec, 7, 0, None, Some(b"packed")));
            let (seen, ended) = read(&set, 0, None);
            assert_eq!(
                (seen.len(), ended),
                (2, Err(DecodeError { next: 2, why: DecodeErrorKind::Codec { codec, last: 7 } }))
            );
        }
    }
    let mut batch = Batch::of(Codec::None, &records(0, 1));
    batch.attributes = 6;
    let said = "compression codec 6 is not supported; a version of pandad that supports it resumes \
                 there, this one once Kafka has deleted the records below offset 1";
    assert_eq!(broken(&batch.bytes()), (0, said.to_owned()));
    let mut small = stored(2, Codec::None, &records(0, 1));
    small[8..12].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(broken(&small).1, "an entry is smaller than its header");
    let mut batch = Batch::of(Codec::Gzip, &records(0, 3));
    batch.count = 4;
    assert_eq!(broken(&batch.bytes()), (3, "a batch has fewer records than it says".to_owned()));
    batch.count = 2;
    assert_eq!(broken(&batch.bytes()), (2, "a batch has more bytes than records".to_owned()));
    let nested = wrapper(1, Codec::Gzip, 0, 0, &records(0, 2));
    let packed = Codec::Gzip.compress(&nested);
    assert_eq!(broken(&message(1, 1, 1, 0, None, Some(&packed))).1, "a wrapper is in a wrapper");
    let packed = Codec::Gzip.compress(&messages(0, &records(0, 2)));
    let other = message(1, 1, 1, 0, None, Some(&packed));
    assert_eq!(broken(&other).1, "a message is of another format than its wrapper");
    assert_eq!(broken(&message(1, 1, 1, 0, None, None)).1, "a wrapper is empty");
}

#[test]
fn offsets_that_do_not_ascend_are_refused() {
    let again = [stored(2, Codec::None, &records(5, 3)), stored(2, Codec::None, &records(7, 3))].concat();
    assert_eq!(broken(&again), (8, "offsets do not ascend".to_owned()));
    assert_eq!(span(&again, 0).unwrap().next, 8);
    let mut batch = Batch::of(Codec::None, &[record(5, None, None), record(5, None, None)]);
    assert_eq!(broken(&batch.bytes()), (6, "offsets do not ascend".to_owned()));
    batch = Batch::of(Codec::None, &records(5, 3));
    batch.last_delta = 1;
    assert_eq!(broken(&batch.bytes()), (7, "offsets do not ascend".to_owned()));
    let wrapped = wrapper(0, Codec::Gzip, 0, 0, &[record(8, None, None), record(3, None, None)]);
    assert_eq!(broken(&wrapped).1, "offsets do not ascend");
    let high = [i64::MAX - 1, i64::MAX].map(|base| Batch { base, ..Batch::of(Codec::None, &[]) }.bytes());
    assert_eq!(span(&high[0], 0).unwrap().next, i64::MAX);
    assert_eq!(broken(&high[1]), (0, "an offset is too high".to_owned()));
}

#[test]
fn a_set_of_many_entries_can_be_decoded_in_pieces() {
    let set: Vec<u8> = (0..20).flat_map(|at| stored(2, Codec::Lz4, &records(at * 5, 5))).collect();
    let mut rest = set.as_slice();
    let mut from = 0;
    while !rest.is_empty() {
        let (_, done) = read(&rest[..rest.len().min(900)], from, None);
        let piece = span(&rest[..rest.len().min(900)], from).unwrap();
        assert_eq!(done, Ok(piece.next));
        assert!(piece.entries > 0);
        from = piece.next;
        rest = &rest[piece.bytes..];
    }
    assert_eq!(from, 100);
}

#[test]
fn the_end_of_a_batch_is_known_by_its_header() {
    let batches =
        [Batch::of(Codec::Gzip, &records(10, 5)).bytes(), Batch::of(Codec::None, &records(15, 3)).bytes()];
    let mut set = batches.concat();
    assert_eq!(
        [9, 10, 14, 15, 17, 18].map(|at| entry_end(&set, at)),
        [Some(15), Some(15), Some(15), Some(18), Some(18), None]
    );
    // The checksum of the first batch is wrong, and its codec unknown.
    set[17] ^= 1;
    set[22] |= 7;
    assert_eq!(entry_end(&set, 12), Some(15));
    assert_eq!(entry_end(&set[..60], 12), None, "it is cut");
}
