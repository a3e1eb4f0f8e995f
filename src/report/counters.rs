//! The counters of a job and the state line made of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::job_health::JobHealth;

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
    /// How much work the source had and had not done, at the last count.
    pub lag: AtomicU64,
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
    /// Whether the job has failed for good. It is then only tried again now and then.
    pub failed: AtomicBool,
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
        Arc::new(Self {
            unit,
            started: Instant::now(),
            health: JobHealth::new(name),
            done: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            fields: AtomicU64::new(0),
            lag: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            unsettled: AtomicU64::new(0),
            found: AtomicU64::new(0),
            late_us: AtomicU64::new(0),
            failed: AtomicBool::new(false),
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

impl fmt::Display for Counters {
    /// The figures of the state line. Those at its end are shown only if they are not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, bytes, fields, lag] =
            [&self.done, &self.bytes, &self.fields, &self.lag].map(|counter| counter.load(Relaxed));
        match self.unit {
            CountedUnit::Records => write!(
                f,
                "records {done}, bytes {bytes}, lag {lag}, oldest unsettled {} ms, disk {}",
                self.oldest_unsettled_ms(),
                if self.disk_refuses.load(Relaxed) { "refuses writes" } else { "ok" },
            )?,
            CountedUnit::Keys => {
                let late = self.late_us.load(Relaxed) as f64 / 1000.0;
                let standby = if self.standby.load(Relaxed) { ", standby" } else { "" };
                write!(f, "keys {done}, waiting {lag}, late {late:.1} ms{standby}")?;
            }
            CountedUnit::Items => write!(f, "items {done}, fields {fields}, waiting {lag}")?,
        }
        for (name, counter) in [
            ("blocked", &self.blocked),
            ("lost", &self.lost),
            ("skipped", &self.skipped),
            ("overflowed", &self.overflowed),
            ("unsettled", &self.unsettled),
            ("found", &self.found),
            ("filtered", &self.filtered),
            ("fetched again", &self.refetched),
            ("dead", &self.dead),
            ("came back", &self.came_back),
            ("taken over", &self.taken_over),
            ("panics", &self.panics),
        ] {
            match counter.load(Relaxed) {
                0 => {}
                count => write!(f, ", {name} {count}")?,
            }
        }
        if self.failed.load(Relaxed) {
            f.write_str(", failed")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_line_names_every_figure() {
        let counters = Counters::shared("test", CountedUnit::Records);
        counters.done.store(7, Relaxed);
        counters.blocked.store(1, Relaxed);
        counters.lost.store(2, Relaxed);
        counters.skipped.store(3, Relaxed);
        counters.set_oldest_unsettled(Some(Instant::now()));
        let line = counters.to_string();
        assert!(line.starts_with("records 7, bytes 0, lag 0, oldest unsettled "), "{line}");
        assert!(line.ends_with("disk ok, blocked 1, lost 2, skipped 3"), "{line}");
        counters.set_oldest_unsettled(None);
        assert_eq!(counters.oldest_unsettled_ms(), 0);
        let counters = Counters::shared("test", CountedUnit::Items);
        counters.dead.store(3, Relaxed);
        counters.failed.store(true, Relaxed);
        assert_eq!(counters.to_string(), "items 0, fields 0, waiting 0, dead 3, failed");
    }
}
