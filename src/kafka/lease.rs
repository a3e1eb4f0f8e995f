//! The time until which the partitions of a member are certainly its own. The coordinator gives them to no
//! other member before a session timeout has passed since the last heartbeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::host;

/// A point in time since boot, after which the partitions may belong to another member. Clones share
/// it: one thread receives the coordinator's answers, others write lines.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Milliseconds since boot, rounded down.
    until: Arc<AtomicU64>,
}

impl Lease {
    /// A lease that never ends, for a client that is no member.
    pub fn permanent() -> Self {
        Self { until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// A lease that does not hold before [`Self::set`].
    pub(super) fn expired() -> Self {
        Self { until: Arc::new(AtomicU64::new(0)) }
    }

    /// Whether at this moment no other member can have the partitions.
    pub fn holds(&self) -> bool {
        self.holds_at(host::since_boot())
    }

    /// Whether at this time since boot no other member can have the partitions, by what is known now.
    pub(super) fn holds_at(&self, now: Duration) -> bool {
        millis(now) < self.until.load(SeqCst)
    }

    /// A lease that a test renews.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self::expired()
    }

    /// Makes the lease hold for this time from now on.
    #[cfg(test)]
    pub(crate) fn renew(&self, time: Duration) {
        self.set(host::since_boot() + time);
    }

    /// Makes the lease hold until this time since boot. Only one thread calls this.
    pub(super) fn set(&self, until: Duration) {
        self.until.store(millis(until), SeqCst);
    }

    /// Ends the lease now.
    pub(super) fn end(&self) {
        self.until.store(0, SeqCst);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_until_then_and_for_all_who_share_it() {
        assert!(Lease::permanent().holds());
        let lease = Lease::expired();
        let shared = lease.clone();
        assert!(!shared.holds());
        lease.set(host::since_boot() + Duration::from_millis(40));
        assert!(shared.holds());
        std::thread::sleep(Duration::from_millis(60));
        assert!(!shared.holds());
        lease.set(host::since_boot() + Duration::from_secs(60));
        lease.end();
        assert!(!shared.holds());
    }
}
