//! What is read of a half: its frames, the holes between them, and its end.

use super::*;
use crate::logfile::journal::MemberIdentity;

const GENERATION: u64 = 7;
const START: usize = HALF_HEADER_BYTES as usize;

fn member(length: usize) -> JournalEntry {
    JournalEntry::Member(MemberIdentity { id: "m".repeat(length), silent: true })
}

/// A half with entries of these lengths, and where each entry begins; the last number is their end.
fn half_with(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
    let (mut frames, mut places) = (Vec::new(), vec![START]);
    for length in lengths {
        encode_frame(&mut frames, &member(*length), GENERATION, HALF_HEADER_BYTES).unwrap();
        places.push(START + frames.len());
    }
    let mut half = vec![FILL; 3 * PAGE_BYTES];
    half[..START].fill(0);
    half[START..][..frames.len()].copy_from_slice(&frames);
    (half, places)
}

/// Where a hole begins and ends.
type Place = (usize, usize);

/// Where the entries begin, the holes between them, and the damage at the end.
fn read(half: &[u8]) -> (Vec<usize>, Vec<Place>, Option<Place>) {
    let contents = read_half(half, GENERATION);
    let of = |hole: &Hole| (hole.from as usize, hole.to as usize);
    let places = contents.entries.iter().map(|(at, _)| *at as usize).collect();
    (places, contents.holes.iter().map(of).collect(), contents.tail.as_ref().map(of))
}

#[test]
fn whole_frames_are_read_and_those_of_another_generation_are_not() {
    let (half, places) = half_with(&[3, 70, 5]);
    assert_eq!(read(&half), (places[..3].to_vec(), vec![], None));
    let entries: Vec<_> = read_half(&half, GENERATION).entries.into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(entries, [member(3), member(70), member(5)]);
    let other = read_half(&half, GENERATION + 1);
    assert_eq!((other.entries.len(), other.holes.len()), (0, 0));
    assert_eq!(other.tail, Some(Hole { from: START as u64, to: places[3] as u64 }));
    let filled = [vec![0; START], vec![FILL; 500]].concat();
    assert_eq!(read(&filled), (vec![], vec![], None));
}

#[test]
fn a_damaged_byte_takes_its_own_frame_and_no_other() {
    let (whole, places) = half_with(&[3, 70, 5]);
    for at in START..places[3] {
        let mut half = whole.clone();
        half[at] ^= 0x10;
        let number = places.iter().rposition(|place| *place <= at).unwrap();
        let (mut kept, hole) = (places[..3].to_vec(), (places[number], places[number + 1]));
        kept.remove(number);
        let (holes, tail) = if number == 2 { (vec![], Some(hole)) } else { (vec![hole], None) };
        assert_eq!(read(&half), (kept, holes, tail), "byte {at}");
    }
    let mut half = whole.clone();
    half[places[0]..places[2]].fill(0);
    assert_eq!(read(&half), (vec![places[2]], vec![(places[0], places[2])], None), "two frames");
}

/// A kill ends a write between two pages.
#[test]
fn a_frame_that_ends_with_its_page_is_no_damage() {
    // The frame that is cut begins at this byte, and would end at that one.
    let cases = [
        (PAGE_BYTES - 500, PAGE_BYTES + 9, PAGE_BYTES, true),
        (PAGE_BYTES - 500, PAGE_BYTES + 1, PAGE_BYTES, true),
        (PAGE_BYTES - 500, 2 * PAGE_BYTES + 7, 2 * PAGE_BYTES, true),
        (PAGE_BYTES - 12, PAGE_BYTES + 99, PAGE_BYTES, true),
        (PAGE_BYTES - 500, 3 * PAGE_BYTES, PAGE_BYTES, true),
        // Not at the end of a page, in the middle of the frame's header, or the frame was written whole.
        (PAGE_BYTES - 500, 2 * PAGE_BYTES + 7, PAGE_BYTES + 1, false),
        (PAGE_BYTES - 11, PAGE_BYTES + 99, PAGE_BYTES, false),
        (PAGE_BYTES - 500, PAGE_BYTES, PAGE_BYTES, false),
        (PAGE_BYTES - 500, PAGE_BYTES + 9, PAGE_BYTES + 9, false),
        // Too long for the half, so this length was never written.
        (PAGE_BYTES - 500, 3 * PAGE_BYTES + 1, PAGE_BYTES, false),
    ];
    for (from, end, cut, is_cut_short) in cases {
        // 18 bytes of a frame are not the member's name.
        let (mut half, _) = half_with(&[from - START - 18]);
        let mut frame = Vec::new();
        encode_frame(&mut frame, &member(end - from - 18), GENERATION, from as u64).unwrap();
        assert_eq!(frame.len(), end - from);
        half[from..cut].copy_from_slice(&frame[..cut - from]);
        // Something is wrong with it, even if it was written whole.
        half[from] ^= 0x10;
        let tail = (!is_cut_short).then_some((from, cut));
        assert_eq!(read(&half), (vec![START], vec![], tail), "{from} to {end}, cut at {cut}");
    }
    // The last bytes of an entry's page may be the same as unused ones.
    for (unused, is_cut_short) in [(63, true), (64, false)] {
        let from = PAGE_BYTES - 500;
        let (mut half, _) = half_with(&[from - START - 18]);
        let mut frame = Vec::new();
        encode_frame(&mut frame, &member(600), GENERATION, from as u64).unwrap();
        half[from..][..500 - unused].copy_from_slice(&frame[..500 - unused]);
        let tail = (!is_cut_short).then_some((from, PAGE_BYTES - unused));
        assert_eq!(read(&half), (vec![START], vec![], tail), "{unused}");
    }
}

#[test]
fn nothing_is_expected_behind_unused_bytes() {
    for (unused, is_damage) in [(0, true), (1, true), (63, true), (64, false), (300, false)] {
        let (mut half, places) = half_with(&[3]);
        half[places[1] + unused..][..9].fill(1);
        let tail = is_damage.then_some((places[1], places[1] + unused + 9));
        assert_eq!(read(&half), (vec![START], vec![], tail), "{unused}");
    }
    for length in [0, 1, 63, 64, 65, 128, 130] {
        let mut bytes = vec![FILL; length];
        assert!(is_fill(&bytes));
        assert_eq!(ends_unused(&bytes), length >= 64);
        for at in 0..length {
            bytes[at] = 0;
            assert!(!is_fill(&bytes), "{at} of {length}");
            assert_eq!(ends_unused(&bytes), length - at > 64, "{at} of {length}");
            bytes[at] = FILL;
        }
    }
}
