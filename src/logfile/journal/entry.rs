//! What a journal says: the kinds of its entries. Pure.

use crate::logfile::disk::FileId;
use crate::record::TopicPartition;

/// Bytes before a range or a mark that its check covers. The check is needed because a new file can
/// get the device and inode numbers of one that was just deleted.
pub(in crate::logfile) const CHECKED_BYTES: usize = 4096;

/// A record that was written: its offset and its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landmark {
    /// The record's offset.
    pub offset: i64,
    /// See [`crate::record::Record::fingerprint`].
    pub fingerprint: u32,
}

/// What the journal knows of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to be written.
    pub position: i64,
    /// The random name of the history that the position belongs to. Compared for equality only.
    pub epoch: u64,
    /// The last records written, oldest first.
    pub landmarks: Vec<Landmark>,
    /// Offsets that the group may hold because this journal committed them without a token, oldest
    /// first.
    pub committed: Vec<i64>,
    /// Epochs of the histories that the partition has left most recently, and of claims that named
    /// no history, oldest first.
    pub left: Vec<u64>,
}

/// The position of one partition after a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionChange {
    /// The partition's number in this journal.
    pub index: u32,
    /// The next offset after the range.
    pub position: i64,
    /// The last record of the partition in the range; `None` if the range has none of its records.
    pub last: Option<Landmark>,
}

/// One write to the log file. It is journalled before the write, so that the next start can compare
/// it with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The number of the range. Each range of a journal has the next number.
    pub sequence: u64,
    /// The file that the bytes are in.
    pub file: FileId,
    /// The first byte.
    pub from: u64,
    /// One past the last byte.
    pub to: u64,
    /// CRC-32 of the bytes.
    pub crc: u32,
    /// CRC-32 of the [`CHECKED_BYTES`] before the first byte.
    pub before: u32,
    /// The positions after the range.
    pub changes: Vec<PositionChange>,
}

/// The log file is durable up to the range `sequence`. Written after the file was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The last range that is durable.
    pub sequence: u64,
    /// The log file.
    pub file: FileId,
    /// The length up to which it is durable.
    pub end: u64,
    /// CRC-32 of the [`CHECKED_BYTES`] before the end.
    pub before: u32,
    /// What is about to be committed.
    pub commits: Vec<MarkedCommit>,
}

/// How a commit changes the list of offsets that the group may hold, see
/// [`PartitionState::committed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedCommit {
    /// The partition's number in this journal.
    pub index: u32,
    /// The offset for which this run's last commit was acknowledged. The group can no longer hold
    /// an offset committed before that one.
    pub acknowledged: Option<i64>,
    /// The offset that is about to be committed without a token. `None`: the group holds a token of
    /// the present history, so it holds none of the earlier offsets.
    pub value: Option<i64>,
}

/// The member that this journal's pandad was in its consumer group. A restart joins as the same
/// member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The member id that the group's coordinator gave.
    pub id: String,
    /// Whether the coordinator does not answer ApiVersions, as brokers before 0.10 do not. The next run
    /// then waits only a short time for that answer.
    pub silent: bool,
}

/// One run of the program, as far as it matters for what the log file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The kernel's boot id. Within one boot, every byte of ours in the file has a journalled
    /// range. After another boot, the disk may hold lines whose range it does not hold.
    pub boot: u128,
    /// Whether the run ended with everything settled. Then, too, every byte of ours has its range.
    pub closed: bool,
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEntry {
    /// Gives a partition its number, or replaces all that is known of the partition.
    Partition(u32, PartitionState),
    /// A write was begun.
    Range(Range),
    /// Everything up to the mark is settled.
    Mark(Mark),
    /// A run began, or ended with everything settled.
    Session(Session),
    /// The group's coordinator gave this pandad another member id.
    Member(MemberIdentity),
}
