//! Positions of many partitions that are decided together.

use std::io;

use super::Ledger;
use crate::logfile::ledger_state::DelayedSync;

impl Ledger {
    /// Makes durable by one sync, at the end, what `each` decides by [`Self::resume`] and
    /// [`Self::set_position`]: a start may have thousands of partitions.
    ///
    /// # Errors
    /// The journal's disk refuses that sync.
    pub fn sync_once<T>(&self, each: impl FnOnce() -> T) -> io::Result<T> {
        self.lock().delayed_sync = Some(DelayedSync::default());
        let done = each();
        let mut inner = self.lock();
        match inner.delayed_sync.take() {
            Some(DelayedSync { is_due: true }) => inner.journal.to_sync().sync().map(|()| done),
            _ => Ok(done),
        }
    }
}
