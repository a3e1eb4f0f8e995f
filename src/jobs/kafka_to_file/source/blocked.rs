//! Blocked partitions, whose next records cannot be read. They are fetched again after growing
//! pauses, until a record behind that offset is written.

use std::time::{Duration, Instant};

use super::KafkaSource;
use super::Truncated;
use crate::backoff::Backoff;
use crate::record::TopicPartition;

/// The pause before records that cannot be read are fetched again: the first, and the longest.
const REFETCH_PAUSE_FIRST: Duration = Duration::from_secs(1);
const REFETCH_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The pauses of one partition.
pub(super) fn pauses() -> Backoff {
    Backoff::new(REFETCH_PAUSE_FIRST, REFETCH_PAUSE_MAX)
}

impl KafkaSource {
    /// Of what a fetch brought, only the records before `position` could be used.
    pub(super) fn take_truncated(
        &mut self,
        partition: TopicPartition,
        assignment: u64,
        position: i64,
        truncated: Truncated,
    ) {
        let Some(tracked) = self.partitions.get_mut(&partition).filter(|one| one.assignment == assignment)
        else {
            return;
        };
        match truncated {
            Truncated::Full => self.refetch_from(&partition, position),
            Truncated::Broken(why) => {
                tracked.outage.down(Instant::now(), &why);
                // Replies to this assignment that are still on their way will be refused, and must
                // not cause another assignment.
                self.assignments += 1;
                tracked.assignment = self.assignments;
                // Everything from there on is still to be read.
                tracked.lag += u64::try_from(tracked.polled - position).unwrap_or(0);
                tracked.polled = position;
                let due = Instant::now() + tracked.pauses.pause();
                self.fetcher.unassign(&partition);
                self.relinquished.remove(&partition);
                self.unreadable.insert(partition.clone(), position);
                self.refetch_at.insert(partition, (due, position));
            }
        }
    }

    /// Has blocked partitions fetched again whose pause is over.
    pub(super) fn refetch_unreadable(&mut self) {
        let now = Instant::now();
        let due = self.refetch_at.iter().filter(|(_, (at, _))| now >= *at);
        let due: Vec<(TopicPartition, i64)> = due.map(|(one, (_, at))| (one.clone(), *at)).collect();
        for (partition, position) in due {
            self.refetch_from(&partition, position);
        }
    }

    /// Ends the outage of each partition whose unreadable record is behind its written position.
    pub(super) fn end_passed_outages(&mut self) {
        let passed = |(partition, at): &(&TopicPartition, &i64)| {
            let landed = self.ledgers.of(partition).and_then(|ledger| ledger.written(partition));
            landed.is_none_or(|(_, landed)| landed > **at)
        };
        let mended: Vec<TopicPartition> =
            self.unreadable.iter().filter(passed).map(|(one, _)| one.clone()).collect();
        for partition in mended {
            self.unreadable.remove(&partition);
            if let Some(tracked) = self.partitions.get_mut(&partition) {
                tracked.outage.up(Instant::now(), "back");
                tracked.pauses.reset();
            }
        }
    }
}
