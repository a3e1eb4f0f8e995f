//! The counters of a job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::conditions::Conditions;
use super::job_health::JobHealth;
use super::partitions::{Glass, PartitionView};
use super::phase::PhaseCell;

/// The unit that a job counts. It decides the form of the state line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedUnit {
    /// Records written to a file.
    Records,
    /// Expired keys that were pushed.
    Keys,
    /// Items that were taken off the work list and done.
    Items,
}

/// The value of [`Counters::lag`] if no broker has said how many records there are.
pub const LAG_UNKNOWN: u64 = u64::MAX;

/// The counters of one job, written by its stages and read by the state line.
#[derive(Debug)]
pub struct Counters {
    unit: CountedUnit,
    started: Instant,
    /// Whether the job makes progress.
    pub health: JobHealth,
    /// Records written, keys pushed or items done since the start.
    pub done: AtomicU64,
    /// Bytes of lines written since the start.
    pub bytes: AtomicU64,
    /// Fields deleted since the start.
    pub fields: AtomicU64,
    /// How much work the source had and had not done, at the last count; [`LAG_UNKNOWN`] if nobody has said.
    pub lag: AtomicU64,
    /// The partitions of which nobody has said how many records they have, if that is known of others.
    pub lag_unknown: AtomicU64,
    /// Partitions that are blocked: nothing can be read at their next offset.
    pub blocked: AtomicU64,
    /// Records deleted at the broker before they were read, or keys received and dropped for
    /// want of room.
    pub lost: AtomicU64,
    /// Offsets that were passed over unread, because somebody set the group's offset behind them.
    pub skipped: AtomicU64,
    /// Keys received and dropped for want of room, which reconcile will find again.
    pub overflowed: AtomicU64,
    /// Due keys that were gone without a received event, and for which there was no room to wait for it.
    pub unsettled: AtomicU64,
    /// Keys that expired without a received event and were found by reconcile.
    pub found: AtomicU64,
    /// The largest lateness of the last minute or two, in microseconds.
    pub late_us: AtomicU64,
    /// In which phase of its life the job is.
    pub phase: PhaseCell,
    /// The job's servers, and whatever else it may have to wait for.
    pub conditions: Conditions,
    /// The partitions that the job reads, for a job that reads any.
    pub partitions: Glass<Vec<PartitionView>>,
    /// Whether another pandad does the work.
    pub standby: AtomicBool,
    /// Records that were refused because they did not continue the written ones, and were fetched again.
    pub refetched: AtomicU64,
    /// Records that were filtered out: they have no lines.
    pub filtered: AtomicU64,
    /// Items put on the dead list.
    pub dead: AtomicU64,
    /// Items whose users came back, so that no field was deleted.
    pub came_back: AtomicU64,
    /// Items taken over from a pandad that ended without handing them back.
    pub taken_over: AtomicU64,
    /// Panics contained in a worker.
    pub panics: AtomicU64,
    /// Whether the disk refuses writes.
    pub disk_refuses: AtomicBool,
    /// When the oldest unsettled outcome was written, in milliseconds after the start, plus one; 0 means
    /// none.
    oldest_unsettled: AtomicU64,
}

impl Counters {
    /// Counters at zero for the job of this name, to be shared by its stages.
    pub fn shared(name: &str, unit: CountedUnit) -> Arc<Self> {
        let conditions = Conditions::default();
        Arc::new(Self {
            unit,
            started: Instant::now(),
            health: JobHealth::new(name).shown_as(conditions.thing("the job")),
            done: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            fields: AtomicU64::new(0),
            lag: AtomicU64::new(if unit == CountedUnit::Records { LAG_UNKNOWN } else { 0 }),
            lag_unknown: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            unsettled: AtomicU64::new(0),
            found: AtomicU64::new(0),
            late_us: AtomicU64::new(0),
            phase: PhaseCell::default(),
            conditions,
            partitions: Glass::default(),
            standby: AtomicBool::new(false),
            refetched: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            dead: AtomicU64::new(0),
            came_back: AtomicU64::new(0),
            taken_over: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            disk_refuses: AtomicBool::new(false),
            oldest_unsettled: AtomicU64::new(0),
        })
    }

    /// The unit that the job counts.
    pub fn unit(&self) -> CountedUnit {
        self.unit
    }

    /// Records when the oldest write that is not settled was made; `None` if everything is settled.
    pub fn set_oldest_unsettled(&self, since: Option<Instant>) {
        let value = since.map_or(0, |since| {
            let after = since.saturating_duration_since(self.started).as_millis();
            u64::try_from(after).unwrap_or(u64::MAX - 1) + 1
        });
        self.oldest_unsettled.store(value, Relaxed);
    }

    /// For how many milliseconds the oldest unsettled outcome has waited.
    pub fn oldest_unsettled_ms(&self) -> u64 {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.oldest_unsettled.load(Relaxed) {
            0 => 0,
            since => now.saturating_sub(since - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unsettled_has_no_age() {
        let counters = Counters::shared("test", CountedUnit::Records);
        let since = counters.started.checked_sub(std::time::Duration::ZERO);
        counters.set_oldest_unsettled(since);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(counters.oldest_unsettled_ms() > 0);
        counters.set_oldest_unsettled(None);
        assert_eq!(counters.oldest_unsettled_ms(), 0);
    }
}
