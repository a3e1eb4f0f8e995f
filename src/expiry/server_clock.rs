//! The clock of the server where keys expire, as far as it is known: deadlines that
//! others are to understand are told by it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// See the module.
pub(super) struct ServerClock {
    seen: Mutex<(Instant, u64)>,
}

impl ServerClock {
    /// Our own clock, until the server's is known.
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seen: Mutex::new((Instant::now(), millis(since))) }
    }

    /// Milliseconds since 1970 at the server at that moment.
    pub(super) fn at(&self, moment: Instant) -> u64 {
        let (seen, then) = *self.lock();
        match moment.checked_duration_since(seen) {
            Some(after) => then.saturating_add(millis(after)),
            None => then.saturating_sub(millis(seen.saturating_duration_since(moment))),
        }
    }

    /// The server has said so at that moment.
    pub(super) fn set(&self, moment: Instant, millis: u64) {
        *self.lock() = (moment, millis);
    }

    fn lock(&self) -> MutexGuard<'_, (Instant, u64)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For Redis, which counts in whole milliseconds.
pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_servers_clock_is_told_before_and_after_it_was_seen() {
        let (clock, now) = (ServerClock::new(), Instant::now() + Duration::from_secs(9));
        clock.set(now, 5_000_000);
        assert_eq!(clock.at(now + Duration::from_millis(7)), 5_000_007);
        assert_eq!(clock.at(now - Duration::from_millis(7)), 4_999_993);
    }
}
