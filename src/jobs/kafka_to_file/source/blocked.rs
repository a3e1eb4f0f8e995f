//! Partitions whose records cannot be read: each stands still where they begin, and they
//! are fetched again after pauses that grow. It is well when something has landed behind.

use std::time::{Duration, Instant};

use super::KafkaSource;
use super::Truncated;
use crate::backoff::Backoff;
use crate::record::TopicPartition;

/// The pause before records that cannot be read are fetched once more grows from the
/// first to the second.
const REFETCH_PAUSE_FIRST: Duration = Duration::from_secs(1);
const REFETCH_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Of one partition's records that cannot be read.
pub(super) fn pauses() -> Backoff {
    Backoff::new(REFETCH_PAUSE_FIRST, REFETCH_PAUSE_MAX)
}

impl KafkaSource {
    /// What was fetched of a partition could be used up to a position only.
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
                // What is still on its way of this want is refused, and no reason to want it again.
                self.assignments += 1;
                tracked.assignment = self.assignments;
                // All from there on is still to be read.
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

    /// Wants again what could not be read and is due.
    pub(super) fn refetch_unreadable(&mut self) {
        let now = Instant::now();
        let due = self.refetch_at.iter().filter(|(_, (at, _))| now >= *at);
        let due: Vec<(TopicPartition, i64)> = due.map(|(one, (_, at))| (one.clone(), *at)).collect();
        for (partition, position) in due {
            self.refetch_from(&partition, position);
        }
    }

    /// Partitions of which a record landed that could not be read before are well.
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
