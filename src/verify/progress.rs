//! How far the comparison is, and how long it will take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Gets the text of the progress, now and then.
pub type ShowProgress = Box<dyn FnMut(&str)>;

/// See the module.
pub(super) struct Progress {
    show: ShowProgress,
    interval: Duration,
    shown: Instant,
    begun: Instant,
    what: &'static str,
    offsets: u64,
    offsets_all: u64,
    /// Bytes of files; the thread that reads them adds.
    pub(super) bytes: Arc<AtomicU64>,
    bytes_all: u64,
}

impl Progress {
    pub(super) fn new(show: ShowProgress, interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            show,
            interval,
            shown: now,
            begun: now,
            what: "",
            offsets: 0,
            offsets_all: 0,
            bytes: Arc::default(),
            bytes_all: 0,
        }
    }

    /// A pass over so many offsets and bytes of files begins.
    pub(super) fn begin(&mut self, what: &'static str, offsets: u64, bytes: u64) {
        (self.what, self.begun) = (what, Instant::now());
        (self.offsets, self.offsets_all, self.bytes_all) = (0, offsets, bytes);
        self.bytes.store(0, Relaxed);
    }

    pub(super) fn add_offsets(&mut self, offsets: u64) {
        self.offsets += offsets;
    }

    /// Something is in the way.
    pub(super) fn trouble(&mut self, why: &str) {
        if self.shown.elapsed() >= self.interval {
            self.shown = Instant::now();
            (self.show)(why);
        }
    }

    /// Shows the progress, if the interval has passed.
    pub(super) fn show(&mut self) {
        if self.shown.elapsed() < self.interval {
            return;
        }
        self.shown = Instant::now();
        let text = self.text(self.begun.elapsed());
        (self.show)(&text);
    }

    fn text(&self, elapsed: Duration) -> String {
        let bytes = self.bytes.load(Relaxed).min(self.bytes_all);
        let share = |done: u64, all: u64| if all == 0 { 1.0 } else { done as f64 / all as f64 };
        // The slower of the two sides tells the time left.
        let done = share(self.offsets, self.offsets_all).min(share(bytes, self.bytes_all));
        let left = match done {
            done if done > 0.0 => {
                let seconds = elapsed.as_secs_f64() * (1.0 - done).max(0.0) / done;
                format!("about {} s left", seconds.ceil())
            }
            _ => "time left not known yet".to_owned(),
        };
        format!(
            "{}: {} of {} offsets, {} of {} MiB of files, {left}",
            self.what,
            self.offsets,
            self.offsets_all,
            bytes >> 20,
            self.bytes_all >> 20
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_side_tells_the_time_left() {
        let mut progress = Progress::new(Box::new(|_| {}), Duration::ZERO);
        progress.begin("comparing", 1000, 4 << 20);
        assert!(progress.text(Duration::from_secs(1)).ends_with("time left not known yet"));
        progress.add_offsets(500);
        progress.bytes.store(1 << 20, Relaxed);
        assert_eq!(
            progress.text(Duration::from_secs(10)),
            "comparing: 500 of 1000 offsets, 1 of 4 MiB of files, about 30 s left"
        );
    }
}
