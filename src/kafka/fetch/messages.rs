//! Messages between the threads of fetching: from the owner to the router, from the router to the
//! readers, and from the readers back to the router.

use crate::kafka::seam::{ExpectedLog, StartOffset};
use crate::record::{LeaderEpochs, TopicId, TopicPartition};

/// From the owner to the router.
pub(super) enum RouterOrder {
    /// Read this partition from `start` on. Replaces an earlier order for it.
    /// `expected`: the log that the start belongs to.
    Assign { partition: TopicPartition, start: StartOffset, assignment: u64, expected: ExpectedLog },
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
#[derive(Debug, Clone, Default)]
pub(super) struct LedTopic {
    /// The leader epoch; -1 if it is not known.
    pub(super) epoch: i32,
    /// The id of the topic, if it is known.
    pub(super) topic: Option<TopicId>,
    /// The log that the start belongs to.
    pub(super) expected: ExpectedLog,
}

impl LedTopic {
    /// The present topic, if it is not the one that the start belongs to.
    pub(super) fn other(&self) -> Option<TopicId> {
        self.topic.filter(|topic| self.expected.topic.is_some_and(|expected| expected != *topic))
    }

    /// The present topic, if it is not known which one the start belongs to.
    pub(super) fn first_seen(&self) -> Option<TopicId> {
        self.topic.filter(|_| self.expected.topic.is_none())
    }

    /// The leader epochs of what was read, if the topic is known to be the one that was read. Those of
    /// another topic of this name say nothing.
    pub(super) fn known_epochs(&self) -> Option<&LeaderEpochs> {
        let is_same = self.topic.is_some() && self.topic == self.expected.topic;
        Some(&self.expected.epochs).filter(|_| is_same)
    }
}

/// From a reader to the router: the reader has relinquished a partition, because another broker may
/// lead it. The owner will assign it again.
pub(super) struct PartitionRelinquished {
    pub(super) partition: TopicPartition,
    pub(super) assignment: u64,
}
