//! What the threads of fetching send each other: the owner to the router, the router to
//! the readers, and these back to the router.

use crate::kafka::seam::StartOffset;
use crate::record::TopicPartition;

/// What the owner orders.
pub(super) enum RouterOrder {
    /// Read this partition from here on; replaces an earlier order about it.
    Assign { partition: TopicPartition, start: StartOffset, assignment: u64 },
    /// Read it no more.
    Unassign(TopicPartition),
}

/// What it is told to do.
pub(super) enum ReaderOrder {
    /// Read this partition, which the broker leads.
    Read { partition: TopicPartition, start: StartOffset, assignment: u64, epoch: i32 },
    /// Let go of it; `again`: and have the owner want it again.
    Release { partition: TopicPartition, assignment: u64, reassign: bool },
}

/// What a reader reports: it has let go of a partition, whose leader may be another.
pub(super) struct PartitionRelinquished {
    pub(super) partition: TopicPartition,
    pub(super) assignment: u64,
}
