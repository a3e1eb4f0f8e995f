//! Entries come back as they were written, and any bytes are survived.

use super::*;
use crate::logfile::disk::FileId;
use crate::record::TopicPartition;
use proptest::prelude::*;

fn landmark() -> impl Strategy<Value = Landmark> {
    (any::<i64>(), any::<u32>()).prop_map(|(offset, fingerprint)| Landmark { offset, fingerprint })
}

fn file() -> impl Strategy<Value = FileId> {
    (any::<u64>(), any::<u64>()).prop_map(|(device, inode)| FileId { device, inode })
}

fn state() -> impl Strategy<Value = PartitionState> {
    let lists = (proptest::collection::vec(landmark(), 0..9), proptest::collection::vec(any::<i64>(), 0..9));
    let lists = (lists, proptest::collection::vec(any::<u64>(), 0..9));
    ("[a-z.]{1,30}", any::<i32>(), any::<i64>(), any::<u64>(), lists).prop_map(
        |(topic, partition, position, epoch, ((landmarks, committed), left))| PartitionState {
            partition: TopicPartition::new(topic, partition),
            position,
            epoch,
            landmarks,
            committed,
            left,
        },
    )
}

fn entry() -> impl Strategy<Value = JournalEntry> {
    let change = (any::<u32>(), any::<i64>(), proptest::option::of(landmark()))
        .prop_map(|(index, position, last)| PositionChange { index, position, last });
    let range =
        (any::<u64>(), file(), any::<(u64, u64, u32, u32)>(), proptest::collection::vec(change, 0..5))
            .prop_map(|(sequence, file, (from, to, crc, before), changes)| {
                JournalEntry::Range(Range { sequence, file, from, to, crc, before, changes })
            });
    let values = proptest::option::of(0..i64::MAX);
    let commit = (any::<u32>(), any::<Option<i64>>(), values)
        .prop_map(|(index, acknowledged, value)| MarkedCommit { index, acknowledged, value });
    let session =
        any::<(u128, bool)>().prop_map(|(boot, closed)| JournalEntry::Session(Session { boot, closed }));
    let mark = (any::<u64>(), file(), any::<(u64, u32)>(), proptest::collection::vec(commit, 0..5)).prop_map(
        |(sequence, file, (end, before), commits)| {
            JournalEntry::Mark(Mark { sequence, file, end, before, commits })
        },
    );
    let member = ("[a-zA-Z0-9-]{0,60}", any::<bool>())
        .prop_map(|(id, silent)| JournalEntry::Member(MemberIdentity { id, silent }));
    let partition = (any::<u32>(), state()).prop_map(|(i, s)| JournalEntry::Partition(i, s));
    prop_oneof![partition, range, mark, session, member]
}

proptest! {
    #[test]
    fn entries_come_back(entry in entry()) {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        prop_assert_eq!(JournalEntry::decode(&bytes), Some(entry));
        bytes.pop();
        prop_assert_eq!(JournalEntry::decode(&bytes), None);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = JournalEntry::decode(&bytes);
    }
}
