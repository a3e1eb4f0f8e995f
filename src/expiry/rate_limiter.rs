//! How much may be asked of the server: so many keys a second, a tenth of a second's
//! worth at once. Pure: whoever calls has the clock.

use std::time::{Duration, Instant};

/// See the module.
pub(super) struct RateLimiter {
    rate: f64,
    /// Below zero: a debt, to be waited for.
    left: f64,
    at: Instant,
}

impl RateLimiter {
    /// `rate` keys a second.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate.max(1));
        Self { rate, left: most(rate), at: now }
    }

    /// How many keys may be asked now, of `wanted`.
    pub(super) fn room(&mut self, wanted: usize, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.rate).min(most(self.rate));
        if self.left < 1.0 { 0 } else { wanted.min(self.left as usize) }
    }

    /// So many are asked; more than there is room for leaves a debt.
    pub(super) fn take(&mut self, keys: usize) {
        self.left -= keys as f64;
    }

    /// When there is room again.
    pub(super) fn next(&self, now: Instant) -> Instant {
        // A little more than one key's worth, so that it is worth a packet.
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
    fn no_more_than_the_rate_whatever_is_wanted() {
        let mut now = Instant::now();
        let began = now;
        let mut rate = RateLimiter::new(1000, now);
        let mut asked = 0;
        while now < began + Duration::from_secs(10) {
            let room = rate.room(500, now);
            rate.take(room);
            asked += room;
            now = if room == 0 { rate.next(now) } else { now };
        }
        assert!((9900..=10_101).contains(&asked), "{asked} in 10 s");
    }

    #[test]
    fn a_debt_is_waited_for() {
        let now = Instant::now();
        let mut rate = RateLimiter::new(100, now);
        rate.take(60);
        assert_eq!(rate.room(1, now), 0);
        assert_eq!(rate.room(1, now + Duration::from_millis(400)), 0);
        assert_eq!(rate.room(1, now + Duration::from_millis(520)), 1);
    }
}
