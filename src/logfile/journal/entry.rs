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
