//! How many bytes a reply may have, if the client has a quota. A broker before Kafka 2.0 that throttles
//! delays its reply, by longer the larger the reply is. A later one replies without records and names a
//! pause; a reply that is larger than the whole quota of some seconds would never have any. That is a quota
//! of bytes. One of request time makes the same pauses, and smaller replies cost more of it. Pure.

use std::time::{Duration, Instant};

/// So long after the last delayed reply, replies grow again.
const GROWS_AFTER: Duration = Duration::from_secs(60);

/// The longest pause for a quota of request time: one window of the quota
/// (`ClientRequestQuotaManager.scala`, `quota.window.size.seconds`). One for a quota of bytes has no limit.
const REQUEST_TIME_PAUSE_MAX: Duration = Duration::from_secs(1);
/// After so many replies in a row without records, the pauses do not show which quota it is.
const WITHHELD_MAX: u32 = 20;

/// A reply of so many bytes at most has one batch, if batches have the usual size of 16 KiB or more.
const LEAST_BYTES: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct ReplyPace {
    usual: usize,
    bytes: usize,
    /// When the size changed last, if it is not the usual one.
    changed: Option<Instant>,
    /// How many replies in a row had no records, for the quota.
    withheld: u32,
    /// How many replies in a row did not come in time.
    delays: u32,
}

impl ReplyPace {
    pub(super) fn new(usual: usize) -> Self {
        Self { usual, bytes: usual, changed: None, withheld: 0, delays: 0 }
    }

    /// How many bytes to ask for. A single batch is sent whole, however large it is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the size is smaller than usual.
    pub(super) fn is_slow(&self) -> bool {
        self.bytes < self.usual
    }

    /// Whether less than a usual batch is asked for, so that each reply has one batch.
    pub(super) fn is_least(&self) -> bool {
        self.bytes <= LEAST_BYTES
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

    /// The broker has withheld the records of a reply, and names this pause. If it does so again after the
    /// pause, there are too many, and this returns true.
    pub(super) fn record_withheld(&mut self, pause: Duration, now: Instant) -> bool {
        self.withheld += 1;
        let since = if pause > REQUEST_TIME_PAUSE_MAX { 2 } else { WITHHELD_MAX };
        let is_too_large = self.withheld >= since;
        if is_too_large {
            // Each attempt costs a pause of seconds.
            self.bytes = (self.bytes / 4).max(1);
            self.changed = Some(now);
        }
        is_too_large
    }

    /// A reply has come.
    pub(super) fn record_answer(&mut self, now: Instant) {
        self.withheld = 0;
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
        assert!(!pace.record_withheld(4 * second, now));
        pace.record_answer(now);
        assert!(!pace.record_withheld(4 * second, now));
        assert_eq!(pace.bytes(), 1000, "after the pause there was an answer");
        assert!(pace.record_withheld(4 * second, now));
        assert_eq!(pace.bytes(), 250);
        (0..80).for_each(|_| pace.record_delayed(now));
        assert_eq!(pace.bytes(), 1, "the broker sends one batch");
        assert!(pace.limit(second) > second * 100_000);
    }

    /// A smaller reply would not help: the broker counts its time, and each reply costs some.
    #[test]
    fn a_quota_of_request_time_makes_no_reply_smaller() {
        let (mut pace, now, second) = (ReplyPace::new(1000), Instant::now(), Duration::from_secs(1));
        for _ in 0..100 {
            for _ in 1..WITHHELD_MAX {
                assert!(!pace.record_withheld(second, now));
            }
            pace.record_answer(now);
        }
        assert_eq!(pace.bytes(), 1000);
        // No reply has records, so it may be a quota of bytes all the same.
        let smaller = (0..WITHHELD_MAX).filter(|_| pace.record_withheld(second, now)).count();
        assert_eq!(smaller, 1);
        assert_eq!(pace.bytes(), 250);
        assert!(pace.record_withheld(second, now));
    }
}
