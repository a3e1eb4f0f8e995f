//! What the three threads of a member send the owner and each other.

use std::time::Instant;

use crossbeam_channel::Sender;

use super::topic_snapshot::TopicSnapshot;
use crate::error::Fault;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::GenerationMember;
use crate::kafka::seam::{Assigned, GroupEvent};
use crate::record::{Commit, TopicPartition};

/// What the threads tell the owner.
pub(super) enum OwnerMessage {
    Event(GroupEvent),
    /// This part does not get on, and why; or it does again.
    Failed(GroupThread, String),
    Recovered(GroupThread),
    /// Let go until then; the number comes back with the answer.
    Revoked(u64, Instant),
    Lost(u64),
    /// These are the owner's, unless it has been asked to let go more often than that.
    Assigned(u64, Vec<Assigned>),
    Named(String, bool),
    Fenced(String),
    Fault(Fault),
}

/// The threads, as far as each may be in trouble while the others are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GroupThread {
    Member,
    Offsets,
    Topics,
}

/// What the member is told.
pub(super) enum MemberOrder {
    /// The topics are like this now.
    Topics(TopicSnapshot),
    /// The owner has let go of the share; the number is that of the question.
    Released(u64),
    /// A commit of this generation was refused.
    Refused(i32, ErrorCode),
    /// Leave the group, and say when that is done.
    Leave(Sender<()>),
}

/// What the thread is asked for.
pub(super) enum KeeperOrder {
    /// This is the member's share from now on.
    Assign(MemberAssignment),
    /// Commit these offsets of the share.
    Commit(Vec<Commit>),
    /// The share is given back: what is not committed will not be.
    Released,
}

/// A member's share of one generation.
#[derive(Debug, Clone)]
pub(super) struct MemberAssignment {
    /// How often the owner had been asked to let go when it came.
    pub(super) number: u64,
    pub(super) generation: i32,
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) partitions: Vec<TopicPartition>,
}

impl MemberAssignment {
    pub(super) fn member(&self) -> GenerationMember<'_> {
        GenerationMember { generation: self.generation, id: &self.id, instance: self.instance.as_deref() }
    }
}
