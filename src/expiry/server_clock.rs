//! The clock of the server where keys expire, estimated from its replies to TIME. Remembered deadlines are
//! written by this clock, because pandads on several machines share them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// See the module.
pub(super) struct ServerClock {
    /// A moment by this machine's clock, and the milliseconds since 1970 that the server showed then.
    seen: Mutex<(Instant, u64)>,
}

impl ServerClock {
    /// A clock that shows this machine's time until the server's time is known.
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seen: Mutex::new((Instant::now(), millis(since))) }
    }

    /// What the server's clock shows at that moment, in milliseconds since 1970.
    pub(super) fn at(&self, moment: Instant) -> u64 {
        let (seen, then) = *self.lock();
        match moment.checked_duration_since(seen) {
            Some(after) => then.saturating_add(millis(after)),
            None => then.saturating_sub(millis(seen.saturating_duration_since(moment))),
        }
    }

    /// Sets the clock: at that moment the server's clock showed `millis`.
    pub(super) fn set(&self, moment: Instant, millis: u64) {
        *self.lock() = (moment, millis);
    }

    fn lock(&self) -> MutexGuard<'_, (Instant, u64)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time in whole milliseconds, as Redis counts.
pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_before_and_after_the_reply() {
        let (clock, now) = (ServerClock::new(), Instant::now() + Duration::from_secs(9));
        clock.set(now, 5_000_000);
        assert_eq!(clock.at(now + Duration::from_millis(7)), 5_000_007);
        assert_eq!(clock.at(now - Duration::from_millis(7)), 4_999_993);
    }
}
