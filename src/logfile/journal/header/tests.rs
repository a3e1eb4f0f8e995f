//! What is left of a header when its bytes are damaged.

use super::*;

fn header() -> HalfHeader {
    let (identity, generation, base) = (0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10, 5, 300);
    HalfHeader {
        version: FORMAT_VERSION,
        identity,
        generation,
        base,
        features: 0,
        half: 8192,
        is_followed: false,
    }
}

/// A half that begins with these bytes.
fn read(header: &[u8]) -> Option<HalfHeader> {
    HalfHeader::read(&[header, &[0xff; 200]].concat())
}

/// A header of version 1 or 2.
fn old(version: u16) -> (HalfHeader, Vec<u8>) {
    let header = HalfHeader { version, base: 0, half: 0, ..header() };
    let mut bytes = header.common_bytes();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.resize(COPY_BYTES, 0);
    (header, bytes)
}

#[test]
fn headers_are_read_as_they_were_written() {
    for is_followed in [false, true] {
        for half in [8192, u64::from(u32::MAX) - 1, 1 << 32] {
            let written = HalfHeader { half, is_followed, ..header() };
            assert_eq!(written.bytes().len() as u64, HALF_HEADER_BYTES);
            // A length that does not fit is not known.
            let read_half = if half > u64::from(u32::MAX) { 0 } else { half };
            assert_eq!(read(&written.bytes()), Some(HalfHeader { half: read_half, ..written }));
        }
    }
    for version in [1, 2] {
        let (written, bytes) = old(version);
        assert_eq!(read(&bytes), Some(written));
    }
    assert_eq!(read(&[]), None);
    assert_eq!(HalfHeader::read(&header().bytes()[..COPY_BYTES]), Some(header()));
    assert_eq!(HalfHeader::read(&header().bytes()[..20]), None);
}

#[test]
fn a_damaged_copy_is_made_up_for_by_the_other() {
    let written = HalfHeader { is_followed: true, ..header() };
    let note = NOTE_AT..NOTE_AT + NOTE_BYTES;
    for at in 0..COPY_BYTES {
        for flipped in [0x01, 0x10, 0xff] {
            let mut bytes = written.bytes();
            bytes[at] ^= flipped;
            assert_eq!(read(&bytes), Some(written), "byte {at} of the first copy");
            bytes[COPY_BYTES + at] ^= flipped;
            let left = match at {
                at if at < NOTE_AT => None,
                at if note.contains(&at) => Some(HalfHeader { half: 0, is_followed: false, ..written }),
                _ => Some(written),
            };
            assert_eq!(read(&bytes), left, "byte {at} of both copies");
            bytes[at] ^= flipped;
            assert_eq!(read(&bytes), Some(written), "byte {at} of the second copy");
        }
    }
}

/// The power failed while a header was written over that of an earlier generation.
#[test]
fn copies_of_two_generations_are_not_mixed() {
    let before = HalfHeader { generation: 3, half: 16384, is_followed: true, base: 200, ..header() };
    let mut bytes = header().bytes();
    bytes[COPY_BYTES..].copy_from_slice(&before.bytes()[COPY_BYTES..]);
    assert_eq!(read(&bytes), Some(header()));
    bytes[0] ^= 1;
    assert_eq!(read(&bytes), Some(before));
}

/// In the first two versions entries stand where the second copy is now, and they may hold anything.
#[test]
fn old_headers_have_no_second_copy() {
    let (_, bytes) = old(2);
    let mut twice = bytes.repeat(2);
    twice[0] ^= 1;
    assert_eq!(read(&twice), None);
}

#[test]
fn the_note_that_a_half_was_followed_is_written_beside_the_rest() {
    let (old, old_bytes) = old(2);
    for (before, mut bytes, copies) in [(header(), header().bytes(), 2), (old, old_bytes, 1)] {
        let followed = HalfHeader { is_followed: true, half: 8192, ..before };
        let whole = bytes.clone();
        bytes.resize(HALF_HEADER_BYTES as usize, 0);
        assert_eq!(followed.notes().len(), copies);
        for (at, note) in followed.notes() {
            bytes[at as usize..][..note.len()].copy_from_slice(&note);
            assert_eq!(read(&bytes), Some(followed), "each copy says so");
            bytes[..whole.len()].copy_from_slice(&whole);
        }
    }
}

#[test]
fn later_versions_and_unknown_features_are_for_a_later_pandad() {
    for (version, features, is_later) in [
        (1, 0, false),
        (2, 0, false),
        (3, 0, false),
        (4, 0, true),
        (9, 0, true),
        (3, 1, false),
        (3, 4, true),
        (3, 1 << 31, true),
    ] {
        let written = HalfHeader { version, features, ..header() };
        assert_eq!(written.is_later(), is_later, "{version} {features}");
        assert_eq!(read(&written.bytes()).is_some_and(|read| read.is_later()), is_later);
    }
}
