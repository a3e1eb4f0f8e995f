//! The messages between the three threads of a member and their owner.

use std::time::Instant;

use crossbeam_channel::Sender;

use super::offset_manager::Committer;
use super::topic_snapshot::TopicSnapshot;
use crate::error::Fault;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::seam::{Assigned, GroupEvent};
use crate::record::{Commit, TopicPartition};

/// Messages of the threads to the owner.
pub(super) enum OwnerMessage {
    Event(GroupEvent),
    /// This thread fails, for this reason; it tries again.
    Failed(GroupThread, String),
    /// This thread, which failed before, works again.
    Recovered(GroupThread),
    /// All partitions are to be released until this time. The number of the revocation comes back
    /// with [`MemberOrder::Released`].
    Revoked(u64, Instant),
    /// All partitions are lost; the number is as in `Revoked`.
    Lost(u64),
    /// These partitions are assigned, unless a revocation with a higher number came since.
    Assigned(u64, Vec<Assigned>),
    /// The coordinator has given this member id. The flag says whether its broker leaves ApiVersions
    /// unanswered.
    Named(String, bool),
    /// Another member has joined with the same `group.instance.id`. The text says what to do.
    Fenced(String),
    /// The thread has ended, because trying again cannot help.
    Fault(Fault),
}

/// The threads of a member. Each can fail while the others work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GroupThread {
    Member,
    Offsets,
    Topics,
}

/// Messages to the member thread.
pub(super) enum MemberOrder {
    /// The partition counts of the topics.
    Topics(TopicSnapshot),
    /// The owner has released all partitions, as the revocation of this number asked.
    Released(u64),
    /// A commit of this generation was refused with this code.
    Refused(i32, ErrorCode),
    /// Leave the group, and confirm it on this channel.
    Leave(Sender<()>),
}

/// Messages to the offset keeper.
pub(super) enum KeeperOrder {
    /// The assignment of a new generation.
    Assign(MemberAssignment),
    /// Commit these offsets of the assignment.
    Commit(Vec<Commit>),
    /// The assignment has been released. Offsets that are not committed by now must not be committed any
    /// more.
    Released,
}

/// A member's assignment in one generation.
#[derive(Debug, Clone)]
pub(super) struct MemberAssignment {
    /// The number of revocations before this assignment.
    pub(super) number: u64,
    pub(super) committer: Committer,
    pub(super) partitions: Vec<TopicPartition>,
}
