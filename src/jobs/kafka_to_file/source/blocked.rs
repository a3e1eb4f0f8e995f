//! Partitions whose records cannot be read: each stands still where they begin, and they
//! are fetched again after pauses that grow. It is well when something has landed behind.

use std::time::{Duration, Instant};

use super::KafkaSource;
use super::Truncated;
use crate::backoff::Backoff;
use crate::record::TopicPartition;

/// The pause before records that cannot be read are fetched once more grows from the
/// first to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Of one partition's records that cannot be read.
pub(super) fn pauses() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

impl KafkaSource {
    /// What was fetched of a partition could be used up to a position only.
    pub(super) fn fall_short(
        &mut self,
        partition: TopicPartition,
        want: u64,
        position: i64,
        short: Truncated,
    ) {
        let Some(tracked) = self.partitions.get_mut(&partition).filter(|one| one.want == want) else {
            return;
        };
        match short {
            Truncated::Full => self.want_from(&partition, position),
            Truncated::Broken(why) => {
                tracked.outage.down(Instant::now(), &why);
                // What is still on its way of this want is refused, and no reason to want it again.
                self.wants += 1;
                tracked.want = self.wants;
                // All from there on is still to be read.
                tracked.lag += u64::try_from(tracked.polled - position).unwrap_or(0);
                tracked.polled = position;
                let due = Instant::now() + tracked.pauses.pause();
                self.fetch.forget(&partition);
                self.again.remove(&partition);
                self.broken.insert(partition.clone(), position);
                self.later.insert(partition, (due, position));
            }
        }
    }

    /// Wants again what could not be read and is due.
    pub(super) fn want_broken(&mut self) {
        let now = Instant::now();
        let due = self.later.iter().filter(|(_, (at, _))| now >= *at);
        let due: Vec<(TopicPartition, i64)> = due.map(|(one, (_, at))| (one.clone(), *at)).collect();
        for (partition, position) in due {
            self.want_from(&partition, position);
        }
    }

    /// Partitions of which a record landed that could not be read before are well.
    pub(super) fn mend_broken(&mut self) {
        let passed = |(partition, at): &(&TopicPartition, &i64)| {
            let landed = self.ledgers.of(partition).and_then(|ledger| ledger.landed(partition));
            landed.is_none_or(|(_, landed)| landed > **at)
        };
        let mended: Vec<TopicPartition> =
            self.broken.iter().filter(passed).map(|(one, _)| one.clone()).collect();
        for partition in mended {
            self.broken.remove(&partition);
            if let Some(tracked) = self.partitions.get_mut(&partition) {
                tracked.outage.up(Instant::now(), "back");
                tracked.pauses.reset();
            }
        }
    }
}
