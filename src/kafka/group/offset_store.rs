//! [`OffsetStore`]: reads and commits the offsets of a group, wherever they are stored.

use crate::error::Fault;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::GenerationMember;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// Where the offsets of a group are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetStorage {
    /// In Kafka, each with a metadata string.
    Kafka,
    /// In ZooKeeper, which stores no metadata.
    ZooKeeper,
}

/// The group's offset of one partition, if there is one, and its metadata.
pub(in crate::kafka) type HeldOffset = (Option<i64>, OffsetMetadata);
/// The answer for each requested partition, or why there is none.
pub(in crate::kafka) type HeldOffsets = Vec<(TopicPartition, Result<HeldOffset, Fault>)>;

/// An offset that the group refused to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct RefusedCommit {
    pub(in crate::kafka) partition: TopicPartition,
    /// The reason.
    pub(in crate::kafka) fault: Fault,
    /// The code, if the coordinator refuses the committing member itself. The member's assignment has ended
    /// then or is about to end, and the commit cannot succeed as this member any more.
    pub(in crate::kafka) membership: Option<ErrorCode>,
    /// Whether only this topic's offsets are refused: it is gone, or may not be read.
    pub(in crate::kafka) is_topics: bool,
}

/// Gives the epoch of the claim for an offset that somebody else has set; the arguments are partition,
/// offset and the group's generation. Every attempt must use the same epoch until the journal has recorded
/// the claim; the journal ensures that.
pub type ClaimNamer = Box<dyn Fn(&TopicPartition, i64, i32) -> u64 + Send>;

/// Reads and commits the offsets of one group. Each call is one attempt; the caller pauses and tries
/// again. If no partition could be served, the call returns `Retry` or `Fatal`.
pub(in crate::kafka) trait OffsetStore: Send {
    /// The partition numbers of each topic, in the order of `topics`, or why they are not known.
    fn partitions(&mut self, topics: &[String]) -> Result<Vec<Result<Vec<i32>, String>>, Fault>;

    /// The committed offsets of these partitions, in their order.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<HeldOffsets, Fault>;

    /// Commits these offsets as this member, or as [`GenerationMember::NONE`] without membership.
    /// Returns those that were refused, with the reasons; the other offsets are committed.
    fn commit(
        &mut self,
        member: GenerationMember<'_>,
        offsets: &[Commit],
    ) -> Result<Vec<RefusedCommit>, Fault>;
}
