//! The two seams between the job and Kafka: [`Fetcher`] brings records of wanted partitions,
//! [`GroupClient`] knows which partitions are ours and what the group has committed.
//!
//! Whatever a client library believes it delivered, the only authority for the next
//! offset is what the log file holds: positions are the caller's, on both seams.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;

use super::lease::Lease;
use super::protocol::frame::Frame;
use super::protocol::records::{self, Aborted, DecodeError, Decoded, Scratch};
use crate::error::Fault;
use crate::record::{Commit, OffsetMetadata, Record, TopicPartition};

/// Consecutive records of one partition, as one reply brought them.
pub struct Fetched {
    /// Which partition.
    pub partition: TopicPartition,
    /// The offset that was asked for.
    pub from: i64,
    /// The first offset that the broker has of it, where it tells; above `from` it has
    /// left some out, as compaction does.
    pub base: i64,
    /// The offset to ask for next.
    pub next: i64,
    /// Which [`Fetcher::assignment`] this answers.
    pub assignment: u64,
    /// Records in the partition that are beyond `next`, as the broker last said.
    pub lag: u64,
    /// The last record's offset and fingerprint.
    pub last: Option<(i64, u32)>,
    /// What it holds in memory, in bytes.
    pub bytes: u64,
    /// The records.
    pub payload: Payload,
}

/// The records of a [`Fetched`], to be decoded in a worker.
pub enum Payload {
    /// Records that the client has decoded already.
    Decoded(Box<dyn DecodedRecords>),
    /// Bytes as the broker sent them, for our own decoder.
    RecordSet(RecordSet),
    /// None: retention deleted the whole stretch before it could be read.
    Deleted,
    /// None: nothing in the stretch can be read; most likely compaction emptied it.
    Absent,
}

/// Records that a client has decoded itself, such as those of the `kafka` crate's reply.
pub trait DecodedRecords: Send + Sync {
    /// Calls `each` for every record at or behind the offset asked for, in order.
    fn each(&self, each: &mut dyn FnMut(&Record<'_>));
}

/// A record set in a frame that others share.
pub struct RecordSet {
    pub(super) frame: Arc<Frame>,
    /// Where in the frame; whole entries.
    pub(super) set: Range<usize>,
    /// Aborted transactions in it; `None`: transactions do not matter.
    pub(super) aborted: Option<Vec<Aborted>>,
}

/// What [`Fetcher::next`] tells.
pub enum Event {
    /// Records.
    Fetched(Fetched),
    /// Nothing came in the time there was.
    Nothing,
    /// Nothing new; the brokers answer.
    Idle,
    /// A partition that was in trouble can be read again; it has nothing new.
    Recovered(TopicPartition),
    /// One partition, or without one all of them, cannot be read just now.
    Failed(Option<TopicPartition>, String),
    /// Nobody had a position: this is where the partition begins for us.
    Resolved(TopicPartition, i64),
    /// The record before the position is not the one that landed: the topic was made
    /// anew or truncated. The newest landmark that still agrees is followed by this
    /// offset, or it is the log's start. Nothing is read until it is wanted again.
    Diverged(TopicPartition, i64),
    /// Nothing more comes for this want of it. It is to be wanted again once all that
    /// was fetched has landed: another broker may lead it, so that the log is to be
    /// compared again.
    Relinquished(TopicPartition, u64),
}

/// From where to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOffset {
    /// An offset. First the log is compared with these landmarks: offset and
    /// fingerprint of records that landed, oldest first.
    At(i64, Vec<(i64, u32)>),
    /// The first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
}

/// Reads wanted partitions. Never blocks longer than it is told to.
pub trait Fetcher: Send {
    /// Reads this partition from here on; replaces an earlier want of it. `assignment`
    /// comes back with what is fetched, so that older answers can be told.
    fn assign(&mut self, partition: &TopicPartition, start: StartOffset, assignment: u64);

    /// Reads it no more. What was fetched already may still come.
    fn unassign(&mut self, partition: &TopicPartition);

    /// What happens next; waits until `until` at most.
    ///
    /// # Errors
    /// `Retry`: to be built anew. `Fatal`: this cluster cannot be read by this client as configured.
    fn next(&mut self, until: Instant) -> Result<Event, Fault>;
}

/// A partition that is ours from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Which one.
    pub partition: TopicPartition,
    /// The group's offset; `None`: it has none.
    pub committed: Option<i64>,
    /// What stands beside it.
    pub metadata: OffsetMetadata,
    /// Found later than the first partitions of its topic: it starts at its first record.
    pub new: bool,
}

/// What [`GroupClient::next`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// Nothing has changed.
    Unchanged,
    /// The group was reached; nothing has changed.
    Reached,
    /// These partitions are ours too.
    Assigned(Vec<Assigned>),
    /// The group holds these offsets now; of what was to be committed with them, others
    /// may be refused, and are to be committed again.
    Committed(Vec<(TopicPartition, i64)>),
    /// The group cannot be reached or refuses; it is tried again.
    Failed(String),
    /// All partitions are to be let go, until then at most: stop reading, let what is in
    /// hand land and settle, commit, then call [`GroupClient::confirm_release`]. What is ours
    /// afterwards comes with [`GroupEvent::Assigned`].
    Revoked(Instant),
    /// No partition is ours any more: drop what is in hand and has not landed, settle
    /// what has, then call [`GroupClient::confirm_release`].
    Lost,
    /// The coordinator knows this member by another name; whoever gives it after a restart
    /// is the same member.
    Named {
        /// The name.
        id: String,
        /// See [`super::Cluster::silent`].
        silent: bool,
    },
    /// Somebody else has joined with this member's own name: it stays down, for this reason.
    Fenced(String),
}

/// The group: which partitions are ours, and their committed offsets.
pub trait GroupClient: Send {
    /// What has happened; does not wait.
    ///
    /// # Errors
    /// `Fatal`: the group cannot be used as configured.
    fn next(&mut self) -> Result<GroupEvent, Fault>;

    /// Commits in the background, until it is done; answered by [`GroupEvent::Committed`].
    /// The caller waits for the answer before it commits again.
    fn commit(&mut self, offsets: Vec<Commit>);

    /// Waits for a commit under way until `until` at most, then takes leave.
    fn finish_commit(&mut self, until: Instant) -> Option<Vec<(TopicPartition, i64)>>;

    /// Nothing of what was ours is in hand any more: see [`GroupEvent::Revoked`].
    fn confirm_release(&mut self) {}

    /// As long as it holds, nobody else can have what is ours.
    fn lease(&self) -> Lease {
        Lease::permanent()
    }

    /// What is ours is free for others from now on; waits until `until` at most for the
    /// group to hear of it.
    fn leave_group(&mut self, _until: Instant) {}
}

/// Calls `each` for every record of what was fetched, in order, until it breaks.
///
/// # Errors
/// It cannot be read on; what came before was delivered.
pub fn records(
    fetched: &Fetched,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<Decoded, DecodeError> {
    match &fetched.payload {
        Payload::Decoded(decoded) => {
            decoded.each(&mut |record| _ = each(record));
            Ok(Decoded { next: fetched.next, last: fetched.last })
        }
        Payload::RecordSet(RecordSet { frame, set, aborted }) => {
            let set = frame.bytes().get(set.clone()).unwrap_or_default();
            records::decode(set, fetched.from, aborted.as_deref(), scratch, each)
        }
        Payload::Deleted | Payload::Absent => Ok(Decoded { next: fetched.next, last: None }),
    }
}
