//! What comes from the brokers becomes tasks.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::backlog::behind_of;
use super::{KafkaSource, NAME};
use crate::jobs::kafka_to_file::formatter::{Truncated, UnreadableBatch};
use crate::kafka::{Fetched, Payload};
use crate::pipeline::PolledTask;
use crate::plural::counted;

impl KafkaSource {
    pub(super) fn take_fetched(&mut self, fetched: Fetched, tasks: &mut Vec<PolledTask<Fetched>>) {
        let unreadable_from = self.partitions.get(&fetched.partition).and_then(|one| one.unreadable_from());
        let Some(tracked) = self.tracked(&fetched.partition, fetched.assignment) else { return };
        // A broker finds a batch by its header. If the header is damaged, the broker answers with the
        // records after the batch, as if compaction had removed the batch.
        if let Some(from) = unreadable_from
            && fetched.from == from
            && fetched.base > from
        {
            let why = format!("the broker leaves out the records from offset {from} to {}", fetched.base - 1);
            let broken = Truncated::Broken(UnreadableBatch { why, end: Some(fetched.base) });
            return self.take_truncated(&fetched.partition, fetched.assignment, from, broken);
        }
        tracked.polled = fetched.next;
        tracked.lag = Some(fetched.lag);
        tracked.broker.clone_from(&fetched.broker);
        let lane = tracked.lane;
        self.watermarks.record_polled(&fetched.partition, fetched.next, fetched.lag);
        if unreadable_from.is_none() {
            self.outages.end(Instant::now(), &fetched.partition);
        }
        if let Some(backlog) = &mut self.backlog {
            backlog.record(&fetched.partition, behind_of(&fetched));
        }
        if matches!(fetched.payload, Payload::Deleted) {
            let lost = u64::try_from(fetched.next - fetched.from).unwrap_or(0);
            self.counters.lost.fetch_add(lost, Relaxed);
            log::error!(
                "{NAME}: {}: the broker deleted offset {} to {} ({}) before they could be read; going on \
                 at {}",
                fetched.partition,
                fetched.from,
                fetched.next - 1,
                counted(lost, "record"),
                fetched.next
            );
        }
        if matches!(fetched.payload, Payload::Absent) {
            log::warn!(
                "{NAME}: {}: no record can be read from offset {} to {}: compaction removed them, or they \
                 are larger than this client accepts; going on at {}",
                fetched.partition,
                fetched.from,
                fetched.next - 1,
                fetched.next
            );
        }
        self.tasks += 1;
        tasks.push(PolledTask { lane, bytes: fetched.bytes, task: fetched });
    }
}
