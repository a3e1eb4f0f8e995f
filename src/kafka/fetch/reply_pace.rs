//! How many bytes a reply may have, if the client has a quota. A broker before Kafka 2.0 that throttles
//! delays its reply, by longer the larger the reply is. A later one replies without records and names a
//! pause; a reply that is larger than the whole quota of some seconds would never have any. Pure.

use std::time::{Duration, Instant};

/// So long after the last delayed reply, replies grow again.
const GROWS_AFTER: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct ReplyPace {
    usual: usize,
    bytes: usize,
    /// When the size changed last, if it is not the usual one.
    changed: Option<Instant>,
    /// Whether the last reply was one without records, for the quota.
    was_withheld: bool,
    /// How many replies in a row did not come in time.
    delays: u32,
}

impl ReplyPace {
    pub(super) fn new(usual: usize) -> Self {
        Self { usual, bytes: usual, changed: None, was_withheld: false, delays: 0 }
    }

    /// How many bytes to ask for. A single batch is sent whole, however large it is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the size is smaller than usual.
    pub(super) fn is_slow(&self) -> bool {
        self.bytes < self.usual
    }

    /// How long the next reply may take, if `usual` is the time limit of an answer.
    pub(super) fn limit(&self, usual: Duration) -> Duration {
        usual.saturating_mul(2_u32.saturating_pow(self.delays))
    }

    /// A reply did not come within its time.
    pub(super) fn record_delayed(&mut self, now: Instant) {
        self.bytes = (self.bytes / 2).max(1);
        self.changed = Some(now);
        self.delays += 1;
    }

    /// The broker has withheld the records of a reply. If it does so again after the pause that it names,
    /// there are too many, and this returns true.
    pub(super) fn record_withheld(&mut self, now: Instant) -> bool {
        let is_again = std::mem::replace(&mut self.was_withheld, true);
        if is_again {
            // Each attempt costs a pause of seconds.
            self.bytes = (self.bytes / 4).max(1);
            self.changed = Some(now);
        }
        is_again
    }

    /// A reply has come.
    pub(super) fn record_answer(&mut self, now: Instant) {
        self.was_withheld = false;
        self.delays = 0;
        if self.changed.is_some_and(|at| now.saturating_duration_since(at) >= GROWS_AFTER) {
            self.bytes = self.bytes.saturating_mul(2).min(self.usual);
            self.changed = (self.bytes < self.usual).then_some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_smaller_down_to_one_batch_and_grow_again() {
        let (mut pace, now) = (ReplyPace::new(1000), Instant::now());
        pace.record_answer(now);
        assert_eq!((pace.bytes(), pace.is_slow()), (1000, false));
        pace.record_delayed(now);
        pace.record_delayed(now);
        let second = Duration::from_secs(1);
        assert_eq!((pace.bytes(), pace.limit(second)), (250, 4 * second));
        pace.record_answer(now + GROWS_AFTER - Duration::from_millis(1));
        assert_eq!((pace.bytes(), pace.is_slow(), pace.limit(second)), (250, true, second));
        pace.record_answer(now + GROWS_AFTER);
        pace.record_answer(now + GROWS_AFTER);
        assert_eq!(pace.bytes(), 500, "once in that time");
        pace.record_answer(now + GROWS_AFTER * 2);
        assert_eq!((pace.bytes(), pace.is_slow()), (1000, false));
        assert!(!pace.record_withheld(now));
        pace.record_answer(now);
        assert!(!pace.record_withheld(now));
        assert_eq!(pace.bytes(), 1000, "after the pause there was an answer");
        assert!(pace.record_withheld(now));
        assert_eq!(pace.bytes(), 250);
        (0..80).for_each(|_| pace.record_delayed(now));
        assert_eq!(pace.bytes(), 1, "the broker sends one batch");
        assert!(pace.limit(second) > second * 100_000);
    }
}
