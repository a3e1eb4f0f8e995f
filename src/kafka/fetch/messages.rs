//! Messages between the threads of fetching: from the owner to the router, from the router to the
//! readers, and from the readers back to the router.

use crate::kafka::seam::StartOffset;
use crate::record::{TopicId, TopicPartition};

/// From the owner to the router.
pub(super) enum RouterOrder {
    /// Read this partition from `start` on. Replaces an earlier order for it.
    /// `expected`: the topic that the start belongs to, if it is known.
    Assign { partition: TopicPartition, start: StartOffset, assignment: u64, expected: Option<TopicId> },
    /// Read this partition no longer.
    Unassign(TopicPartition),
}

/// From the router to a reader.
pub(super) enum ReaderOrder {
    /// Read this partition, which the broker leads.
    Read { partition: TopicPartition, start: StartOffset, assignment: u64, leader: LedTopic },
    /// Read this partition no longer. `reassign`: the owner shall assign it again.
    Release { partition: TopicPartition, assignment: u64, reassign: bool },
}

/// What is known of a partition that is given to its leader.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LedTopic {
    /// The leader epoch; -1 if it is not known.
    pub(super) epoch: i32,
    /// The id of the topic, if it is known.
    pub(super) topic: Option<TopicId>,
    /// The topic that the start belongs to, if it is known.
    pub(super) expected: Option<TopicId>,
}

impl LedTopic {
    /// The present topic, if it is not the one that the start belongs to.
    pub(super) fn other(self) -> Option<TopicId> {
        self.topic.filter(|topic| self.expected.is_some_and(|expected| expected != *topic))
    }

    /// The present topic, if it is not known which one the start belongs to.
    pub(super) fn first_seen(self) -> Option<TopicId> {
        self.topic.filter(|_| self.expected.is_none())
    }
}

/// From a reader to the router: the reader has relinquished a partition, because another broker may
/// lead it. The owner will assign it again.
pub(super) struct PartitionRelinquished {
    pub(super) partition: TopicPartition,
    pub(super) assignment: u64,
}
