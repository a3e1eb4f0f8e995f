//! How late keys were: the worst lateness of the last minute or two, for the state line. Pure: the caller
//! has the clock.

use std::time::{Duration, Instant};

/// The lateness of a key is shown for at least this time.
const LATENESS_WINDOW: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Lateness {
    worst_now: Duration,
    worst_before: Duration,
    since: Instant,
}

impl Lateness {
    pub(super) fn new(now: Instant) -> Self {
        Self { worst_now: Duration::ZERO, worst_before: Duration::ZERO, since: now }
    }

    /// Records that a key was this late.
    pub(super) fn record(&mut self, late: Duration) {
        self.worst_now = self.worst_now.max(late);
    }

    /// The worst lateness in microseconds, or `least` if that is more.
    pub(super) fn worst(&mut self, now: Instant, least: Duration) -> u64 {
        let worst = self.worst_now.max(self.worst_before).max(least);
        if now > self.since + LATENESS_WINDOW {
            (self.worst_before, self.worst_now, self.since) = (self.worst_now, Duration::ZERO, now);
        }
        u64::try_from(worst.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_shown_for_a_minute() {
        let now = Instant::now();
        let mut lateness = Lateness::new(now);
        lateness.record(Duration::from_millis(7));
        let each = LATENESS_WINDOW + Duration::from_millis(1);
        let shown: Vec<u64> = (0..=4).map(|n| lateness.worst(now + each * n, Duration::ZERO)).collect();
        assert_eq!(shown, [7000, 7000, 7000, 0, 0]);
        assert_eq!(lateness.worst(now, Duration::from_secs(1)), 1_000_000);
    }
}
