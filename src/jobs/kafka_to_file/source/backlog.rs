//! The log line about an assignment: how many partitions and topics it has, and how many records are not
//! read yet. The first answer for each partition gives its number of records, so the line waits for these
//! answers, up to a limit.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{KafkaSource, NAME};
use crate::kafka::{Fetched, Payload};
use crate::plural::counted;
use crate::record::TopicPartition;
use crate::report::LAG_UNKNOWN;

/// How long the line waits for the answers of brokers.
const ANSWERS_WAIT_MAX: Duration = Duration::from_secs(10);

/// An assignment that was not logged yet.
pub(super) struct Backlog {
    level: log::Level,
    until: Instant,
    partitions: usize,
    topics: usize,
    /// The partitions without an answer.
    unknown: BTreeSet<TopicPartition>,
    /// How many records are not read yet, in the partitions with an answer.
    behind: u64,
}

impl Backlog {
    /// `all` has the assigned partitions, each with the number of records that are not read yet, or `None`
    /// if that is not known.
    pub(super) fn new<'a>(
        all: impl Iterator<Item = (&'a TopicPartition, Option<u64>)>,
        level: log::Level,
        now: Instant,
    ) -> Self {
        let (mut topics, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let (mut partitions, mut behind) = (0, 0);
        for (partition, known) in all {
            partitions += 1;
            topics.insert(&partition.topic);
            match known {
                Some(records) => behind += records,
                None => drop(unknown.insert(partition.clone())),
            }
        }
        Self { level, until: now + ANSWERS_WAIT_MAX, partitions, topics: topics.len(), unknown, behind }
    }

    /// Records that a partition has this many records from its start position on. Only the first answer for
    /// a partition counts.
    pub(super) fn record(&mut self, partition: &TopicPartition, behind: u64) {
        if self.unknown.remove(partition) {
            self.behind += behind;
        }
    }

    /// Whether this partition has no answer yet.
    pub(super) fn awaits(&self, partition: &TopicPartition) -> bool {
        self.unknown.contains(partition)
    }

    /// Whether the line is complete, or its time is over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.unknown.is_empty() || now >= self.until
    }

    /// Logs the line with the answers received so far.
    pub(super) fn log(&self) {
        log::log!(self.level, "{NAME}: {}", self.text());
    }

    fn text(&self) -> String {
        let (partitions, topics) = (counted(self.partitions, "partition"), counted(self.topics, "topic"));
        let (reads, records) = (format!("reads {partitions} of {topics}"), counted(self.behind, "record"));
        match self.unknown.len() {
            0 => format!("{reads}, {records} behind"),
            unknown if unknown == self.partitions => {
                format!("{reads}; no broker has said yet how many records are behind")
            }
            unknown => format!(
                "{reads}, at least {records} behind; brokers have not answered yet for {unknown} of the \
                 partitions"
            ),
        }
    }
}

/// How many records a partition has from the first record of this reply on. Records that were deleted
/// before they were read do not count.
pub(super) fn behind_of(fetched: &Fetched) -> u64 {
    let start = if matches!(fetched.payload, Payload::Deleted) { fetched.next } else { fetched.from };
    u64::try_from(fetched.next - start).unwrap_or(0) + fetched.lag
}

/// How the source keeps it.
impl KafkaSource {
    /// Logs the line about the assignment when it is complete or has waited long enough, or at once if
    /// `now`.
    pub(super) fn log_backlog(&mut self, now: bool) {
        if let Some(backlog) = self.backlog.take_if(|backlog| now || backlog.is_due(Instant::now())) {
            backlog.log();
        }
    }

    /// A broker says how many records a partition has that were not polled.
    pub(super) fn take_lag(&mut self, partition: &TopicPartition, assignment: u64, lag: u64) {
        if let Some(tracked) = self.tracked(partition, assignment) {
            tracked.lag = Some(lag);
            let polled = tracked.polled;
            self.watermarks.record_polled(partition, polled, lag);
            if let Some(backlog) = &mut self.backlog {
                backlog.record(partition, lag);
            }
        }
    }

    /// Updates what the state line shows of the partitions.
    pub(super) fn update_counters(&self) {
        let known = self.partitions.values().filter_map(|tracked| tracked.lag);
        let (known, lag) = known.fold((0, 0_u64), |(known, sum), lag| (known + 1, sum.saturating_add(lag)));
        let is_nobody_there = self.broker_outage.is_down() || self.group_outage.is_down();
        let is_unknown = known == 0 && (!self.partitions.is_empty() || is_nobody_there);
        let others = if is_unknown { 0 } else { self.partitions.len() - known };
        self.counters.lag.store(if is_unknown { LAG_UNKNOWN } else { lag }, Relaxed);
        self.counters.lag_unknown.store(others as u64, Relaxed);
        let refused = self.partitions.keys().filter(|partition| self.is_refused(partition)).count();
        self.counters.blocked.store((self.outages.logged_count() + refused) as u64, Relaxed);
    }

    /// The partition can be read, and no records came. This does not mean that records can be read that
    /// were fetched before and were unreadable.
    pub(super) fn take_recovered(&mut self, partition: &TopicPartition, assignment: u64, lag: u64) {
        self.take_lag(partition, assignment, lag);
        if self.partitions.get(partition).is_some_and(|tracked| tracked.unreadable_from().is_none()) {
            self.outages.end(Instant::now(), partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(count: i32) -> Vec<TopicPartition> {
        (0..count).map(|one| TopicPartition::new(if one % 2 == 0 { "even" } else { "odd" }, one)).collect()
    }

    fn unanswered(all: &[TopicPartition], now: Instant) -> Backlog {
        Backlog::new(all.iter().map(|one| (one, None)), log::Level::Info, now)
    }

    #[test]
    fn the_first_answers_are_summed() {
        let (all, now) = (partitions(3), Instant::now());
        let mut backlog = unanswered(&all, now);
        for (one, behind) in all.iter().zip([700, 0, 20]) {
            assert!(!backlog.is_due(now));
            backlog.record(one, behind);
            backlog.record(one, 1_000_000);
            backlog.record(&TopicPartition::new("other", 0), 1_000_000);
        }
        assert!(backlog.is_due(now));
        assert_eq!(backlog.text(), "reads 3 partitions of 2 topics, 720 records behind");
    }

    #[test]
    fn the_line_does_not_wait_longer_than_its_limit() {
        let (all, now) = (partitions(3), Instant::now());
        let mut backlog = unanswered(&all, now);
        let before = now + ANSWERS_WAIT_MAX - Duration::from_millis(1);
        assert!(!backlog.is_due(before) && backlog.is_due(now + ANSWERS_WAIT_MAX));
        let none = "reads 3 partitions of 2 topics; no broker has said yet how many records are behind";
        assert_eq!(backlog.text(), none);
        backlog.record(&all[1], 1);
        let some = "reads 3 partitions of 2 topics, at least 1 record behind; \
                    brokers have not answered yet for 2 of the partitions";
        assert_eq!(backlog.text(), some);
    }

    #[test]
    fn what_was_known_before_counts() {
        let (all, now) = (partitions(1), Instant::now());
        let backlog = Backlog::new(all.iter().map(|one| (one, Some(1))), log::Level::Info, now);
        assert!(backlog.is_due(now));
        assert_eq!(backlog.text(), "reads 1 partition of 1 topic, 1 record behind");
        assert_eq!(unanswered(&[], now).text(), "reads 0 partitions of 0 topics, 0 records behind");
    }

    #[test]
    fn deleted_records_are_not_behind() {
        let fetched = |payload| Fetched {
            partition: TopicPartition::new("t", 0),
            from: 10,
            base: 10,
            next: 15,
            assignment: 1,
            lag: 7,
            broker: None,
            epochs: Vec::new(),
            last: None,
            bytes: 0,
            payload,
        };
        assert_eq!(behind_of(&fetched(Payload::Absent)), 12);
        assert_eq!(behind_of(&fetched(Payload::Deleted)), 7);
    }
}
