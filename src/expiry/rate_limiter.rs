//! Limits for how many keys the server where keys expire is asked: a token bucket that holds the tokens of
//! a tenth of a second. Pure: the caller has the clock.

use std::time::{Duration, Instant};

/// See the module.
pub(super) struct RateLimiter {
    rate: f64,
    /// How many keys may be asked for now. A negative number is a debt: nothing may be asked for until
    /// enough time has passed.
    left: f64,
    at: Instant,
}

impl RateLimiter {
    /// `rate` is in keys a second.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate.max(1));
        Self { rate, left: most(rate), at: now }
    }

    /// How many of the `wanted` keys may be asked for now.
    pub(super) fn available(&mut self, wanted: usize, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.rate).min(most(self.rate));
        if self.left < 1.0 { 0 } else { wanted.min(self.left as usize) }
    }

    /// Records that this many keys are asked for. If more were asked for than available, the rest is a
    /// debt.
    pub(super) fn spend(&mut self, keys: usize) {
        self.left -= keys as f64;
    }

    /// When keys may be asked for again.
    pub(super) fn next(&self, now: Instant) -> Instant {
        // Waiting for more than one key makes the packets fewer and larger.
        let missing = (most(self.rate) / 10.0).max(1.0) - self.left;
        now + Duration::from_secs_f64((missing / self.rate).max(0.0))
    }
}

fn most(rate: f64) -> f64 {
    (rate / 10.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_rate() {
        let mut now = Instant::now();
        let began = now;
        let mut rate = RateLimiter::new(1000, now);
        let mut probed = 0;
        while now < began + Duration::from_secs(10) {
            let available = rate.available(500, now);
            rate.spend(available);
            probed += available;
            now = if available == 0 { rate.next(now) } else { now };
        }
        assert!((9900..=10_101).contains(&probed), "{probed} in 10 s");
    }

    #[test]
    fn a_debt_is_paid_off_by_waiting() {
        let now = Instant::now();
        let mut rate = RateLimiter::new(100, now);
        rate.spend(60);
        assert_eq!(rate.available(1, now), 0);
        assert_eq!(rate.available(1, now + Duration::from_millis(400)), 0);
        assert_eq!(rate.available(1, now + Duration::from_millis(520)), 1);
    }
}
