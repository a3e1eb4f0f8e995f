//! Whether this instance may still work on what it holds: only while others cannot have
//! taken it for dead. Pure, but for the clock that it is given.
//!
//! A sign of life that was sent at `t` holds off the others until `t + life` at least, by
//! the server's clock. Whoever stood still for longer has to look whether its batches are
//! still its own, even if the next sign is set by then: a *stretch* is the time in which
//! no sign ran out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::host;

/// One unbroken stretch of life; stretches are only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerm(u64);

/// Written by the thread that keeps the sign of life, read by whoever works.
#[derive(Debug, Clone)]
pub struct QueueLease {
    ttl: Duration,
    now: fn() -> Duration,
    shared: Arc<LeaseState>,
}

#[derive(Debug, Default)]
struct LeaseState {
    term: AtomicU64,
    /// When the last sign that was accepted was sent, in milliseconds after the boot, plus 1.
    sent: AtomicU64,
}

impl QueueLease {
    /// Nothing may be done before the first sign of life.
    pub fn new(ttl: Duration) -> Self {
        Self::with_clock(ttl, host::since_boot)
    }

    fn with_clock(ttl: Duration, now: fn() -> Duration) -> Self {
        Self { ttl, now, shared: Arc::default() }
    }

    /// How long a sign of life lasts.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The time by which signs of life are measured; a suspended machine's goes on.
    pub(super) fn now(&self) -> Duration {
        (self.now)()
    }

    /// A sign of life that was sent at `sent` has been accepted by now.
    pub(super) fn renew(&self, sent: Duration) {
        let before = self.shared.sent.load(SeqCst);
        let age = millis(self.now()).saturating_sub(before.saturating_sub(1));
        if before == 0 || age >= millis(self.ttl) {
            // Before the new time: whoever sees that must see the new stretch, too.
            self.shared.term.fetch_add(1, SeqCst);
        }
        self.shared.sent.store(millis(sent) + 1, SeqCst);
    }

    /// The present stretch; `None` while others may take this instance for dead.
    pub fn term(&self) -> Option<LeaseTerm> {
        let sent = self.shared.sent.load(SeqCst);
        let term = self.shared.term.load(SeqCst);
        // A quarter is left for what is sent now to arrive.
        let age = millis(self.now()).saturating_sub(sent.saturating_sub(1));
        (sent > 0 && age < millis(self.ttl) * 3 / 4).then_some(LeaseTerm(term))
    }

    /// Whether what was taken in this stretch is certainly still this instance's.
    pub fn holds(&self, taken: LeaseTerm) -> bool {
        self.term() == Some(taken)
    }
}

/// As Redis counts.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! { static NOW: Cell<u64> = const { Cell::new(0) }; }

    fn at(seconds: u64) -> Duration {
        NOW.set(seconds);
        Duration::from_secs(seconds)
    }

    fn lease() -> QueueLease {
        QueueLease::with_clock(Duration::from_secs(10), || Duration::from_secs(NOW.get()))
    }

    #[test]
    fn a_sign_of_life_lasts_for_three_quarters_of_its_time() {
        let lease = lease();
        assert_eq!(lease.term(), None);
        lease.renew(at(100));
        let term = lease.term().unwrap();
        at(107);
        assert!(lease.holds(term));
        at(108);
        assert!(!lease.holds(term));
        lease.renew(at(109));
        assert!(lease.holds(term), "it never ran out");
    }

    #[test]
    fn whoever_stood_still_for_too_long_has_lost_what_it_held() {
        let lease = lease();
        lease.renew(at(100));
        let term = lease.term().unwrap();
        lease.renew(at(111));
        assert!(lease.term().is_some() && !lease.holds(term));
    }

    #[test]
    fn an_answer_that_took_too_long_is_no_proof() {
        let lease = lease();
        lease.renew(at(100));
        let term = lease.term().unwrap();
        // Sent in time; when the server set it, nobody knows.
        let sent = at(105);
        at(111);
        lease.renew(sent);
        assert!(lease.term().is_some() && !lease.holds(term));
    }
}
