//! Compressed records that expand a lot: memory stays within its bound, and is given back.

use std::io::Write as _;

use super::*;

/// Memory that decoding may hold at one time: the largest record twice, because a growing buffer is
/// copied.
const CAP: u64 = 2 * (RECORD_BYTES_MAX as u64) + (16 << 20);

fn full() -> bool {
    std::env::var("PANDAD_TEST_ALL").is_ok_and(|value| value == "1")
}

/// A gzip stream that repeats these bytes with a MiB of zeros behind them.
fn gzip(head: &[u8], times: usize) -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..times {
        out.write_all(head).unwrap();
        out.write_all(&zeros).unwrap();
    }
    out.finish().unwrap()
}

/// The bytes of a record without a key that stand before its value of one MiB.
fn head(delta: i64) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(varint(0));
    body.extend(varint(delta));
    body.extend(varint(-1));
    body.extend(varint(1 << 20));
    let length = body.len() as i64 + (1 << 20) + 1;
    [varint(length), body].concat()
}

/// A batch of so many records, each with a value of one MiB of zeros.
fn bomb(records: usize) -> Vec<u8> {
    let zeros = vec![0; (1 << 20) + 1];
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for delta in 0..records {
        out.write_all(&head(delta as i64)).unwrap();
        // The last of these zeros is the count of headers.
        out.write_all(&zeros).unwrap();
    }
    let mut batch = Batch::of(Codec::None, &[]);
    (batch.attributes, batch.count, batch.last_delta) = (1, records as i32, records as i32 - 1);
    batch.bytes_of(&out.finish().unwrap())
}

#[test]
fn a_batch_that_expands_1000_times_needs_little_memory() {
    let mib = if full() { 1024 } else { 64 };
    let set = bomb(mib);
    assert!(set.len() < mib << 11, "{} bytes", set.len());
    let mut scratch = Scratch::default();
    let mut count = 0;
    let used = allocation_counter::measure(|| {
        let done = decode(&set, 0, None, &mut scratch, &mut |record| {
            assert_eq!(record.value.map(<[u8]>::len), Some(1 << 20));
            count += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(done, Ok(mib as i64));
    });
    assert_eq!(count, mib);
    assert!(used.bytes_max < 8 << 20, "{} bytes at once", used.bytes_max);
}

#[test]
fn a_record_larger_than_the_cap_is_refused_by_its_length() {
    // A record whose length field says one GiB; its bytes are zeros.
    let packed = gzip(&varint(1 << 30), 1);
    let mut batch = Batch::of(Codec::None, &records(0, 1));
    batch.attributes = 1;
    let set = batch.bytes_of(&packed);
    let used = allocation_counter::measure(|| {
        assert_eq!(read(&set, 0, None).1, Err(DecodeError { next: 0, why: DecodeErrorKind::TooLarge }));
    });
    assert!(used.bytes_max < 1 << 20, "{} bytes at once", used.bytes_max);
    // The same in a wrapper.
    for magic in [0, 1] {
        let mut inner = message(magic, 0, 0, 0, None, None);
        inner[8..12].copy_from_slice(&(1i32 << 30).to_be_bytes());
        let set = message(magic, 1, 0, 0, None, Some(&gzip(&inner, 2)));
        let (seen, done) = read(&set, 0, None);
        assert!(seen.is_empty() && done.is_err(), "{done:?}");
    }
}

#[test]
fn a_truncated_record_allocates_less_than_its_length() {
    // The record's length says 100 MiB, and four follow.
    let packed = gzip(&[&varint(100 << 20)[..], &[0; 9]].concat(), 4);
    let mut batch = Batch::of(Codec::None, &records(0, 1));
    batch.attributes = 1;
    let set = batch.bytes_of(&packed);
    let mut scratch = Scratch::default();
    let used = allocation_counter::measure(|| {
        assert!(read_with(&set, 0, None, &mut scratch).1.is_err());
    });
    assert!(used.bytes_max < 16 << 20, "{} bytes at once", used.bytes_max);
}

#[test]
fn memory_of_a_record_just_below_the_cap_is_given_back() {
    let size = if full() { 120 << 20 } else { 16 << 20 };
    let large = Seen { value: Some(vec![7; size]), ..record(0, None, None) };
    let mut scratch = Scratch::default();
    for codec in [Codec::Gzip, Codec::SnappyRaw, Codec::Lz4, Codec::Zstd] {
        let set = Batch::of(codec, std::slice::from_ref(&large)).bytes();
        let used = allocation_counter::measure(|| {
            let done = decode(&set, 0, None, &mut scratch, &mut |record| {
                assert_eq!(record.value.map(<[u8]>::len), Some(size));
                ControlFlow::Continue(())
            });
            assert_eq!(done, Ok(1), "{codec:?}");
        });
        assert!(used.bytes_max < CAP, "{codec:?}: {} bytes at once", used.bytes_max);
        assert!(used.bytes_current < 9 << 20, "{codec:?}: {} bytes kept", used.bytes_current);
    }
}

#[test]
fn a_wrapper_that_expands_1000_times_needs_little_memory() {
    let mib = if full() { 1024 } else { 24 };
    for magic in [0, 1] {
        let zeros = vec![0; 1 << 20];
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for offset in 0..mib {
            out.write_all(&message(magic, 0, offset, 5, None, Some(&zeros))).unwrap();
        }
        let set = message(magic, 1, mib - 1, 5, None, Some(&out.finish().unwrap()));
        let mut count = 0;
        let used = allocation_counter::measure(|| {
            let done = decode(&set, 0, None, &mut Scratch::default(), &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            });
            assert_eq!(done, Ok(mib));
        });
        assert_eq!(count, mib);
        assert!(used.bytes_max < 8 << 20, "format {magic}: {} bytes at once", used.bytes_max);
    }
}

#[test]
fn false_sizes_allocate_nothing() {
    // Snappy's block says 2 GiB; zstd's frame says a window of 3 TiB, or a content of as much.
    let snappy = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 50]].concat();
    let zstd_window = b"\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00".to_vec();
    let zstd_size = b"\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\x00\x00\x01\x00\x00".to_vec();
    // This decoder was used before, so it creates its next window at once.
    let mut scratch = Scratch::default();
    read_with(&stored(2, Codec::Zstd, &records(0, 3)), 0, None, &mut scratch).1.unwrap();
    for (number, packed) in [(2, snappy), (4, zstd_window), (4, zstd_size)] {
        let mut batch = Batch::of(Codec::None, &records(0, 1));
        (batch.attributes, batch.count) = (number, i32::MAX);
        let set = batch.bytes_of(&packed);
        let used = allocation_counter::measure(|| {
            assert!(read_with(&set, 0, None, &mut scratch).1.is_err());
        });
        assert!(used.bytes_max < 10 << 20, "codec {number}: {} bytes at once", used.bytes_max);
    }
}

/// Lines are formatted from records in place, into buffers that exist already.
#[test]
fn decoding_allocates_nothing_after_a_warm_up() {
    let mut scratch = Scratch::default();
    for magic in [0, 1, 2] {
        for codec in CODECS {
            if codec == Codec::Lz4Old && magic > 0 {
                continue;
            }
            let set: Vec<u8> = (0..10).flat_map(|at| stored(magic, codec, &records(at * 100, 100))).collect();
            let list: Vec<Aborted> = (0..50).map(|at| Aborted { first_offset: at, producer: at }).collect();
            let mut turn = || {
                let mut count = 0;
                let done = decode(&set, 0, Some(&list), &mut scratch, &mut |_| {
                    count += 1;
                    ControlFlow::Continue(())
                });
                assert_eq!((count, done), (1000, Ok(1000)));
            };
            turn();
            let used = allocation_counter::measure(&mut turn);
            assert_eq!(used.count_total, 0, "format {magic}, {codec:?}: {used:?}");
        }
    }
}
