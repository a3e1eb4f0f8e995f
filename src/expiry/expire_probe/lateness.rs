//! How late keys were: the worst of the last minute or two, for the state line. Pure.

use std::time::{Duration, Instant};

/// The worst of this time, at least, is shown.
const LATENESS_WINDOW: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Lateness {
    this: Duration,
    before: Duration,
    since: Instant,
}

impl Lateness {
    pub(super) fn new(now: Instant) -> Self {
        Self { this: Duration::ZERO, before: Duration::ZERO, since: now }
    }

    /// A key was so late.
    pub(super) fn record(&mut self, late: Duration) {
        self.this = self.this.max(late);
    }

    /// In microseconds; no less than `least`.
    pub(super) fn worst(&mut self, now: Instant, least: Duration) -> u64 {
        let worst = self.this.max(self.before).max(least);
        if now > self.since + LATENESS_WINDOW {
            (self.before, self.this, self.since) = (self.this, Duration::ZERO, now);
        }
        u64::try_from(worst.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_late_is_shown_for_a_minute_and_then_no_more() {
        let now = Instant::now();
        let mut lateness = Lateness::new(now);
        lateness.record(Duration::from_millis(7));
        let each = LATENESS_WINDOW + Duration::from_millis(1);
        let shown: Vec<u64> = (0..=4).map(|n| lateness.worst(now + each * n, Duration::ZERO)).collect();
        assert_eq!(shown, [7000, 7000, 7000, 0, 0]);
        assert_eq!(lateness.worst(now, Duration::from_secs(1)), 1_000_000);
    }
}
