//! Messages between the threads of fetching: from the owner to the router, from the router to the
//! readers, and from the readers back to the router.

use crate::kafka::seam::StartOffset;
use crate::record::TopicPartition;

/// From the owner to the router.
pub(super) enum RouterOrder {
    /// Read this partition from `start` on. Replaces an earlier order for it.
    Assign { partition: TopicPartition, start: StartOffset, assignment: u64 },
    /// Read this partition no longer.
    Unassign(TopicPartition),
}

/// From the router to a reader.
pub(super) enum ReaderOrder {
    /// Read this partition, which the broker leads.
    Read { partition: TopicPartition, start: StartOffset, assignment: u64, epoch: i32 },
    /// Read this partition no longer. `reassign`: the owner shall assign it again.
    Release { partition: TopicPartition, assignment: u64, reassign: bool },
}

/// From a reader to the router: the reader has relinquished a partition, because another broker may
/// lead it. The owner will assign it again.
pub(super) struct PartitionRelinquished {
    pub(super) partition: TopicPartition,
    pub(super) assignment: u64,
}
