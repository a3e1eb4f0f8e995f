//! Bounds the time that sweeps over all partitions take: there is a poll for each reply, and a sweep costs as
//! much as there are partitions.

use std::time::{Duration, Instant};

/// With so few partitions, every poll sweeps.
const FEW: usize = 100;
/// The time between two sweeps is so many times that of a sweep.
const PAUSE: u32 = 20;
/// The longest time between two sweeps.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SweepPace {
    due: Option<Instant>,
}

impl SweepPace {
    /// When the next sweep is due; `None` if that is now.
    pub(super) fn due_after(&self, now: Instant) -> Option<Instant> {
        self.due.filter(|due| *due > now)
    }

    /// A sweep over so many partitions has ended and took so long.
    pub(super) fn record(&mut self, partitions: usize, now: Instant, took: Duration) {
        self.due = (partitions > FEW).then(|| now + (took * PAUSE).min(PAUSE_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_over_many_partitions_take_a_small_share_of_the_time() {
        let (now, took) = (Instant::now(), Duration::from_micros(50));
        let mut pace = SweepPace::default();
        assert_eq!(pace.due_after(now), None, "the first");
        pace.record(FEW, now, took);
        assert_eq!(pace.due_after(now), None, "few partitions");
        pace.record(FEW + 1, now, took);
        let due = now + Duration::from_millis(1);
        assert_eq!(pace.due_after(now), Some(due));
        assert_eq!(pace.due_after(due), None);
        pace.record(4000, now, Duration::from_secs(1));
        assert_eq!(pace.due_after(now), Some(now + PAUSE_MAX), "the thread had to wait for a processor");
    }
}
