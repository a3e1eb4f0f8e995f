//! One assigned partition from the view of the source: what it waits for, up to which offset it was polled,
//! and what to fetch next. Pure: no clock, no broker, no file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::kafka::StartOffset;
use crate::record::TopicId;

/// The first and the longest pause before unreadable records are fetched again.
const REFETCH_PAUSE_FIRST: Duration = Duration::from_secs(1);
const REFETCH_PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a partition waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FetchState {
    /// The brokers are asked for the offset at which the partition begins.
    Resolving(StartOffset),
    /// The partition's records come as they are produced.
    Fetching,
    /// The partition's reader gave it up, because another broker may lead it. It is assigned again once
    /// none of its records are in flight, or at once if it was still being resolved.
    Relinquished(Option<StartOffset>),
    /// The partition's log is not the one that was read. Once none of its records are in flight, reading
    /// goes on at this position of the present log.
    Diverged(i64),
    /// The partition's next records cannot be read. They are fetched again at this moment.
    Blocked(Instant),
}

/// What is to be fetched of a partition whose waiting is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextFetch {
    /// Ask the brokers again where the partition begins.
    Resolve(StartOffset),
    /// Go on at this position, after a comparison of the log with the records written last.
    Resume(i64),
    /// Go on at this position of another log, from which no record was written yet.
    FollowDivergence(i64),
}

/// One assigned partition.
pub(super) struct TrackedPartition {
    pub(super) lane: u32,
    /// The number of the partition's present assignment to the fetcher.
    pub(super) assignment: u64,
    /// The next offset after what was polled.
    pub(super) polled: i64,
    /// How many records the brokers have that were not polled yet; `None` if nobody says that now.
    pub(super) lag: Option<u64>,
    /// The broker that sent the partition's last records.
    pub(super) broker: Option<Arc<str>>,
    /// The present topic, if the log has diverged and it is known.
    pub(super) topic: Option<TopicId>,
    state: FetchState,
    /// The offset at which unreadable records begin; `None` once a record after them is written.
    unreadable_from: Option<i64>,
    refetch_pauses: Backoff,
}

impl TrackedPartition {
    /// A partition that is about to be assigned to the fetcher.
    pub(super) fn new(lane: u32, polled: i64) -> Self {
        Self {
            lane,
            assignment: 0,
            polled,
            lag: None,
            broker: None,
            topic: None,
            state: FetchState::Fetching,
            unreadable_from: None,
            refetch_pauses: Backoff::new(REFETCH_PAUSE_FIRST, REFETCH_PAUSE_MAX),
        }
    }

    /// Remembers that the fetcher now reads the partition, under the number `assignment`.
    pub(super) fn begin(&mut self, start: &StartOffset, assignment: u64) {
        self.assignment = assignment;
        self.state = match start {
            StartOffset::At(position, _) => {
                self.polled = *position;
                FetchState::Fetching
            }
            StartOffset::Earliest | StartOffset::Latest | StartOffset::Since(_) => {
                FetchState::Resolving(start.clone())
            }
        };
    }

    /// Records the offset at which the brokers say that the partition begins.
    pub(super) fn resolve(&mut self, position: i64) {
        self.polled = position;
        match &self.state {
            FetchState::Resolving(_) => self.state = FetchState::Fetching,
            // The answer came while the reader was giving up the partition.
            FetchState::Relinquished(_) => self.state = FetchState::Relinquished(None),
            FetchState::Fetching | FetchState::Diverged(_) | FetchState::Blocked(_) => {}
        }
    }

    /// Records that the reader gave up the partition.
    pub(super) fn relinquish(&mut self) {
        match &self.state {
            FetchState::Resolving(start) => {
                self.state = FetchState::Relinquished(Some(start.clone()));
            }
            FetchState::Fetching => self.state = FetchState::Relinquished(None),
            // A partition in these states will be assigned again anyway.
            FetchState::Relinquished(_) | FetchState::Diverged(_) | FetchState::Blocked(_) => {}
        }
    }

    /// Records that the log has diverged; reading is to go on at `position`.
    pub(super) fn diverge(&mut self, position: i64) {
        self.state = FetchState::Diverged(position);
    }

    /// Whether the log has diverged and records of the old log are still in flight.
    pub(super) fn is_diverged(&self) -> bool {
        matches!(self.state, FetchState::Diverged(_))
    }

    /// Drops the records in flight from earlier assignments: from now on the partition counts as polled up
    /// to `position` only.
    pub(super) fn drop_in_flight(&mut self, position: i64, assignment: u64) {
        self.assignment = assignment;
        // The records between the position and the polled offset must be read again.
        let dropped = u64::try_from(self.polled - position).unwrap_or(0);
        self.lag = self.lag.map(|lag| lag.saturating_add(dropped));
        self.polled = position;
    }

    /// Records that the records at the polled offset cannot be read.
    pub(super) fn block(&mut self, now: Instant) {
        self.unreadable_from = Some(self.polled);
        self.state = FetchState::Blocked(now + self.refetch_pauses.pause());
    }

    /// The offset at which unreadable records begin, if no record after them is written yet.
    pub(super) fn unreadable_from(&self) -> Option<i64> {
        self.unreadable_from
    }

    /// Ends what [`TrackedPartition::block`] began, when a record after the unreadable ones was written.
    /// `written` is the partition's written position; `None` if the unreadable records do not count any
    /// more, because the partition was released or its log is another one. True if this call ended it.
    pub(super) fn end_unreadable(&mut self, written: Option<i64>) -> bool {
        let ends = self.unreadable_from.is_some_and(|from| written.is_none_or(|written| written > from));
        if ends {
            self.unreadable_from = None;
            self.refetch_pauses.reset();
        }
        ends
    }

    /// Whether [`TrackedPartition::next_fetch`] or [`TrackedPartition::end_unreadable`] can
    /// have something to do.
    pub(super) fn is_waiting(&self) -> bool {
        self.unreadable_from.is_some()
            || !matches!(self.state, FetchState::Fetching | FetchState::Resolving(_))
    }

    /// What to fetch next, if the partition's waiting is over. `written` is its written position.
    pub(super) fn next_fetch(&self, written: Option<i64>, now: Instant) -> Option<NextFetch> {
        // If everything polled is written, nothing is in flight.
        let is_idle = written == Some(self.polled);
        match &self.state {
            FetchState::Resolving(_) | FetchState::Fetching => None,
            FetchState::Relinquished(Some(start)) => Some(NextFetch::Resolve(start.clone())),
            FetchState::Relinquished(None) => is_idle.then_some(NextFetch::Resume(self.polled)),
            FetchState::Diverged(position) => is_idle.then_some(NextFetch::FollowDivergence(*position)),
            FetchState::Blocked(at) => (now >= *at).then_some(NextFetch::Resume(self.polled)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64) -> StartOffset {
        StartOffset::At(position, Vec::new())
    }

    /// A partition that is assigned at 10 and polled up to 15.
    fn polled() -> TrackedPartition {
        let mut partition = TrackedPartition::new(0, -1);
        partition.begin(&at(10), 1);
        partition.polled = 15;
        partition.lag = Some(0);
        partition
    }

    #[test]
    fn a_relinquished_partition_waits_until_nothing_is_in_flight() {
        let (mut partition, now) = (polled(), Instant::now());
        assert_eq!(partition.next_fetch(Some(15), now), None, "the partition is being fetched");
        partition.relinquish();
        assert_eq!(partition.next_fetch(Some(12), now), None);
        assert_eq!(partition.next_fetch(None, now), None, "the partition is not assigned");
        assert_eq!(partition.next_fetch(Some(15), now), Some(NextFetch::Resume(15)));
        partition.begin(&at(15), 2);
        assert!(!partition.is_waiting());
    }

    #[test]
    fn an_unresolved_partition_is_resolved_again() {
        let (mut partition, now) = (TrackedPartition::new(0, -1), Instant::now());
        partition.begin(&StartOffset::Latest, 1);
        assert!(!partition.is_waiting());
        partition.relinquish();
        assert_eq!(partition.next_fetch(None, now), Some(NextFetch::Resolve(StartOffset::Latest)));
        partition.resolve(7);
        assert_eq!(partition.next_fetch(Some(7), now), Some(NextFetch::Resume(7)), "a late answer counts");
        partition.begin(&StartOffset::Earliest, 2);
        partition.resolve(3);
        assert_eq!((partition.polled, partition.is_waiting()), (3, false));
    }

    #[test]
    fn a_divergence_outlasts_later_events_of_the_reader() {
        let (mut partition, now) = (polled(), Instant::now());
        partition.diverge(4);
        partition.relinquish();
        assert_eq!(partition.next_fetch(Some(12), now), None);
        partition.drop_in_flight(12, 2);
        assert_eq!(partition.lag, Some(3), "dropped records are still to be read");
        assert_eq!(partition.next_fetch(Some(12), now), Some(NextFetch::FollowDivergence(4)));
    }

    #[test]
    fn a_blocked_partition_recovers_when_later_records_are_written() {
        let (mut partition, now) = (polled(), Instant::now());
        partition.drop_in_flight(12, 2);
        partition.block(now);
        assert_eq!(partition.next_fetch(Some(12), now), None);
        let later = now + REFETCH_PAUSE_MAX * 2;
        assert_eq!(partition.next_fetch(Some(12), later), Some(NextFetch::Resume(12)));
        partition.begin(&at(12), 3);
        let ended = partition.end_unreadable(Some(12));
        assert!(!ended, "the records behind are fetched, and not yet written");
        assert_eq!(partition.unreadable_from(), Some(12));
        assert!(partition.end_unreadable(Some(13)));
        assert!(!partition.is_waiting());
    }
}
