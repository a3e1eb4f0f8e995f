//! Entries and frames of the first two versions, byte by byte.

use super::*;
use crate::logfile::disk::FileId;
use crate::logfile::journal::RangePart;

const FILE: FileId = FileId { device: 1, inode: 2 };

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn short(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Entries as bytes, and what they are.
fn entries() -> Vec<(Vec<u8>, JournalEntry)> {
    let landmark = Landmark { offset: 7, fingerprint: 8 };
    let at_seven = [numbers(&[7]), short(&[8])].concat();
    let state = |left: Vec<u64>| PartitionState {
        partition: TopicPartition::new("t", 3),
        position: 8,
        epoch: 9,
        landmarks: vec![landmark],
        committed: vec![5],
        left,
        held: None,
        former: Vec::new(),
        topic_id: None,
        leader_epochs: Default::default(),
    };
    let state_bytes = [
        vec![1],
        short(&[6, 1]),
        b"t".to_vec(),
        short(&[3]),
        numbers(&[8, 9]),
        short(&[1]),
        at_seven.clone(),
        short(&[1]),
        numbers(&[5]),
    ]
    .concat();
    let range_bytes = [
        vec![2],
        numbers(&[4, 1, 2, 10]),
        short(&[11]),
        numbers(&[12]),
        short(&[13, 2, 6]),
        numbers(&[20]),
        vec![0],
        short(&[5]),
        numbers(&[8]),
        vec![1],
        at_seven,
    ]
    .concat();
    let changes = vec![
        PositionChange { index: 6, position: 20, last: None },
        PositionChange { index: 5, position: 8, last: Some(landmark) },
    ];
    let number = ONLY_FILE;
    let part = RangePart { number, file: FILE, from: 10, before: 11, to: 12, crc: 13 };
    let range = Range { sequence: 4, parts: vec![part], changes };
    let session = |closed| JournalEntry::Session(Session { boot: 1 << 64 | 2, closed });
    let member = MemberIdentity { id: "m".to_owned(), silent: true };
    let mark = [vec![3], numbers(&[4, 1, 2, 12]), short(&[14, 0])].concat();
    let place = FilePlace { file: FILE, end: 12, before: 14, head: None };
    let with_left = [&state_bytes[..], &short(&[1]), &numbers(&[15])].concat();
    vec![
        (state_bytes, JournalEntry::Partition(6, state(vec![]))),
        (with_left, JournalEntry::Partition(6, state(vec![15]))),
        (range_bytes, JournalEntry::Range(range)),
        (mark, JournalEntry::Mark(Mark::of_only_file(4, place))),
        ([vec![4], numbers(&[1, 2]), vec![0]].concat(), session(false)),
        ([vec![4], numbers(&[1, 2]), vec![1]].concat(), session(true)),
        ([vec![5], short(&[1]), b"m".to_vec(), vec![1]].concat(), JournalEntry::Member(member)),
    ]
}

#[test]
fn entries_of_the_first_versions_are_read() {
    for (mut bytes, entry) in entries() {
        assert_eq!(decode(&bytes), Some(entry.clone()));
        bytes.push(0);
        assert_eq!(decode(&bytes), None, "{entry:?} and a byte");
        bytes.truncate(bytes.len() - 2);
        assert_eq!(decode(&bytes), None, "{entry:?} without its last byte");
    }
    assert_eq!(decode(&[6, 0]), None);
}

#[test]
fn frames_of_the_first_versions_end_with_the_first_that_is_not_whole() {
    const GENERATION: u64 = 7;
    let payloads: Vec<_> = entries().into_iter().map(|(bytes, _)| bytes).collect();
    let half_of = |payloads: &[Vec<u8>]| {
        let (mut half, mut places) = (vec![0; HALF_HEADER_BYTES], Vec::new());
        for payload in payloads {
            places.push(half.len());
            let crc = crc32fast::hash(&[&GENERATION.to_be_bytes()[..], payload].concat());
            half.extend(short(&[payload.len() as u32, crc]));
            half.extend_from_slice(payload);
        }
        (half, places)
    };
    let count = |half: &[u8], generation| read_frames(half, generation).len();
    let (half, places) = half_of(&payloads);
    let read = read_frames(&half, GENERATION);
    assert_eq!(read.iter().map(|(at, _)| *at as usize).collect::<Vec<_>>(), places);
    assert_eq!(read.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), {
        entries().into_iter().map(|(_, entry)| entry).collect::<Vec<_>>()
    });
    assert_eq!(count(&half, GENERATION + 1), 0);
    for at in places[2]..places[3] {
        let mut damaged = half.clone();
        damaged[at] ^= 1;
        assert_eq!(count(&damaged, GENERATION), 2, "byte {at}");
    }
    // Zeros, as behind the last entry, are none.
    let (half, _) = half_of(&[payloads[4].clone(), Vec::new(), payloads[4].clone()]);
    assert_eq!(count(&half, GENERATION), 1);
}
