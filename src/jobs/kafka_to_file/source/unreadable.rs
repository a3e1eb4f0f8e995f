//! Outcomes that could not be written as they were fetched: refused ones, and those of partitions whose
//! records cannot be read. Such a partition is blocked at the first unreadable record. The records are
//! fetched again after growing pauses, until a record after them is written.

use std::time::Instant;

use super::outages::OutageCause;
use super::{KafkaSource, Truncated};
use crate::kafka::FailureKind;
use crate::record::TopicPartition;

impl KafkaSource {
    /// Takes a refusal: an outcome did not begin at `position`, where the written lines end.
    ///
    /// Only the first refusal of an assignment counts. The outcomes that follow it under the same
    /// assignment are refused as well, but their records are being fetched again already.
    pub(super) fn take_refused(&mut self, partition: &TopicPartition, assignment: u64, position: i64) {
        if self.tracked(partition, assignment).is_some() && !self.drop_diverged(partition, position) {
            self.resume_from(partition, position);
        }
    }

    /// Takes the message that an outcome of the partition ends at `position`, although more was fetched.
    pub(super) fn take_truncated(
        &mut self,
        partition: &TopicPartition,
        assignment: u64,
        position: i64,
        truncated: Truncated,
    ) {
        if self.tracked(partition, assignment).is_none() || self.drop_diverged(partition, position) {
            return;
        }
        match truncated {
            Truncated::Full => self.resume_from(partition, position),
            Truncated::Broken(why) => {
                self.fetcher.unassign(partition);
                self.drop_in_flight(partition, position);
                if let Some(tracked) = self.partitions.get_mut(partition) {
                    let now = Instant::now();
                    tracked.block(now);
                    let cause =
                        OutageCause { broker: tracked.broker.clone(), kind: FailureKind::Partition, why };
                    self.outages.begin(now, partition, tracked.polled, cause);
                }
            }
        }
    }

    /// If the partition's log has diverged, drops what is in flight of the old log. True if it has.
    fn drop_diverged(&mut self, partition: &TopicPartition, position: i64) -> bool {
        let is_diverged = self.partitions.get(partition).is_some_and(|tracked| tracked.is_diverged());
        if is_diverged {
            self.drop_in_flight(partition, position);
        }
        is_diverged
    }

    pub(super) fn drop_in_flight(&mut self, partition: &TopicPartition, position: i64) {
        self.assignments += 1;
        if let Some(tracked) = self.partitions.get_mut(partition) {
            tracked.drop_in_flight(position, self.assignments);
        }
    }
}
