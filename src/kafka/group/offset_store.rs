//! Where a group's offsets are kept, as what keeps them is asked: the types and the trait
//! that every such place has.

use crate::error::Fault;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// Where the group's offsets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetStorage {
    /// In Kafka, each with a string beside it.
    Kafka,
    /// In ZooKeeper, which has no room for one.
    ZooKeeper,
}

/// The group's offset of one partition, if it has one, and what stands beside it.
pub(in crate::kafka) type HeldOffset = (Option<i64>, OffsetMetadata);
/// The same for each partition that was asked for, or why it cannot be told.
pub(in crate::kafka) type HeldOffsets = Vec<(TopicPartition, Result<HeldOffset, Fault>)>;

/// Under which name the offset of a partition is claimed that somebody else has set, in this
/// generation of the group: the journal knows. Every try must claim under the same name until
/// the journal has heard of it.
pub type ClaimNamer = Box<dyn Fn(&TopicPartition, i64, i32) -> u64 + Send>;

/// What the thread asks of a client. Each call is one try; pauses are the thread's.
/// A fault of the whole is the call's own error: `Retry` or `Fatal`.
pub(in crate::kafka) trait OffsetStore: Send {
    /// The numbers of each topic's partitions, or why they cannot be told.
    fn partitions(&mut self, topics: &[String]) -> Result<Vec<Result<Vec<i32>, String>>, Fault>;

    /// What the group holds of these partitions, in their order.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<HeldOffsets, Fault>;

    /// Commits; gives the partitions that are refused. The group holds the others.
    fn commit(&mut self, offsets: &[Commit]) -> Result<Vec<(TopicPartition, Fault)>, Fault>;
}
