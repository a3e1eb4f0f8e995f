//! Whether this instance may still work on its batches: only while no other instance can have taken them
//! over. Pure, except for the clock that it is given.
//!
//! After a heartbeat that was sent at `t`, no other instance takes the batches over before `t + ttl`, by
//! the server's clock. After a longer pause an instance must read its batch lists again, even if the next
//! heartbeat was accepted by then. A *term* is a time in which no heartbeat expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::host;

/// A time in which no heartbeat expired. Terms are only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerm(u64);

/// The lease of an instance: written by the heartbeat thread, read by the taker and the workers.
#[derive(Debug, Clone)]
pub struct QueueLease {
    ttl: Duration,
    now: fn() -> Duration,
    shared: Arc<LeaseState>,
}

#[derive(Debug, Default)]
struct LeaseState {
    term: AtomicU64,
    /// When the last accepted heartbeat was sent, in milliseconds after the boot, plus 1; 0 means never.
    sent: AtomicU64,
}

impl QueueLease {
    /// A lease that holds from the first heartbeat on.
    pub fn new(ttl: Duration) -> Self {
        Self::with_clock(ttl, host::since_boot)
    }

    fn with_clock(ttl: Duration, now: fn() -> Duration) -> Self {
        Self { ttl, now, shared: Arc::default() }
    }

    /// For how long a heartbeat counts.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The clock by which heartbeats are measured. It goes on while the machine is suspended.
    pub(super) fn now(&self) -> Duration {
        (self.now)()
    }

    /// Records that the heartbeat sent at `sent` was accepted.
    pub(super) fn renew(&self, sent: Duration) {
        let before = self.shared.sent.load(SeqCst);
        let age = millis(self.now()).saturating_sub(before.saturating_sub(1));
        if before == 0 || age >= millis(self.ttl) {
            // The term is stored before the time, because a reader that sees the new time must also see the
            // new term.
            self.shared.term.fetch_add(1, SeqCst);
        }
        self.shared.sent.store(millis(sent) + 1, SeqCst);
    }

    /// The present term; `None` while another instance may take batches over.
    pub fn term(&self) -> Option<LeaseTerm> {
        let sent = self.shared.sent.load(SeqCst);
        let term = self.shared.term.load(SeqCst);
        // A quarter of the time is left, so that commands sent now arrive in time.
        let age = millis(self.now()).saturating_sub(sent.saturating_sub(1));
        (sent > 0 && age < millis(self.ttl) * 3 / 4).then_some(LeaseTerm(term))
    }

    /// Whether a batch taken in this term certainly still belongs to this instance.
    pub fn holds(&self, taken: LeaseTerm) -> bool {
        self.term() == Some(taken)
    }
}

/// A time in whole milliseconds, as Redis counts.
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
    fn a_heartbeat_counts_for_three_quarters_of_its_time() {
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
    fn a_pause_longer_than_the_heartbeat_ends_the_term() {
        let lease = lease();
        lease.renew(at(100));
        let term = lease.term().unwrap();
        lease.renew(at(111));
        assert!(lease.term().is_some() && !lease.holds(term));
    }

    #[test]
    fn an_answer_that_took_too_long_begins_a_new_term() {
        let lease = lease();
        lease.renew(at(100));
        let term = lease.term().unwrap();
        // The heartbeat was sent in time, but it is not known when the server set the key.
        let sent = at(105);
        at(111);
        lease.renew(sent);
        assert!(lease.term().is_some() && !lease.holds(term));
    }
}
