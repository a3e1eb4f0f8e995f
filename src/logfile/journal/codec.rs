//! How a journal's entries are written as bytes and read again. All numbers are big-endian.

use super::entry::{
    JournalEntry, Landmark, Mark, MarkedCommit, MemberIdentity, PartitionState, PositionChange, Range,
    Session,
};
use crate::logfile::disk::FileId;
use crate::record::TopicPartition;

const KIND_PARTITION: u8 = 1;
const KIND_RANGE: u8 = 2;
const KIND_MARK: u8 = 3;
const KIND_SESSION: u8 = 4;
const KIND_MEMBER: u8 = 5;

impl JournalEntry {
    /// Appends the entry's payload.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            JournalEntry::Partition(index, state) => {
                out.push(KIND_PARTITION);
                out.extend_from_slice(&index.to_be_bytes());
                encode_state(out, state);
            }
            JournalEntry::Range(range) => {
                out.push(KIND_RANGE);
                out.extend_from_slice(&range.sequence.to_be_bytes());
                encode_place(out, range.file, range.from, range.before);
                out.extend_from_slice(&range.to.to_be_bytes());
                out.extend_from_slice(&range.crc.to_be_bytes());
                encode_count(out, range.changes.len());
                for change in &range.changes {
                    out.extend_from_slice(&change.index.to_be_bytes());
                    out.extend_from_slice(&change.position.to_be_bytes());
                    out.push(u8::from(change.last.is_some()));
                    if let Some(last) = &change.last {
                        encode_landmark(out, last);
                    }
                }
            }
            JournalEntry::Mark(mark) => {
                out.push(KIND_MARK);
                out.extend_from_slice(&mark.sequence.to_be_bytes());
                encode_place(out, mark.file, mark.end, mark.before);
                encode_count(out, mark.commits.len());
                for commit in &mark.commits {
                    out.extend_from_slice(&commit.index.to_be_bytes());
                    out.push(u8::from(commit.acknowledged.is_some()));
                    out.extend_from_slice(&commit.acknowledged.unwrap_or(0).to_be_bytes());
                    // -1 stands for no offset.
                    out.extend_from_slice(&commit.value.unwrap_or(-1).to_be_bytes());
                }
            }
            JournalEntry::Session(session) => {
                out.push(KIND_SESSION);
                out.extend_from_slice(&session.boot.to_be_bytes());
                out.push(u8::from(session.closed));
            }
            JournalEntry::Member(member) => {
                out.push(KIND_MEMBER);
                encode_count(out, member.id.len());
                out.extend_from_slice(member.id.as_bytes());
                out.push(u8::from(member.silent));
            }
        }
    }

    /// Whether [`Self::decode`] makes the same entry of what [`Self::encode`] writes. Decoding each
    /// range again would cost nearly as much as writing it, so the values are looked at instead.
    pub(super) fn is_expressible(&self) -> bool {
        match self {
            JournalEntry::Mark(mark) => mark.commits.iter().all(|commit| commit.value.is_none_or(|v| v >= 0)),
            JournalEntry::Partition(..)
            | JournalEntry::Range(_)
            | JournalEntry::Session(_)
            | JournalEntry::Member(_) => true,
        }
    }

    /// Reads a payload. `None`: it is not an entry of this version of the format.
    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = EntryReader(payload);
        let entry = match reader.u8()? {
            KIND_PARTITION => JournalEntry::Partition(reader.u32()?, decode_state(&mut reader)?),
            KIND_RANGE => JournalEntry::Range(decode_range(&mut reader)?),
            KIND_MARK => JournalEntry::Mark(decode_mark(&mut reader)?),
            KIND_SESSION => {
                let boot = u128::from_be_bytes(reader.array()?);
                JournalEntry::Session(Session { boot, closed: reader.u8()? != 0 })
            }
            KIND_MEMBER => {
                let length = reader.u32()? as usize;
                let id = std::str::from_utf8(reader.bytes(length)?).ok()?.to_owned();
                JournalEntry::Member(MemberIdentity { id, silent: reader.u8()? != 0 })
            }
            _ => return None,
        };
        reader.0.is_empty().then_some(entry)
    }
}

fn encode_count(out: &mut Vec<u8>, count: usize) {
    // The length of the frame keeps lists far below this count.
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn encode_landmark(out: &mut Vec<u8>, landmark: &Landmark) {
    out.extend_from_slice(&landmark.offset.to_be_bytes());
    out.extend_from_slice(&landmark.fingerprint.to_be_bytes());
}

fn encode_place(out: &mut Vec<u8>, file: FileId, at: u64, before: u32) {
    out.extend_from_slice(&file.device.to_be_bytes());
    out.extend_from_slice(&file.inode.to_be_bytes());
    out.extend_from_slice(&at.to_be_bytes());
    out.extend_from_slice(&before.to_be_bytes());
}

fn encode_state(out: &mut Vec<u8>, state: &PartitionState) {
    encode_count(out, state.partition.topic.len());
    out.extend_from_slice(state.partition.topic.as_bytes());
    out.extend_from_slice(&state.partition.partition.to_be_bytes());
    out.extend_from_slice(&state.position.to_be_bytes());
    out.extend_from_slice(&state.epoch.to_be_bytes());
    encode_count(out, state.landmarks.len());
    for landmark in &state.landmarks {
        encode_landmark(out, landmark);
    }
    encode_count(out, state.committed.len());
    for value in &state.committed {
        out.extend_from_slice(&value.to_be_bytes());
    }
    encode_count(out, state.left.len());
    for epoch in &state.left {
        out.extend_from_slice(&epoch.to_be_bytes());
    }
}

fn decode_state(reader: &mut EntryReader<'_>) -> Option<PartitionState> {
    let length = reader.u32()? as usize;
    let topic = std::str::from_utf8(reader.bytes(length)?).ok()?;
    Some(PartitionState {
        partition: TopicPartition::new(topic, reader.i32()?),
        position: reader.i64()?,
        epoch: reader.u64()?,
        landmarks: reader.list(decode_landmark)?,
        committed: reader.list(EntryReader::i64)?,
        // Version 1 of the format had no such list.
        left: if reader.0.is_empty() { Vec::new() } else { reader.list(EntryReader::u64)? },
    })
}

fn decode_landmark(reader: &mut EntryReader<'_>) -> Option<Landmark> {
    Some(Landmark { offset: reader.i64()?, fingerprint: reader.u32()? })
}

fn decode_file(reader: &mut EntryReader<'_>) -> Option<FileId> {
    Some(FileId { device: reader.u64()?, inode: reader.u64()? })
}

fn decode_range(reader: &mut EntryReader<'_>) -> Option<Range> {
    Some(Range {
        sequence: reader.u64()?,
        file: decode_file(reader)?,
        from: reader.u64()?,
        before: reader.u32()?,
        to: reader.u64()?,
        crc: reader.u32()?,
        changes: reader.list(|reader| {
            Some(PositionChange {
                index: reader.u32()?,
                position: reader.i64()?,
                last: match reader.u8()? {
                    0 => None,
                    _ => Some(decode_landmark(reader)?),
                },
            })
        })?,
    })
}

fn decode_mark(reader: &mut EntryReader<'_>) -> Option<Mark> {
    Some(Mark {
        sequence: reader.u64()?,
        file: decode_file(reader)?,
        end: reader.u64()?,
        before: reader.u32()?,
        commits: reader.list(|reader| {
            let index = reader.u32()?;
            let known = reader.u8()? != 0;
            let acknowledged = Some(reader.i64()?).filter(|_| known);
            let value = Some(reader.i64()?).filter(|value| *value >= 0);
            Some(MarkedCommit { index, acknowledged, value })
        })?,
    })
}

/// Takes fields off the front. Returns `None` if there are not enough bytes.
struct EntryReader<'a>(&'a [u8]);

impl<'a> EntryReader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A list with its count in front. The list grows as it is read, so a wrong count allocates
    /// nothing.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(item(self)?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
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
        let lists =
            (proptest::collection::vec(landmark(), 0..9), proptest::collection::vec(any::<i64>(), 0..9));
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
        let values = proptest::option::of(prop_oneof![-3..3i64, 0..i64::MAX]);
        let commit = (any::<u32>(), any::<Option<i64>>(), values)
            .prop_map(|(index, acknowledged, value)| MarkedCommit { index, acknowledged, value });
        let session =
            any::<(u128, bool)>().prop_map(|(boot, closed)| JournalEntry::Session(Session { boot, closed }));
        let mark = (any::<u64>(), file(), any::<(u64, u32)>(), proptest::collection::vec(commit, 0..5))
            .prop_map(|(sequence, file, (end, before), commits)| {
                JournalEntry::Mark(Mark { sequence, file, end, before, commits })
            });
        let member = ("[a-zA-Z0-9-]{0,60}", any::<bool>())
            .prop_map(|(id, silent)| JournalEntry::Member(MemberIdentity { id, silent }));
        let partition = (any::<u32>(), state()).prop_map(|(i, s)| JournalEntry::Partition(i, s));
        prop_oneof![partition, range, mark, session, member]
    }

    proptest! {
        #[test]
        fn entries_are_decoded_as_encoded_or_not_expressible(entry in entry()) {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            let is_same = JournalEntry::decode(&bytes).is_some_and(|read| read == entry);
            prop_assert_eq!(is_same, entry.is_expressible());
            bytes.pop();
            prop_assert_eq!(JournalEntry::decode(&bytes), None);
        }

        #[test]
        fn decoding_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = JournalEntry::decode(&bytes);
        }
    }
}
