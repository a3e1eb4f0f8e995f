//! Until when what is ours is certainly ours: the coordinator gives a member's
//! partitions to nobody else before a session has passed since it last heard of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::host;

/// A moment in time since boot, shared by who hears from the coordinator and who writes
/// lines. Cloning it shares it.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Milliseconds, which the time is rounded down to.
    until: Arc<AtomicU64>,
}

impl Lease {
    /// Of a place that nobody else can have.
    pub fn permanent() -> Self {
        Self { until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Which nothing has been heard of yet.
    pub(super) fn expired() -> Self {
        Self { until: Arc::new(AtomicU64::new(0)) }
    }

    /// Whether nobody else can have what is ours at this very moment.
    pub fn holds(&self) -> bool {
        millis(host::since_boot()) < self.until.load(SeqCst)
    }

    /// One that a test renews.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self::expired()
    }

    /// It holds for so long from now on.
    #[cfg(test)]
    pub(crate) fn renew(&self, time: Duration) {
        self.set(host::since_boot() + time);
    }

    /// It holds until then, in time since boot. One thread says so.
    pub(super) fn set(&self, until: Duration) {
        self.until.store(millis(until), SeqCst);
    }

    /// It does not hold any more.
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
