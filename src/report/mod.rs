//! What pandad says about itself: counters that the stages keep, the state line
//! made of them, and outages logged once going down and once coming back.

mod outage;
mod standing;

pub use outage::Outage;
pub use standing::{Stage, Standing};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What a job's state line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Records that land in a file.
    Records,
    /// Keys that expired and were pushed.
    Keys,
    /// Items that were taken off a list and done.
    Items,
}

/// The counters of one job. Written by its stages, read by the state line.
#[derive(Debug)]
pub struct Counters {
    shown: Shown,
    started: Instant,
    /// Whether the job gets on.
    pub standing: Standing,
    /// Records landed, keys pushed or items done since the start.
    pub done: AtomicU64,
    /// Bytes of lines landed since the start.
    pub bytes: AtomicU64,
    /// Fields deleted since the start.
    pub fields: AtomicU64,
    /// What is in the source and not done, as last seen.
    pub lag: AtomicU64,
    /// Partitions that stand still: nothing of them can be read where their turn is.
    pub still: AtomicU64,
    /// What was gone at the source before it could be read, or was heard and found no room.
    pub lost: AtomicU64,
    /// What was heard and found no room, and is to be found again.
    pub overflowed: AtomicU64,
    /// Keys that had died unheard and were found.
    pub found: AtomicU64,
    /// The worst lateness of the last minute or two, in microseconds.
    pub late: AtomicU64,
    /// Whether another pandad does the work.
    pub standby: AtomicBool,
    /// Outcomes refused for continuity and fetched again.
    pub dropped: AtomicU64,
    /// Items put on the dead list.
    pub dead: AtomicU64,
    /// Items whose users came back and were left alone.
    pub came_back: AtomicU64,
    /// Items taken over from a pandad that died.
    pub taken_over: AtomicU64,
    /// Panics contained in a worker.
    pub panics: AtomicU64,
    /// Whether the disk refuses what is to be written.
    pub disk_refuses: AtomicBool,
    /// When the oldest unsettled outcome landed, in milliseconds after the start plus one; 0 = none.
    oldest: AtomicU64,
}

impl Counters {
    /// Counters at zero, to be shared by the stages of the job of this name.
    pub fn shared(name: &str, shown: Shown) -> Arc<Self> {
        Arc::new(Self {
            shown,
            started: Instant::now(),
            standing: Standing::new(name),
            done: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            fields: AtomicU64::new(0),
            lag: AtomicU64::new(0),
            still: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            found: AtomicU64::new(0),
            late: AtomicU64::new(0),
            standby: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            dead: AtomicU64::new(0),
            came_back: AtomicU64::new(0),
            taken_over: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            disk_refuses: AtomicBool::new(false),
            oldest: AtomicU64::new(0),
        })
    }

    /// Notes since when something landed is waiting to be settled; `None` = nothing is.
    pub fn set_oldest_unsettled(&self, since: Option<Instant>) {
        let value = since.map_or(0, |since| {
            let after = since.saturating_duration_since(self.started).as_millis();
            u64::try_from(after).unwrap_or(u64::MAX - 1) + 1
        });
        self.oldest.store(value, Relaxed);
    }

    /// For how many milliseconds the oldest unsettled outcome has waited.
    pub fn oldest_unsettled_ms(&self) -> u64 {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.oldest.load(Relaxed) {
            0 => 0,
            since => now.saturating_sub(since - 1),
        }
    }
}

impl fmt::Display for Counters {
    /// The state line's figures; those at the end only when they are not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, bytes, fields, lag] =
            [&self.done, &self.bytes, &self.fields, &self.lag].map(|counter| counter.load(Relaxed));
        match self.shown {
            Shown::Records => write!(
                f,
                "records {done}, bytes {bytes}, lag {lag}, oldest unsettled {} ms, disk {}",
                self.oldest_unsettled_ms(),
                if self.disk_refuses.load(Relaxed) { "refuses writes" } else { "ok" },
            )?,
            Shown::Keys => {
                let late = self.late.load(Relaxed) as f64 / 1000.0;
                let standby = if self.standby.load(Relaxed) { ", standby" } else { "" };
                write!(f, "keys {done}, waiting {lag}, late {late:.1} ms{standby}")?;
            }
            Shown::Items => write!(f, "items {done}, fields {fields}, waiting {lag}")?,
        }
        for (name, counter) in [
            ("standing still", &self.still),
            ("lost", &self.lost),
            ("overflowed", &self.overflowed),
            ("found", &self.found),
            ("fetched again", &self.dropped),
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_line_names_every_figure() {
        let counters = Counters::shared("test", Shown::Records);
        counters.done.store(7, Relaxed);
        counters.still.store(1, Relaxed);
        counters.lost.store(2, Relaxed);
        counters.set_oldest_unsettled(Some(Instant::now()));
        let line = counters.to_string();
        assert!(line.starts_with("records 7, bytes 0, lag 0, oldest unsettled "), "{line}");
        assert!(line.ends_with("disk ok, standing still 1, lost 2"), "{line}");
        counters.set_oldest_unsettled(None);
        assert_eq!(counters.oldest_unsettled_ms(), 0);
        let counters = Counters::shared("test", Shown::Items);
        counters.dead.store(3, Relaxed);
        assert_eq!(counters.to_string(), "items 0, fields 0, waiting 0, dead 3");
    }
}
