//! Up to which time the records of every partition are written, for the question whether a file of a period
//! is complete. Shared by the source, which knows what the brokers have, and the sink.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::TopicPartition;

/// See the module. Clones share the same watermarks.
#[derive(Clone, Default)]
pub(super) struct Watermarks(Arc<Mutex<HashMap<TopicPartition, Watermark>>>);

#[derive(Debug, Clone, Copy)]
struct Watermark {
    /// The next offset after what was polled, and how many records the brokers have behind it.
    polled: i64,
    lag: u64,
    /// The time of the last record that is written, in milliseconds since 1970.
    written: i64,
}

impl Watermarks {
    fn lock(&self) -> MutexGuard<'_, HashMap<TopicPartition, Watermark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything before `polled` was fetched, and the brokers have `lag` more records.
    pub(super) fn record_polled(&self, partition: &TopicPartition, polled: i64, lag: u64) {
        let mut all = self.lock();
        match all.get_mut(partition) {
            Some(known) => (known.polled, known.lag) = (polled, lag),
            None => {
                all.insert(partition.clone(), Watermark { polled, lag, written: i64::MIN });
            }
        }
    }

    /// The last record that is written has this time.
    pub(super) fn record_written(&self, partition: &TopicPartition, time: i64) {
        if let Some(known) = self.lock().get_mut(partition) {
            known.written = time;
        }
    }

    /// The time up to which every record of each of these partitions is written, apart from late ones.
    /// `positions` are the written positions. A partition without lag is as far as the clock.
    pub(super) fn of<'a>(
        &self,
        positions: &'a [(TopicPartition, i64)],
        now: i64,
    ) -> Vec<(&'a TopicPartition, i64)> {
        let all = self.lock();
        let time_of = |(partition, position): &(TopicPartition, i64)| match all.get(partition) {
            Some(known) if known.lag == 0 && known.polled == *position => now,
            Some(known) => known.written,
            None => i64::MIN,
        };
        positions.iter().map(|one| (&one.0, time_of(one))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_as_far_as_its_last_record_and_one_without_lag_as_the_clock() {
        let (marks, of) = (Watermarks::default(), |number| TopicPartition::new("t", number));
        let at = |positions: &[(i32, i64)]| {
            let positions: Vec<_> = positions.iter().map(|(number, at)| (of(*number), *at)).collect();
            marks.of(&positions, 1000).into_iter().map(|(_, time)| time).collect::<Vec<_>>()
        };
        assert!(at(&[]).is_empty());
        assert_eq!(at(&[(0, 5)]), [i64::MIN], "nothing is known of it yet");
        marks.record_polled(&of(0), 5, 0);
        assert_eq!(at(&[(0, 5)]), [1000]);
        assert_eq!(at(&[(0, 4)]), [i64::MIN], "a record is under way");
        marks.record_polled(&of(1), 9, 3);
        marks.record_written(&of(1), 600);
        marks.record_written(&of(1), 700);
        assert_eq!(at(&[(0, 5), (1, 9)]), [1000, 700]);
        marks.record_polled(&of(1), 12, 0);
        assert_eq!(at(&[(0, 5), (1, 9)]), [1000, 700]);
        assert_eq!(at(&[(0, 5), (1, 12)]), [1000, 1000]);
    }
}
