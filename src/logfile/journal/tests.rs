//! Entries as bytes, and back.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::logfile::disk::FileId;
use crate::record::{EpochStart, LeaderEpochs, TopicId, TopicPartition};

fn landmark() -> impl Strategy<Value = Landmark> {
    (any::<i64>(), any::<u32>()).prop_map(|(offset, fingerprint)| Landmark { offset, fingerprint })
}

fn file() -> impl Strategy<Value = FileId> {
    (any::<u64>(), any::<u64>()).prop_map(|(device, inode)| FileId { device, inode })
}

fn held() -> impl Strategy<Value = HeldOffsets> {
    (any::<i64>(), proptest::collection::vec(any::<(i64, i64)>(), 0..40)).prop_map(|(from, moves)| {
        let mut held = HeldOffsets::begin(from);
        moves.into_iter().for_each(|(end, to)| held.move_to(end, to));
        held
    })
}

fn state() -> impl Strategy<Value = PartitionState> {
    let lists = (proptest::collection::vec(landmark(), 0..9), proptest::collection::vec(any::<i64>(), 0..9));
    let id = any::<u128>().prop_map(TopicId::new);
    let epochs = proptest::collection::vec((0..20_i32, any::<i64>()), 0..12).prop_map(|starts| {
        let mut all = LeaderEpochs::default();
        for (epoch, from) in starts {
            all.record(EpochStart { epoch, from });
        }
        all
    });
    let former = proptest::collection::vec(any::<u128>(), 0..9);
    let tagged = (proptest::option::of(held()), former, (id, epochs));
    let lists = (lists, proptest::collection::vec(any::<u64>(), 0..9), tagged);
    ("[a-z.]{1,30}", any::<i32>(), any::<i64>(), any::<u64>(), lists).prop_map(
        |(topic, partition, position, epoch, ((landmarks, committed), left, tagged))| {
            let (held, former, (topic_id, leader_epochs)) = tagged;
            PartitionState {
                partition: TopicPartition::new(topic, partition),
                position,
                epoch,
                landmarks,
                committed,
                left,
                held,
                former,
                topic_id,
                leader_epochs,
            }
        },
    )
}

fn changes() -> impl Strategy<Value = Vec<PositionChange>> {
    let change = (any::<u32>(), any::<i64>(), proptest::option::of(landmark()))
        .prop_map(|(index, position, last)| PositionChange { index, position, last });
    proptest::collection::vec(change, 0..5)
}

fn repeat() -> impl Strategy<Value = MarkRepeat> {
    let partition = (any::<u32>(), any::<u64>(), state())
        .prop_map(|(index, void, state)| RepeatedPartition { index, void, state });
    (any::<(bool, u64, u64, u64)>(), changes(), proptest::collection::vec(partition, 0..3)).prop_map(
        |((is_snapshot, announced, synced_to, since), positions, partitions)| MarkRepeat {
            is_snapshot,
            announced,
            synced_to,
            since,
            positions,
            partitions,
        },
    )
}

fn place() -> impl Strategy<Value = FilePlace> {
    let head = proptest::option::of((0..4097u32, any::<u32>()))
        .prop_map(|head| head.map(|(length, crc)| FileHead { length, crc }));
    (file(), any::<(u64, u32)>(), head).prop_map(|(file, (end, before), head)| FilePlace {
        file,
        end,
        before,
        head,
    })
}

fn scope() -> impl Strategy<Value = RouteScope> {
    (proptest::option::of("[a-z.]{1,30}"), any::<Option<i32>>())
        .prop_map(|(topic, partition)| RouteScope { topic: topic.map(Into::into), partition })
}

/// The only file, or several.
fn files() -> impl Strategy<Value = Vec<MarkedFile>> {
    let only = place().prop_map(|place| vec![MarkedFile { number: ONLY_FILE, name: None, place }]);
    let until = proptest::option::of(any::<i64>());
    let name = ("[a-z{}-]{1,9}(/[a-z.]{1,2}[a-z{}-]{1,9}){0,3}".prop_map(PathBuf::from), until);
    let name = proptest::option::of((name, scope()).prop_map(|((path, until), scope)| NamedFile {
        path,
        until,
        scope,
    }));
    let files = proptest::collection::vec((name, place()), 0..4).prop_map(|files| {
        let numbered = (7..).zip(files);
        numbered.map(|(number, (name, place))| MarkedFile { number, name, place }).collect::<Vec<_>>()
    });
    prop_oneof![only, files]
}

fn mark() -> impl Strategy<Value = Mark> {
    let values = proptest::option::of(prop_oneof![-3..3i64, 0..i64::MAX]);
    let commit = (any::<u32>(), any::<Option<i64>>(), values)
        .prop_map(|(index, acknowledged, value)| MarkedCommit { index, acknowledged, value });
    let commits = proptest::collection::vec(commit, 0..5);
    let lists =
        (proptest::collection::vec(any::<u64>(), 0..3), proptest::collection::vec(any::<u32>(), 0..3));
    let closing = (any::<u32>(), "[a-z{}-]{1,9}(/[a-z{}-]{1,9}){0,3}")
        .prop_map(|(number, to)| ClosingFile { number, to: PathBuf::from(to) });
    let complete = proptest::collection::vec((scope(), any::<i64>()), 0..3);
    let tagged = (complete, proptest::collection::vec(any::<u32>(), 0..3));
    let lists = (lists, proptest::collection::vec(closing, 0..3), tagged);
    (any::<u64>(), files(), lists, commits, repeat()).prop_map(
        |(sequence, files, ((held, finished), closing, (complete, unexamined)), commits, repeat)| Mark {
            sequence,
            held,
            files,
            closing,
            finished,
            unexamined,
            complete,
            commits,
            repeat,
        },
    )
}

/// In the only file, or in several.
fn parts() -> impl Strategy<Value = Vec<RangePart>> {
    let part =
        |number: u32| {
            (file(), any::<(u64, u64, u32, u32)>()).prop_map(move |(file, (from, to, crc, before))| {
                RangePart { number, file, from, to, crc, before }
            })
        };
    let only = part(ONLY_FILE).prop_map(|part| vec![part]);
    let several = proptest::collection::vec((0..9u32).prop_flat_map(part), 0..4);
    prop_oneof![only, several]
}

fn entry() -> impl Strategy<Value = JournalEntry> {
    let range = (any::<u64>(), parts(), changes())
        .prop_map(|(sequence, parts, changes)| JournalEntry::Range(Range { sequence, parts, changes }));
    let session =
        any::<(u128, bool)>().prop_map(|(boot, closed)| JournalEntry::Session(Session { boot, closed }));
    let member = ("[a-zA-Z0-9-]{0,60}", any::<bool>())
        .prop_map(|(id, silent)| JournalEntry::Member(MemberIdentity { id, silent }));
    let partition = (any::<u32>(), state()).prop_map(|(i, s)| JournalEntry::Partition(i, s));
    let topic = (any::<u32>(), 1..=u128::MAX)
        .prop_map(|(index, id)| JournalEntry::Topic(index, TopicId::new(id).unwrap()));
    let leader_epoch = any::<(u32, i32, i64)>()
        .prop_map(|(index, epoch, from)| JournalEntry::LeaderEpoch(index, EpochStart { epoch, from }));
    let cluster = "[a-zA-Z0-9_-]{0,60}".prop_map(JournalEntry::Cluster);
    prop_oneof![
        partition,
        range,
        mark().prop_map(JournalEntry::Mark),
        session,
        member,
        topic,
        cluster,
        leader_epoch
    ]
}

proptest! {
    #[test]
    fn entries_are_decoded_as_encoded_or_not_expressible(
        entry in entry(),
        // The last tag that this pandad knows is 4.
        tag in 5..=u8::MAX,
        field in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        let is_same = JournalEntry::decode(&bytes).is_some_and(|read| read == entry);
        prop_assert_eq!(is_same, entry.is_expressible());
        // The entry with a field of a later pandad at its end.
        let mut longer = bytes.clone();
        longer.push(tag);
        longer.extend_from_slice(&(field.len() as u32).to_be_bytes());
        longer.extend_from_slice(&field);
        prop_assert_eq!(JournalEntry::decode(&longer), JournalEntry::decode(&bytes));
        longer.pop();
        prop_assert_eq!(JournalEntry::decode(&longer), None);
        bytes.pop();
        prop_assert_eq!(JournalEntry::decode(&bytes), None);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = JournalEntry::decode(&bytes);
    }
}

#[test]
fn an_entry_of_a_kind_that_is_not_known_is_passed_over() {
    assert_eq!(JournalEntry::decode(&[77, 1, 2, 3]), Some(JournalEntry::Unknown(77)));
    assert_eq!(JournalEntry::decode(&[]), None);
}

/// A field of a later pandad may have any bytes, also such as those of a field that is known.
#[test]
fn fields_are_told_by_their_tags() {
    let state = PartitionState {
        partition: TopicPartition::new("t", 0),
        position: 5,
        epoch: 1,
        landmarks: Vec::new(),
        committed: Vec::new(),
        left: Vec::new(),
        held: Some(HeldOffsets::begin(3)),
        former: Vec::new(),
        topic_id: None,
        leader_epochs: Default::default(),
    };
    let (mut bytes, mut bare) = (Vec::new(), Vec::new());
    JournalEntry::Partition(0, state.clone()).encode(&mut bytes);
    let without = JournalEntry::Partition(0, PartitionState { held: None, ..state });
    without.encode(&mut bare);
    assert_eq!(JournalEntry::decode(&bare), Some(without.clone()));
    // The tag of the one field that this pandad knows.
    assert_eq!(bytes[bare.len()], 1);
    bytes[bare.len()] = 77;
    assert_eq!(JournalEntry::decode(&bytes), Some(without));
}

/// A journal that somebody else has written must not lead pandad's writes elsewhere.
#[test]
fn a_mark_names_no_file_above_or_beside_its_directory() {
    for (path, is_taken) in
        [("a/b.log", true), ("/a", false), ("../a", false), ("a/../../b", false), ("", false)]
    {
        let to = PathBuf::from(path);
        let name = Some(NamedFile { path: to.clone(), until: None, scope: RouteScope::default() });
        let place = FilePlace { file: FileId { device: 1, inode: 2 }, end: 0, before: 0, head: None };
        let begun = Mark { files: vec![MarkedFile { number: 1, name, place }], ..Mark::default() };
        let closing = Mark { closing: vec![ClosingFile { number: 1, to }], ..Mark::default() };
        for mark in [begun, closing].map(JournalEntry::Mark) {
            let mut bytes = Vec::new();
            mark.encode(&mut bytes);
            assert_eq!(JournalEntry::decode(&bytes).is_some(), is_taken, "{path}");
            assert_eq!(mark.is_expressible(), is_taken, "{path}");
        }
    }
}
