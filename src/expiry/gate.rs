//! What the threads of this room tell each other: whether anybody listens, since when,
//! and that the listener should connect anew.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// See the module.
#[derive(Clone)]
pub(super) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    /// Another pandad has the lease.
    elsewhere: AtomicBool,
    listening: AtomicBool,
    /// How often listening began.
    began: AtomicU64,
    renewals: AtomicU64,
    /// Expired keys that the server has announced, wanted or not.
    announced: AtomicU64,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                // Nobody listens before it is known who has the lease, or that it cannot be known.
                elsewhere: AtomicBool::new(true),
                listening: AtomicBool::new(false),
                began: AtomicU64::new(0),
                renewals: AtomicU64::new(0),
                announced: AtomicU64::new(0),
            }),
        }
    }

    /// Whether it is this pandad's turn to listen.
    pub(super) fn may_listen(&self) -> bool {
        !self.inner.elsewhere.load(SeqCst)
    }

    pub(super) fn set_elsewhere(&self, elsewhere: bool) {
        self.inner.elsewhere.store(elsewhere, SeqCst);
    }

    /// The subscription holds from here on.
    pub(super) fn listens(&self) {
        self.inner.began.fetch_add(1, SeqCst);
        self.inner.listening.store(true, SeqCst);
    }

    /// Nothing is heard any more. True if something was.
    pub(super) fn is_deaf(&self) -> bool {
        self.inner.listening.swap(false, SeqCst)
    }

    /// Which subscription holds; `None` when none does.
    pub(super) fn listening(&self) -> Option<u64> {
        self.inner.listening.load(SeqCst).then(|| self.inner.began.load(SeqCst))
    }

    /// The listener is to connect anew, and look again at what the server announces.
    pub(super) fn renew(&self) {
        self.inner.renewals.fetch_add(1, SeqCst);
    }

    /// How often that was asked for.
    pub(super) fn renewals(&self) -> u64 {
        self.inner.renewals.load(SeqCst)
    }

    /// The server has announced an expired key.
    pub(super) fn announces(&self) {
        self.inner.announced.fetch_add(1, SeqCst);
    }

    /// How many it has announced.
    pub(super) fn announced(&self) -> u64 {
        self.inner.announced.load(SeqCst)
    }
}

/// The clock of the server where keys expire, as far as it is known: deadlines that
/// others are to understand are told by it.
#[derive(Clone)]
pub(super) struct Clock {
    seen: Arc<Mutex<(Instant, u64)>>,
}

impl Clock {
    /// Our own clock, until the server's is known.
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seen: Arc::new(Mutex::new((Instant::now(), millis(since)))) }
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
        let (clock, now) = (Clock::new(), Instant::now() + Duration::from_secs(9));
        clock.set(now, 5_000_000);
        assert_eq!(clock.at(now + Duration::from_millis(7)), 5_000_007);
        assert_eq!(clock.at(now - Duration::from_millis(7)), 4_999_993);
    }
}
