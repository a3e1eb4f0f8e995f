//! What a journal says: the kinds of its entries. Pure.

use std::path::PathBuf;

use super::held::HeldOffsets;
use super::scope::RouteScope;
use crate::logfile::disk::FileId;
use crate::record::{EpochStart, LeaderEpochs, TopicId, TopicPartition};

/// A range and a mark carry a check of this many bytes of the log file before them. The check is needed
/// because a new file can get the device and inode numbers of a file that was just deleted.
pub(in crate::logfile) const CHECKED_BYTES: usize = 4096;

/// The number of a file in its journal.
pub type FileNumber = u32;

/// The number of the file of a journal that has only one. Such a journal names no paths.
pub(in crate::logfile) const ONLY_FILE: FileNumber = 0;

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
    /// The offsets whose lines were written. `None`: an older pandad has written the journal, and no start
    /// has taken it over yet.
    pub held: Option<HeldOffsets>,
    /// The identities of the journals that had the partition before this one took these over, oldest first.
    /// What was committed under these is this journal's own.
    pub former: Vec<u128>,
    /// The topic that the position belongs to; `None` if no broker has told it.
    pub topic_id: Option<TopicId>,
    /// The leader epochs of what was read, as far as they are known.
    pub leader_epochs: LeaderEpochs,
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

/// One write to the log file. It is journalled before the lines are written, so that the next start can
/// compare it with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The number of the range. Each range of a journal has the next number.
    pub sequence: u64,
    /// The bytes that were written, of each file. The range counts only if all of them are in their files.
    pub parts: Vec<RangePart>,
    /// The positions after the range.
    pub changes: Vec<PositionChange>,
}

impl Range {
    /// The bytes in this file.
    pub(in crate::logfile) fn part_of(&self, number: FileNumber) -> Option<&RangePart> {
        self.parts.iter().find(|part| part.number == number)
    }
}

impl Mark {
    /// A mark of the only file of a journal, at this place.
    pub(in crate::logfile) fn of_only_file(sequence: u64, place: FilePlace) -> Self {
        let files = vec![MarkedFile { number: ONLY_FILE, name: None, place }];
        Self { sequence, files, ..Self::default() }
    }
}

/// Where the bytes of a range are in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangePart {
    /// The file's number in this journal.
    pub number: FileNumber,
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
}

/// Up to where a file is durable, and what identifies the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlace {
    /// The file.
    pub file: FileId,
    /// The length up to which the file is durable.
    pub end: u64,
    /// CRC-32 of the [`CHECKED_BYTES`] before the end.
    pub before: u32,
    /// How the file begins. `None` if the place was read from a journal of version 1 or 2.
    pub head: Option<FileHead>,
}

/// How a file begins. Together with the bytes before a mark this distinguishes the file from every other,
/// whatever device and inode numbers it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileHead {
    /// How many bytes are covered, at most [`CHECKED_BYTES`].
    pub length: u32,
    /// CRC-32 of these bytes.
    pub crc: u32,
}

impl FileHead {
    /// Records that the file has grown by these bytes.
    pub(in crate::logfile) fn extend(&mut self, bytes: &[u8]) {
        let room = CHECKED_BYTES.saturating_sub(self.length as usize);
        let Some(more) = bytes.get(..bytes.len().min(room)).filter(|more| !more.is_empty()) else { return };
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc);
        hasher.update(more);
        self.crc = hasher.finalize();
        self.length += u32::try_from(more.len()).unwrap_or(0);
    }
}

/// Which of several files a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The file's path below the journal's directory. So a copy of the directory is a set of its own.
    pub path: PathBuf,
    /// When the period ends whose records go there, in milliseconds since 1970, if the path shows a time.
    pub until: Option<i64>,
    /// Whose records can go there.
    pub scope: RouteScope,
}

/// What a mark says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedFile {
    /// The file's number in this journal.
    pub number: FileNumber,
    /// Which file it is, if this journal has several files and the mark begins one, or repeats that.
    pub name: Option<NamedFile>,
    /// Up to where the file is durable.
    pub place: FilePlace,
}

/// A complete file that is about to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosingFile {
    /// The file's number in this journal.
    pub number: FileNumber,
    /// Where it goes, below the directory of complete files. Nothing was there when this was written.
    pub to: PathBuf,
}

/// No period ends by then.
pub(in crate::logfile) const NOTHING_COMPLETE: i64 = i64::MIN;

/// The log files are durable up to the range `sequence`. Written after the files were synced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The last range that is durable.
    pub sequence: u64,
    /// Earlier ranges that are not durable yet, because their files take nothing at present.
    pub held: Vec<u64>,
    /// The files of which the place has changed.
    pub files: Vec<MarkedFile>,
    /// Files that are about to be moved to other paths. Nothing is written to these any more, and from now on
    /// their absence is no loss.
    pub closing: Vec<ClosingFile>,
    /// Files that are finished: nothing is written to these any more.
    pub finished: Vec<FileNumber>,
    /// Files that no start could examine since a loss of power: they may hold lines whose ranges are lost.
    pub unexamined: Vec<FileNumber>,
    /// By when periods end that are complete, for files of these scopes. [`NOTHING_COMPLETE`] takes an
    /// earlier word back.
    pub complete: Vec<(RouteScope, i64)>,
    /// The offsets that are about to be committed.
    pub commits: Vec<MarkedCommit>,
    /// What the mark repeats of earlier entries.
    pub repeat: MarkRepeat,
}

/// What a mark repeats of the entries before it, so that the mark can replace damaged ones. All numbers are
/// bytes of the half that the mark is in, or sequence numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarkRepeat {
    /// Whether the mark belongs to a snapshot: then it repeats every position, and all unsettled ranges
    /// come after it.
    pub is_snapshot: bool,
    /// The number of the latest range whose entry was in the journal before this mark was written.
    pub announced: u64,
    /// The byte of the half up to which the last successful sync had made the journal durable.
    pub synced_to: u64,
    /// The mark repeats what the entries from this byte on changed.
    pub since: u64,
    /// Positions that changed.
    pub positions: Vec<PositionChange>,
    /// Partitions of which more than the position changed.
    pub partitions: Vec<RepeatedPartition>,
}

/// A mark's full copy of the state of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatedPartition {
    /// The partition's number in this journal.
    pub index: u32,
    /// The number of the last range that no longer counts for the partition's position; earlier ranges do not
    /// count either.
    pub void: u64,
    /// The state of the partition.
    pub state: PartitionState,
}

/// How a commit changes the list of offsets that the group may hold, see
/// [`PartitionState::committed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedCommit {
    /// The partition's number in this journal.
    pub index: u32,
    /// The offset for which this run's last commit was acknowledged. The group can no longer hold an offset
    /// that was committed earlier.
    pub acknowledged: Option<i64>,
    /// The offset that is about to be committed without a token. `None`: the group holds a token of the
    /// present history, so it holds none of the earlier offsets.
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

/// One run of the program: the facts that decide what the log file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The kernel's boot id. Within one boot, every byte of pandad's in the file has a journalled range.
    /// After another boot, the disk may hold lines but not the range that announced them.
    pub boot: u128,
    /// Whether the run ended with everything settled. Then, too, every byte of pandad's has its range.
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
    /// The position of the partition with this number belongs to this topic.
    Topic(u32, TopicId),
    /// What was read of the partition with this number has this leader epoch from this offset on.
    LeaderEpoch(u32, EpochStart),
    /// The positions belong to the cluster with this id.
    Cluster(String),
    /// An entry of a kind that this pandad does not know and may pass over.
    Unknown(u8),
}
