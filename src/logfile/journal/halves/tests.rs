//! Which half is read, with which entries of the other one, when something is damaged.

use super::super::frame::{FILL, encode_frame};
use super::super::header::FORMAT_VERSION;
use super::super::{FilePlace, Mark, MarkRepeat, MemberIdentity};
use super::*;
use crate::logfile::disk::FileId;

const HALF: usize = 2048;
const START: usize = HALF_HEADER_BYTES as usize;

fn member(id: &str) -> JournalEntry {
    JournalEntry::Member(MemberIdentity { id: id.to_owned(), silent: false })
}

fn mark(is_snapshot: bool) -> JournalEntry {
    let repeat = MarkRepeat { is_snapshot, ..MarkRepeat::default() };
    let place = FilePlace { file: FileId { device: 1, inode: 2 }, end: 9, before: 0, head: None };
    JournalEntry::Mark(Mark { repeat, ..Mark::of_only_file(1, place) })
}

fn entries(generation: u64) -> [JournalEntry; 3] {
    [member(&format!("in {generation}")), mark(true), member("later")]
}

/// A half of this generation: its header, a snapshot of two entries, and one entry more.
struct Half {
    header: HalfHeader,
    /// Where each entry begins, and where the last one ends.
    places: Vec<usize>,
    bytes: Vec<u8>,
}

fn half_with(generation: u64, is_followed: bool, entries: &[JournalEntry]) -> Half {
    let (mut frames, mut places) = (Vec::new(), vec![START]);
    for entry in entries {
        encode_frame(&mut frames, entry, generation, START as u64).unwrap();
        places.push(START + frames.len());
    }
    let (base, half) = (places[2.min(entries.len())] as u64, HALF as u64);
    let header =
        HalfHeader { version: FORMAT_VERSION, identity: 7, generation, base, features: 0, half, is_followed };
    let mut bytes = header.bytes();
    bytes.extend_from_slice(&frames);
    bytes.resize(HALF, FILL);
    Half { header, places, bytes }
}

fn half(generation: u64) -> Half {
    half_with(generation, false, &entries(generation))
}

fn newest(first: &[u8], second: &[u8]) -> Option<(HalfHeader, usize, JournalContents)> {
    newest_half([first, second], [HalfHeader::read(first), HalfHeader::read(second)])
}

fn bare(entries: &[(u64, JournalEntry)]) -> Vec<JournalEntry> {
    entries.iter().map(|(_, entry)| entry.clone()).collect()
}

#[test]
fn the_length_of_a_half_stands_in_its_header() {
    let one = half(1).bytes;
    let lengths = |bytes: &[u8]| {
        let (halves, half) = split(bytes);
        (halves.map(<[u8]>::len), half)
    };
    let both = [one.clone(), half(2).bytes].concat();
    assert_eq!(lengths(&both), ([HALF, HALF], HALF as u64));
    assert_eq!(lengths(&[both.clone(), vec![0; 99]].concat()), ([HALF, HALF], HALF as u64));
    assert_eq!(lengths(&both[..3000]), ([HALF, 3000 - HALF], HALF as u64));
    assert_eq!(lengths(&both[..1000]), ([1000, 0], HALF as u64));
    // Without that header it is what was written at first.
    let mut damaged = both;
    damaged[..START].fill(0);
    assert_eq!(lengths(&damaged), ([HALF, HALF], HALF as u64));
    assert_eq!(lengths(&damaged[..3000]), ([1500, 1500], 1500));
    let unknown = HalfHeader { half: 0, ..half(1).header }.bytes();
    assert_eq!(lengths(&[unknown, vec![FILL; 872]].concat()), ([500, 500], 500));
}

#[test]
fn a_half_may_be_all_that_was_written_last() {
    let whole = half(1);
    let lacks =
        |bytes: [&[u8]; 2], header: &HalfHeader, active| lacks_newest(bytes, HALF as u64, header, active);
    let (bytes, header) = (&whole.bytes[..], &whole.header);
    assert_eq!(lacks([bytes, bytes], header, 0), None);
    let followed = HalfHeader { is_followed: true, ..*header };
    let lost = Some("the half that was written last is lost".to_owned());
    assert_eq!(lacks([bytes, bytes], &followed, 0), lost);
    // Cut off where entries stand, or so shortly behind them that others may have stood there.
    let end = whole.places[3];
    for (cut, is_lost) in [(end - 5, true), (end + 63, true), (end + 64, false), (HALF - 1, false)] {
        let cut_off = &bytes[..cut];
        let why = |length: usize| is_lost.then(|| format!("it was cut off behind byte {length}"));
        assert_eq!(lacks([cut_off, &[]], header, 0), why(cut), "{cut}");
        assert_eq!(lacks([bytes, cut_off], header, 1), why(HALF + cut), "{cut}");
        assert_eq!(lacks([bytes, cut_off], header, 0), None, "{cut}: the other half does not matter");
    }
    // A half that is full to its end.
    assert_eq!(lacks([&vec![1; HALF], &[]], header, 0), None);
}

#[test]
fn the_later_generation_is_in_force() {
    for (generations, active) in [([1, 2], 1), ([2, 1], 0), ([9, 10], 1), ([10, 9], 0)] {
        let halves = generations.map(|generation| half(generation).bytes);
        let (header, number, contents) = newest(&halves[0], &halves[1]).unwrap();
        let generation = generations[active];
        assert_eq!((header.generation, number), (generation, active));
        assert_eq!(bare(&contents.newest.entries), entries(generation));
        assert_eq!((contents.start, contents.base), ((active * HALF) as u64, header.base));
        assert!(contents.older.is_none() && contents.is_whole(), "nothing is damaged");
    }
    let unused = vec![FILL; HALF];
    let (_, active, contents) = newest(&half(1).bytes, &unused).unwrap();
    assert_eq!((active, contents.start, contents.has_no_header), (0, 0, false));
    let (_, active, contents) = newest(&unused, &half(1).bytes).unwrap();
    assert_eq!((active, contents.start, contents.has_no_header), (1, HALF as u64, false));
    assert!(newest(&unused, &unused).is_none());
}

/// Only damage in the snapshot is made up for by the half before, and only if nothing in that is damaged.
#[test]
fn a_damaged_snapshot_is_laid_over_the_half_before() {
    let (older, newer) = (half(4), half(5));
    let older_of = |older: &[u8], at: usize| {
        let mut bytes = newer.bytes.clone();
        bytes[at] ^= 0x10;
        let (header, active, contents) = newest(older, &bytes).unwrap();
        assert_eq!((header.generation, active), (5, 1));
        contents.older.as_deref().map(bare)
    };
    let places = &newer.places;
    assert_eq!(older_of(&older.bytes, places[0] + 14), Some(entries(4).to_vec()));
    assert_eq!(older_of(&older.bytes, places[1] + 14), Some(entries(4).to_vec()));
    assert_eq!(older_of(&older.bytes, places[2] + 14), None, "behind the snapshot");
    let at = places[0] + 14;
    for other in [3, 1] {
        assert_eq!(older_of(&half(other).bytes, at), None, "not the half before: {other}");
    }
    let mut damaged = older.bytes.clone();
    damaged[older.places[0] + 14] ^= 0x10;
    assert_eq!(older_of(&damaged, at), None, "the half before is damaged");
    // A half that is being rewritten has no snapshot of its generation.
    for left in [&[][..], &[member("x")], &[member("x"), mark(false)]] {
        assert_eq!(older_of(&half_with(4, false, left).bytes, at), None, "{left:?}");
    }
    // The last write to the half before may have been cut short, or damaged: it was in force no longer.
    damaged = older.bytes.clone();
    damaged[older.places[2] + 14] ^= 0x10;
    assert_eq!(older_of(&damaged, at), Some(entries(4)[..2].to_vec()));
}

/// A pandad that knew only version 2 wrote the half before. That version does not say which mark is a
/// snapshot's.
#[test]
fn the_half_before_may_be_of_an_older_version() {
    let newer = half(5);
    let older_of = |marks: usize| {
        let header = HalfHeader { version: 2, generation: 4, ..newer.header };
        // Version 2 has the header once, and its entries behind byte 64.
        let mut bytes = header.bytes()[..38].to_vec();
        bytes.resize(64, 0);
        // A mark: its kind, the sequence, device and inode, the end, the checksum before, no commits.
        let mark = [&[3][..], &[1u64, 1, 2, 9].map(u64::to_be_bytes).concat(), &[0; 8]].concat();
        for _ in 0..marks {
            bytes.extend_from_slice(&(mark.len() as u32).to_be_bytes());
            let crc = crc32fast::hash(&[&4u64.to_be_bytes()[..], &mark].concat());
            bytes.extend_from_slice(&crc.to_be_bytes());
            bytes.extend_from_slice(&mark);
        }
        bytes.resize(HALF, 0);
        let mut damaged = newer.bytes.clone();
        damaged[newer.places[0] + 14] ^= 0x10;
        let (header, active, contents) = newest(&bytes, &damaged).unwrap();
        assert_eq!((header.generation, active), (5, 1));
        contents.older.as_deref().map(bare)
    };
    assert_eq!(older_of(2), Some(vec![mark(false); 2]));
    assert_eq!(older_of(0), None, "no mark");
}

/// Both copies of a header are damaged. Then the entries of the half show its generation.
#[test]
fn a_half_without_header_is_found_by_its_generation() {
    let (older, newer) = (half_with(4, true, &entries(4)), half(5));
    let mut lost = newer.bytes.clone();
    lost[..START].fill(0x5a);
    for is_second in [true, false] {
        let bytes = if is_second { [&older.bytes, &lost] } else { [&lost, &older.bytes] };
        let (header, active, contents) = newest(bytes[0], bytes[1]).unwrap();
        let expected = HalfHeader { generation: 5, base: 0, is_followed: false, ..older.header };
        assert_eq!((header, active), (expected, usize::from(is_second)));
        assert_eq!(bare(&contents.newest.entries), entries(5));
        assert_eq!(contents.older.as_deref().map(bare), Some(entries(4).to_vec()));
        let start = if is_second { HALF as u64 } else { 0 };
        assert_eq!((contents.start, contents.base, contents.has_no_header), (start, 0, true));
    }
    // The half was never in force: it has entries of no such generation.
    let mut never = half(3).bytes;
    never[..START].fill(0x5a);
    let (header, active, contents) = newest(&older.bytes, &never).unwrap();
    assert_eq!((header.generation, active, contents.has_no_header), (4, 0, false));
    // It is being written for the first time, and has no header yet.
    let mut begun = half(5).bytes;
    begun[..START].fill(FILL);
    let (header, _, contents) = newest(&half(4).bytes, &begun).unwrap();
    assert_eq!((header.generation, contents.has_no_header), (4, false));
}
