//! Partitions whose offsets the group refuses, while it may take those of others: a topic may not be read any
//! more, or is gone.

use std::time::Instant;

use super::Ledger;
use crate::record::TopicPartition;

impl Ledger {
    /// Records that the group refuses the offsets of these partitions, until it takes one again.
    pub fn record_refused(&self, partitions: &[TopicPartition]) {
        let (mut inner, now) = (self.lock(), Instant::now());
        for partition in partitions {
            if let Some((index, _)) = inner.state.find(partition) {
                inner.group.record_refused(index, now);
            }
        }
    }

    /// Whether the group refuses the offsets of this partition. While other members may take it over,
    /// nothing more of it is written then.
    pub fn is_refused(&self, partition: &TopicPartition) -> bool {
        let inner = self.lock();
        inner.state.find(partition).is_some_and(|(index, _)| inner.group.refuses(index))
    }
}
