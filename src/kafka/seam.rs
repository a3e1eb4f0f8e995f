//! The seams between a job and Kafka, two traits: a [`Fetcher`] reads assigned partitions, a
//! [`GroupClient`] says which partitions are assigned and what the group has committed.
//!
//! The log file alone decides the next offset of a partition, whatever a client believes to have delivered.
//! So on both seams positions belong to the caller.

mod record_set;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

pub use record_set::RecordSet;

use super::lease::Lease;
use super::protocol::records::{DecodeError, Decoded, Scratch};
use crate::error::Fault;
use crate::record::{Commit, EpochStart, LeaderEpochs, OffsetMetadata, Record, TopicId, TopicPartition};

/// Consecutive records of one partition, out of one reply.
pub struct Fetched {
    /// The partition.
    pub partition: TopicPartition,
    /// The requested offset.
    pub from: i64,
    /// The base offset of the first batch, if the broker has sent it, otherwise `from`. If it is
    /// above `from`, the broker has left records out, as compaction does.
    pub base: i64,
    /// The offset to request next.
    pub next: i64,
    /// The number of the [`Fetcher::assign`] by which these records were fetched.
    pub assignment: u64,
    /// How many records the partition has from `next` on, by the broker's last reply.
    pub lag: u64,
    /// The broker that sent them, `host:port`, if it is known.
    pub broker: Option<Arc<str>>,
    /// Offset and fingerprint of the last record, if they are known without decoding.
    pub last: Option<(i64, u32)>,
    /// How much memory the records take, in bytes.
    pub bytes: u64,
    /// The leader epochs of the records, if the client sees these.
    pub epochs: Vec<EpochStart>,
    /// The records.
    pub payload: Payload,
}

/// The records of a [`Fetched`]. A worker decodes them.
pub enum Payload {
    /// Records that the client has decoded already.
    Decoded(Box<dyn DecodedRecords>),
    /// A record set as the broker sent it, for pandad's own decoder.
    RecordSet(RecordSet),
    /// No records: the broker deleted the whole range (retention) before it was read.
    Deleted,
    /// No records: nothing in the range can be read; most likely compaction removed it.
    Absent,
}

/// Records that a client has decoded itself, such as those in a reply of the `kafka` crate.
pub trait DecodedRecords: Send + Sync {
    /// Calls `each` for every record at or above the requested offset, in order.
    fn each(&self, each: &mut dyn FnMut(&Record<'_>));
}

/// What [`Fetcher::next`] returns.
pub enum Event {
    /// Records.
    Fetched(Fetched),
    /// Nothing happened until the given time.
    Nothing,
    /// The brokers answer, and have nothing new.
    Idle,
    /// The partition can be read, for the first time or again, and no records came.
    Recovered {
        /// The partition.
        partition: TopicPartition,
        /// The number of the [`Fetcher::assign`] that this event belongs to.
        assignment: u64,
        /// How many records the log has from the position on.
        lag: u64,
    },
    /// The log of the partition has another number of records from the position on, and none of these came.
    Lag {
        /// The partition.
        partition: TopicPartition,
        /// The number of the [`Fetcher::assign`] that this event belongs to.
        assignment: u64,
        /// How many records the log has from the position on.
        lag: u64,
    },
    /// No partition can be read now. The text says why.
    Failed(String),
    /// The leaders of partitions cannot be looked up now; other partitions are read. The text says why.
    LookUpFailed(String),
    /// The leaders can be looked up again.
    LookUpRecovered,
    /// One partition cannot be read now.
    PartitionFailed(FailedPartition),
    /// These partitions were assigned without a position, and it is known where they start.
    Resolved(Vec<ResolvedStart>),
    /// The log is not the one that was read: the record before the position differs from the one in
    /// the log file, because the topic was recreated or truncated. The offset follows the newest
    /// landmark that still agrees; if none does, it is the start of the log. Nothing is read until
    /// the partition is assigned again.
    Diverged {
        /// The partition.
        partition: TopicPartition,
        /// The number of the [`Fetcher::assign`] that this event belongs to.
        assignment: u64,
        /// Where reading may go on.
        next: i64,
        /// Why it is another log.
        why: DivergenceCause,
        /// The id of the present topic, if it is known.
        topic: Option<TopicId>,
    },
    /// The partition's log is that of this topic: its records are those that were read, or none was read.
    Identified {
        /// The partition.
        partition: TopicPartition,
        /// The number of the [`Fetcher::assign`] that this event belongs to.
        assignment: u64,
        /// The id of the topic.
        topic: TopicId,
    },
    /// No more events of this assignment follow, because another broker may lead the partition. Once
    /// all fetched records are written, the caller assigns it again, and the log is compared again.
    Relinquished(TopicPartition, u64),
}

impl Event {
    /// That this partition starts at this offset, which was found in this way.
    pub fn resolved(partition: TopicPartition, assignment: u64, (offset, basis): (i64, StartBasis)) -> Self {
        Event::Resolved(vec![ResolvedStart { partition, assignment, offset, basis, topic: None }])
    }
}

/// Where a partition starts that was assigned without a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedStart {
    /// The partition.
    pub partition: TopicPartition,
    /// The number of the [`Fetcher::assign`] that this event belongs to.
    pub assignment: u64,
    /// Its first offset to be read.
    pub offset: i64,
    /// How the offset was found.
    pub basis: StartBasis,
    /// The id of the topic, if it is known.
    pub topic: Option<TopicId>,
}

/// Why a partition's log is not the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DivergenceCause {
    /// A record differs from the one that was written.
    OtherRecords,
    /// The topic has another id, and its log ends below the position.
    EndsBefore,
    /// The topic has another id, and none of the records that were written last are there to be compared.
    NothingToCompare,
}

/// A partition that cannot be read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The broker that was asked, `host:port`; `None` if none is known to lead the partition.
    pub broker: Option<Arc<str>>,
    /// What has failed.
    pub kind: FailureKind,
    /// Why, and what to do about it if that is known.
    pub why: String,
    /// How many records the log has from the position on, if the broker says that all the same.
    pub lag: Option<u64>,
}

/// How the offset was found at which a partition starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartBasis {
    /// It is the first offset, or the end of the log, as asked.
    Bound,
    /// It is the first offset whose timestamp is at or after the moment.
    Timestamp,
    /// No record has a timestamp at or after the moment: it is the end that the log had.
    End,
    /// The broker, of a version before 0.10.1, knows only when each segment changed last. No record that
    /// was appended since the moment is before the offset, and others may follow it.
    Segments,
    /// Records have no timestamps, so the moment was looked for by the changes of the segments. If the
    /// broker does not tell these either, as from Kafka 4 on, it is the first offset.
    NoTimestamps,
}

/// What has failed when a partition cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The broker answers, and cannot serve this partition.
    Partition,
    /// The broker itself has failed, and with it every partition that it leads.
    Broker,
    /// No broker leads the partition.
    NoLeader,
}

/// What is known of the log that a position belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpectedLog {
    /// The id of the topic, if it is known.
    pub topic: Option<TopicId>,
    /// The leader epochs of what was read.
    pub epochs: LeaderEpochs,
}

/// Where to start reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOffset {
    /// At this offset. First the log is compared with these landmarks: offset and fingerprint of
    /// written records, oldest first.
    At(i64, Vec<(i64, u32)>),
    /// At the first record of the log.
    Earliest,
    /// At the end of the log.
    Latest,
    /// At the first offset whose timestamp is this one or later, in milliseconds since 1970.
    Since(i64),
}

/// Reads the assigned partitions. No call blocks longer than the caller allows.
pub trait Fetcher: Send {
    /// The log that the position of a partition belongs to, in the next [`Self::assign`] of that partition. A
    /// client that sees neither the ids of topics nor leader epochs passes over it.
    fn expect(&mut self, _partition: &TopicPartition, _log: ExpectedLog) {}

    /// Reads this partition from `start` on. Replaces an earlier assignment of it. The number `assignment`
    /// comes back in [`Fetched`], so that the caller can recognize records of an earlier assignment.
    fn assign(&mut self, partition: &TopicPartition, start: StartOffset, assignment: u64);

    /// Reads the partition no longer. Records that were fetched before may still come.
    fn unassign(&mut self, partition: &TopicPartition);

    /// The next event; waits for it at most until `until`.
    ///
    /// # Errors
    /// `Retry`: the fetcher must be created again. `Fatal`: this client cannot read this cluster as
    /// configured.
    fn next(&mut self, until: Instant) -> Result<Event, Fault>;
}

/// A partition that is assigned to this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The partition.
    pub partition: TopicPartition,
    /// The committed offset of the group; `None` if it has none.
    pub committed: Option<i64>,
    /// The metadata of that offset.
    pub metadata: OffsetMetadata,
    /// Whether the partition was added to its topic after the start. Such a partition is read from
    /// its first record on.
    pub new: bool,
}

/// What [`GroupClient::next`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// Nothing happened.
    Unchanged,
    /// The group can be reached, and nothing has changed.
    Reached,
    /// These partitions are assigned in addition to the earlier ones.
    Assigned(Vec<Assigned>),
    /// The group has these offsets now. Other offsets of the same commit may have been refused, and
    /// must be committed again.
    Committed(Vec<(TopicPartition, i64)>),
    /// The group refuses the offsets of these partitions, which are in the commit that is answered next,
    /// and may take those of others.
    Refused(Vec<TopicPartition>),
    /// The group cannot be reached, or refuses a request; the request is repeated. The text says
    /// why.
    Failed(String),
    /// All partitions are revoked, at this time at the latest. Until then the caller stops reading, writes
    /// and settles what is in flight, commits, and calls [`GroupClient::confirm_release`]. The next
    /// assignment comes as [`GroupEvent::Assigned`].
    Revoked(Instant),
    /// All partitions are lost already. The caller drops what is in flight and not written, settles
    /// what is written, and calls [`GroupClient::confirm_release`].
    Lost,
    /// The coordinator has given this member another id. A member with that id after a restart is
    /// the same member.
    Named {
        /// The member id.
        id: String,
        /// See [`super::Cluster::silent`].
        silent: bool,
    },
    /// Another member has joined with the same `group.instance.id` (KIP-345), so this one must
    /// stop. The text says what to do.
    Fenced(String),
}

/// The group: which partitions are assigned to this client, and their committed offsets.
pub trait GroupClient: Send {
    /// The next event; does not wait.
    ///
    /// # Errors
    /// `Fatal`: the group cannot be used as configured.
    fn next(&mut self) -> Result<GroupEvent, Fault>;

    /// Commits in the background, with as many attempts as needed. The answer is
    /// [`GroupEvent::Committed`]. The caller must receive it before it commits again.
    fn commit(&mut self, offsets: Vec<Commit>);

    /// Waits for the answer to a commit in flight, until `until` at most. `None` if no commit is in
    /// flight or no answer comes.
    fn finish_commit(&mut self, until: Instant) -> Option<Vec<(TopicPartition, i64)>>;

    /// Nothing of the revoked partitions is in flight any more; see [`GroupEvent::Revoked`].
    fn confirm_release(&mut self) {}

    /// While it holds, no other member can have the assigned partitions.
    fn lease(&self) -> Lease {
        Lease::permanent()
    }

    /// Leaves the group, so that others get the partitions at once. Waits until `until` at most for
    /// the coordinator to answer.
    fn leave_group(&mut self, _until: Instant) {}
}

/// Calls `each` for every fetched record, in order, until it breaks off.
///
/// # Errors
/// The records cannot be decoded to their end. Those before the fault were delivered.
pub fn records(
    fetched: &Fetched,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<Decoded, DecodeError> {
    records_from(fetched, fetched.from, scratch, each)
}

/// As [`records`], from this offset on.
///
/// # Errors
/// As of [`records`].
pub fn records_from(
    fetched: &Fetched,
    from: i64,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<Decoded, DecodeError> {
    match &fetched.payload {
        Payload::Decoded(decoded) => {
            decoded.each(&mut |record| {
                if record.offset >= from {
                    _ = each(record);
                }
            });
            Ok(Decoded { next: fetched.next, last: fetched.last })
        }
        Payload::RecordSet(set) => set.decode(from, scratch, each),
        Payload::Deleted | Payload::Absent => Ok(Decoded { next: fetched.next, last: None }),
    }
}

/// The offset behind the fetched batch that holds the record at `at`; `None` if that is not known.
pub fn batch_end(fetched: &Fetched, at: i64) -> Option<i64> {
    match &fetched.payload {
        Payload::RecordSet(set) => set.batch_end(at),
        Payload::Decoded(_) | Payload::Deleted | Payload::Absent => None,
    }
}
