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
            // The answer to an order from before the partition was released says nothing any more.
            if let Some((index, _)) =
                inner.state.find(partition).filter(|(index, _)| inner.written.contains_key(index))
            {
                inner.group.record_refused(index, now);
            }
        }
    }

    /// Lets the offsets that the group has refused be committed again at once.
    pub fn end_refusal_pauses(&self) {
        self.lock().group.end_refusal_pauses();
    }

    /// Whether the group lacks a written position, refused or not. A release waits for these: whoever takes
    /// the partition over would write the lines again.
    pub fn group_lacks_any(&self) -> bool {
        let inner = self.lock();
        let lacks =
            |index: u32, written: i64| inner.group.lacks(index, written) || !inner.group.has_token(index);
        inner.written.iter().any(|(index, written)| lacks(*index, *written))
    }

    /// Whether the group refuses the offsets of this partition. While other members may take it over,
    /// nothing more of it is written then.
    pub fn is_refused(&self, partition: &TopicPartition) -> bool {
        let inner = self.lock();
        inner.state.find(partition).is_some_and(|(index, _)| inner.group.refuses(index))
    }
}
