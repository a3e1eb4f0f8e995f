//! What pandad says about itself: counters that the stages keep, the state line
//! made of them, and outages logged once going down and once coming back.

mod outage;

pub use outage::Outage;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The counters of one job. Written by its stages, read by the state line.
#[derive(Debug)]
pub struct Counters {
    started: Instant,
    /// Records landed since the start.
    pub records: AtomicU64,
    /// Bytes of lines landed since the start.
    pub bytes: AtomicU64,
    /// Records that are in the source and not landed, as last seen.
    pub lag: AtomicU64,
    /// Records that were gone at the source before they could be read.
    pub lost: AtomicU64,
    /// Outcomes refused for continuity and fetched again.
    pub dropped: AtomicU64,
    /// Panics contained in a worker.
    pub panics: AtomicU64,
    /// Whether the disk refuses what is to be written.
    pub disk_refuses: AtomicBool,
    /// When the oldest unsettled outcome landed, in milliseconds after the start plus one; 0 = none.
    oldest: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            lag: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            disk_refuses: AtomicBool::new(false),
            oldest: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Counters at zero, to be shared by the stages of one job.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::default())
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
    /// The state line's figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "records {}, bytes {}, lag {}, oldest unsettled {} ms, disk {}",
            self.records.load(Relaxed),
            self.bytes.load(Relaxed),
            self.lag.load(Relaxed),
            self.oldest_unsettled_ms(),
            if self.disk_refuses.load(Relaxed) { "refuses writes" } else { "ok" },
        )?;
        for (name, counter) in
            [("lost", &self.lost), ("fetched again", &self.dropped), ("panics", &self.panics)]
        {
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
        let counters = Counters::default();
        counters.records.store(7, Relaxed);
        counters.lost.store(2, Relaxed);
        counters.set_oldest_unsettled(Some(Instant::now()));
        let line = counters.to_string();
        assert!(line.starts_with("records 7, bytes 0, lag 0, oldest unsettled "), "{line}");
        assert!(line.ends_with("disk ok, lost 2"), "{line}");
        counters.set_oldest_unsettled(None);
        assert_eq!(counters.oldest_unsettled_ms(), 0);
    }
}
