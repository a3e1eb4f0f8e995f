//! How far every partition is: what the brokers have of it, and up to which time its records are written.
//! It answers whether a file of a period is complete, and what whoever looks at the process sees of the
//! partitions. Shared by the source, which knows what the brokers have, and the sink.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::record::TopicPartition;
use crate::report::PartitionView;

/// See the module. Clones share the same watermarks.
#[derive(Clone, Default)]
pub(super) struct Watermarks(Arc<Mutex<HashMap<TopicPartition, Watermark>>>);

#[derive(Debug, Clone)]
struct Watermark {
    /// The next offset after what was polled, and how many records the brokers have behind it.
    polled: i64,
    lag: u64,
    /// The time of the last record that is written, in milliseconds since 1970.
    written: i64,
    /// Whether the partition is assigned to this process.
    is_assigned: bool,
    /// Whether a broker has said anything about the partition since it was assigned.
    is_known: bool,
    /// Since when and why the partition cannot be read.
    blocked: Option<(Instant, String)>,
}

impl Watermark {
    fn new() -> Self {
        Self { polled: -1, lag: 0, written: i64::MIN, is_assigned: false, is_known: false, blocked: None }
    }
}

impl Watermarks {
    fn lock(&self) -> MutexGuard<'_, HashMap<TopicPartition, Watermark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything before `polled` was fetched, and the brokers have `lag` more records.
    pub(super) fn record_polled(&self, partition: &TopicPartition, polled: i64, lag: u64) {
        let mut all = self.lock();
        match all.get_mut(partition) {
            Some(known) => (known.polled, known.lag, known.is_known) = (polled, lag, true),
            None => {
                let watermark = Watermark { polled, lag, is_known: true, ..Watermark::new() };
                all.insert(partition.clone(), watermark);
            }
        }
    }

    /// The partition is assigned to this process. Nobody has said yet how much the brokers have of it.
    pub(super) fn assign(&self, partition: &TopicPartition) {
        let mut all = self.lock();
        let known = all.entry(partition.clone()).or_insert_with(Watermark::new);
        (known.is_assigned, known.is_known, known.blocked) = (true, false, None);
    }

    /// How much the brokers have of this partition is not known any more.
    pub(super) fn forget_end(&self, partition: &TopicPartition) {
        if let Some(known) = self.lock().get_mut(partition) {
            known.is_known = false;
        }
    }

    /// No broker answers: how much the brokers have of any partition is not known any more.
    pub(super) fn forget_ends(&self) {
        self.lock().values_mut().for_each(|known| known.is_known = false);
    }

    /// No partition is assigned to this process any more.
    pub(super) fn release_all(&self) {
        self.lock().values_mut().for_each(|known| known.is_assigned = false);
    }

    /// The partition cannot be read since this moment, because of `why`; `None`: it can be read.
    pub(super) fn set_blocked(&self, partition: &TopicPartition, blocked: Option<(Instant, String)>) {
        if let Some(known) = self.lock().get_mut(partition) {
            known.blocked = blocked;
        }
    }

    /// What whoever looks at the process sees of the assigned partitions. `positions` are the written
    /// positions, and the offsets that the group holds where that is known.
    pub(super) fn views(&self, positions: &[(TopicPartition, i64, Option<i64>)]) -> Vec<PartitionView> {
        let positions: HashMap<_, _> = positions.iter().map(|(one, at, held)| (one, (*at, *held))).collect();
        let all = self.lock();
        let assigned = all.iter().filter(|(_, known)| known.is_assigned);
        let view = |(partition, known): (&TopicPartition, &Watermark)| {
            let position = positions.get(partition);
            let end = known.polled.saturating_add(i64::try_from(known.lag).unwrap_or(i64::MAX));
            PartitionView {
                topic: Arc::clone(&partition.topic),
                partition: partition.partition,
                position: position.map(|(at, _)| *at),
                committed: position.and_then(|(_, held)| *held),
                end: known.is_known.then_some(end),
                last_time: (known.written != i64::MIN).then_some(known.written),
                blocked: known.blocked.clone(),
            }
        };
        let mut views: Vec<PartitionView> = assigned.map(view).collect();
        views.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        views
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
    fn whoever_looks_sees_assigned_partitions_alone() {
        let (marks, of) = (Watermarks::default(), |number| TopicPartition::new("t", number));
        marks.assign(&of(1));
        marks.assign(&of(0));
        marks.record_polled(&of(0), 9, 3);
        marks.record_written(&of(0), 600);
        let blocked = (Instant::now(), "no leader".to_owned());
        marks.set_blocked(&of(1), Some(blocked.clone()));
        let views = marks.views(&[(of(0), 7, Some(5)), (of(2), 1, None)]);
        let [first, second] = views.as_slice() else { panic!("{views:?}") };
        assert_eq!((first.partition, first.position, first.committed), (0, Some(7), Some(5)));
        assert_eq!((first.end, first.lag(), first.last_time), (Some(12), Some(5), Some(600)));
        assert_eq!((second.position, second.end, second.lag()), (None, None, None));
        assert_eq!(second.blocked, Some(blocked));
        let end = || marks.views(&[(of(0), 7, None)])[0].end;
        marks.assign(&of(0));
        assert_eq!(end(), None, "what was said of an earlier assignment does not count");
        marks.record_polled(&of(0), 9, 3);
        assert_eq!(end(), Some(12));
        marks.forget_ends();
        assert_eq!(end(), None, "nobody answers");
        marks.release_all();
        assert!(marks.views(&[(of(0), 7, None)]).is_empty());
    }

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
