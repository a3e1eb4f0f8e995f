//! Tampered record sets, also with checksums that match again. The decoder must not panic or loop
//! forever, must allocate no more than the set's size justifies, and must deliver no record twice
//! or out of order.

use super::*;

/// Memory that decoding a set of some KiB may take: the window, grown for the bytes read, the
/// contexts of a codec, and zstd's window.
const WORTH: u64 = 32 << 20;

/// The number of cases is large, because each is cheap and few break a decoder.
fn count() -> u64 {
    let all = std::env::var("PANDAD_TEST_ALL").is_ok_and(|value| value == "1");
    if all { 1_000_000 } else { 100_000 }
}

fn seed() -> u64 {
    std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_26)
}

const LIES: [i64; 12] =
    [0, -1, -2, 1, 127, 128, 0x7fff, 0xffff, 1 << 24, i32::MAX as i64, i32::MIN as i64, i64::MAX];

fn tamper(bytes: &mut Vec<u8>, dice: &mut fastrand::Rng) {
    let at = dice.usize(..=bytes.len());
    match dice.u8(..7) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.u8(..8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.u8(..);
            }
        }
        3 => bytes.truncate(at),
        4 => {
            let lie = dice.choice(LIES).unwrap();
            let lie = match dice.u8(..4) {
                0 => varint(lie),
                1 => lie.to_be_bytes().to_vec(),
                2 => (lie as i32).to_be_bytes().to_vec(),
                _ => (lie as i32).to_le_bytes().to_vec(),
            };
            let to = (at + lie.len()).min(bytes.len());
            bytes.splice(at..to, lie);
        }
        5 => {
            let new: Vec<u8> = (0..dice.usize(..9)).map(|_| dice.u8(..)).collect();
            bytes.splice(at..at, new);
        }
        _ => {
            let to = dice.usize(at..=bytes.len()).min(at + 2_000);
            let part = bytes[at..to].to_vec();
            let into = dice.usize(..=bytes.len());
            bytes.splice(into..into, part);
        }
    }
}

/// Corrects size and checksum of every entry that can be found.
fn mend(set: &mut [u8]) {
    let mut at = 0;
    while let Some(entry) = set.get_mut(at..).filter(|entry| entry.len() > 26) {
        let size = i32::from_be_bytes(entry[8..12].try_into().unwrap());
        let whole = usize::try_from(size).map_or(usize::MAX, |size| size + 12).clamp(26, entry.len());
        entry[8..12].copy_from_slice(&(whole as i32 - 12).to_be_bytes());
        let entry = &mut entry[..whole];
        if entry[16] == 2 {
            let crc = crc32c::crc32c(&entry[21..]);
            entry[17..21].copy_from_slice(&crc.to_be_bytes());
        } else {
            let crc = crc32fast::hash(&entry[16..]);
            entry[12..16].copy_from_slice(&crc.to_be_bytes());
        }
        at += whole;
    }
}

/// A small set of each format and codec.
fn originals() -> Vec<Vec<u8>> {
    let mut originals = Vec::new();
    for magic in [0, 1, 2] {
        for codec in CODECS {
            originals
                .push([stored(magic, codec, &records(3, 6)), stored(magic, codec, &records(9, 2))].concat());
        }
    }
    let headers = vec![(b"a".to_vec(), Some(b"b".to_vec())), (b"c".to_vec(), None)];
    let headed = [Seen { headers: Some(headers), ..record(0, Some("k"), None) }, record(1, None, Some("v"))];
    originals.push(Batch::of(Codec::None, &headed).bytes());
    let transactional = Batch::of(Codec::Lz4, &records(0, 4)).transactional(7).bytes();
    let later = Batch::of(Codec::None, &records(5, 2)).transactional(7).bytes();
    originals.push([transactional, Batch::marker(4, 7, 0).bytes(), later].concat());
    originals
}

/// Tampers with the records in a batch or wrapper, and builds a valid one around them.
fn inside(dice: &mut fastrand::Rng) -> Vec<u8> {
    let codec = dice.choice(CODECS).unwrap();
    let mut again = |mut plain: Vec<u8>, mends: bool| {
        for _ in 0..dice.u8(1..4) {
            tamper(&mut plain, dice);
        }
        if mends && dice.bool() {
            mend(&mut plain);
        }
        codec.compress(&plain)
    };
    match codec {
        Codec::Gzip | Codec::SnappyRaw | Codec::Lz4 => {
            let magic = u8::from(codec == Codec::Lz4);
            let packed = again(messages(magic, &records(0, 5)), true);
            message(magic, codec.number(), 4, 0, None, Some(&packed))
        }
        _ => {
            let batch = Batch::of(codec, &records(0, 5));
            batch.bytes_of(&again(batch.records.clone(), false))
        }
    }
}

/// Decodes the set in every way that the decoder offers.
fn survive(set: &[u8], from: i64, scratch: &mut Scratch) {
    let lists: [Option<&[Aborted]>; 2] = [None, Some(&[Aborted { first_offset: 0, producer: 7 }])];
    for aborted in lists {
        let mut next = from;
        let mut left = 10_000;
        let done = decode(set, from, aborted, scratch, &mut |record| {
            assert!(record.offset >= next, "offset {} after {next}", record.offset);
            next = record.offset + 1;
            left -= 1;
            let headers = record.headers.iter().flat_map(|headers| headers.iter()).count();
            assert!(headers <= set.len() * 300);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match done {
            Ok(end) => assert!(end >= next && end >= from),
            Err(broken) => assert!(broken.next >= next && !broken.to_string().is_empty()),
        }
        if let (Ok(end), Ok(span)) = (done, span(set, from)) {
            assert!(left == 0 || end == span.next, "{end} and {span:?}");
            assert!(span.bytes <= set.len());
        }
    }
    let _ = still_aborted(set, &[Aborted { first_offset: 0, producer: 7 }]);
}

#[test]
fn decoding_survives_tampered_record_sets() {
    let (originals, seed) = (originals(), seed());
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut scratch = Scratch::default();
    let good = Batch::of(Codec::Zstd, &records(0, 9)).bytes();
    for turn in 0..count() {
        let set = if turn % 4 == 0 {
            inside(&mut dice)
        } else {
            let mut set = dice.choice(&originals).unwrap().clone();
            for _ in 0..dice.u8(1..5) {
                tamper(&mut set, &mut dice);
            }
            if turn % 4 == 1 {
                mend(&mut set);
            }
            set
        };
        let from = if dice.bool() { 0 } else { dice.i64(..12) };
        let used = allocation_counter::measure(|| survive(&set, from, &mut scratch));
        assert!(used.bytes_max < WORTH, "turn {turn}, seed {seed}: {} bytes for {set:x?}", used.bytes_max);
        // A broken set leaves nothing behind in `scratch`.
        if turn % 64 == 0 {
            assert_eq!(read_with(&good, 0, None, &mut scratch).0, records(0, 9), "turn {turn}, seed {seed}");
        }
        if turn % 1000 == 0 {
            scratch = Scratch::default();
        }
    }
}

#[test]
fn decoding_survives_random_bytes() {
    let mut dice = fastrand::Rng::with_seed(seed());
    let mut scratch = Scratch::default();
    for _ in 0..count() / 10 {
        let mut set: Vec<u8> = (0..dice.usize(..300)).map(|_| dice.u8(..)).collect();
        if let Some(magic) = set.get_mut(16) {
            *magic %= 4;
        }
        mend(&mut set);
        survive(&set, 0, &mut scratch);
    }
}
