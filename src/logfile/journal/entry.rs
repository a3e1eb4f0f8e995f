//! What the journal says: its entries and their bytes. Pure.
//!
//! All numbers are big-endian. An entry is framed by its place in the file
//! (`area`), which also carries its length and its CRC, so a payload decoded here
//! is one that was written whole.

use crate::logfile::disk::FileId;
use crate::record::TopicPartition;

/// How many bytes before a range or a mark its check covers: a file's numbers
/// (device, inode) are reused at once after it is deleted, so they prove nothing.
pub(in crate::logfile) const CHECKED_BYTES: usize = 4096;

/// A record that landed: its offset and its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landmark {
    /// The record's offset.
    pub offset: i64,
    /// [`crate::record::Record::fingerprint`].
    pub fingerprint: u32,
}

/// What is known of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// Which partition.
    pub partition: TopicPartition,
    /// The next offset to land.
    pub position: i64,
    /// The name of the history this position belongs to; compared for equality only.
    pub epoch: u64,
    /// The last records landed, oldest first.
    pub landmarks: Vec<Landmark>,
    /// Values that the group may hold by commits of this journal's own that carry no token,
    /// oldest first.
    pub committed: Vec<i64>,
    /// The names of the last histories that were left for another, or that were claimed and are
    /// none, oldest first.
    pub left: Vec<u64>,
}

/// A partition's position after a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionChange {
    /// Which partition, by its number in this journal.
    pub index: u32,
    /// The next offset after the range.
    pub position: i64,
    /// The last record in the range; `None` when it holds no record of this partition.
    pub last: Option<Landmark>,
}

/// One write to the log file. Journalled before the write, so that at the next start
/// the file can be compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Counts the ranges of this journal.
    pub sequence: u64,
    /// Where it is.
    pub file: FileId,
    /// First byte.
    pub from: u64,
    /// One past the last byte.
    pub to: u64,
    /// CRC-32 of the bytes.
    pub crc: u32,
    /// CRC-32 of the 4 KiB before the first byte.
    pub before: u32,
    /// The positions after it.
    pub changes: Vec<PositionChange>,
}

/// Everything up to `sequence` is durable; written after the file was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The last range that is durable.
    pub sequence: u64,
    /// The file that is written to.
    pub file: FileId,
    /// Its length as far as it is durable.
    pub end: u64,
    /// CRC-32 of the 4 KiB before the end.
    pub before: u32,
    /// What is about to be committed.
    pub commits: Vec<MarkedCommit>,
}

/// What a commit changes of the values that the group may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedCommit {
    /// Which partition, by its number in this journal.
    pub index: u32,
    /// The value that this run's last commit was acknowledged with: what was committed
    /// before that can no longer be what the group holds.
    pub acknowledged: Option<i64>,
    /// The value that is about to be committed without a token; `None`: the group holds
    /// a token of the present history, so all earlier values are gone.
    pub value: Option<i64>,
}

/// Who this journal's pandad was in its consumer group, to be the same after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The name that the group's coordinator gave.
    pub id: String,
    /// Whether the coordinator does not say what it speaks, as Kafka 0.9 does not: waited
    /// for once, that need not be waited for long at the next start.
    pub silent: bool,
}

/// A run of the program, as far as it bears on what the file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The kernel's boot id. After another boot, lines may be on the disk whose ranges
    /// are not; within one boot, nothing of ours is in the file that is not journalled.
    pub boot: u128,
    /// Whether the run ended with everything settled: then nothing of ours is unjournalled.
    pub closed: bool,
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEntry {
    /// Gives a partition its number, or replaces all that is known of it.
    Partition(u32, PartitionState),
    /// A write.
    Range(Range),
    /// A settling.
    Mark(Mark),
    /// A run began, or ended cleanly.
    Session(Session),
    /// The group knows this pandad by another name now.
    Member(MemberIdentity),
}

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
                    // -1 is no offset.
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

    /// Reads a payload. `None`: it is not one of this version's.
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
    // Lists are bounded far below this by the frame's own length.
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
        // Version 1 had none.
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

/// Takes fields off the front; `None` where there are not enough bytes.
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

    /// A counted list. It grows as it is read, so a wrong count costs no memory.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(item(self)?);
        }
        Some(list)
    }
}
