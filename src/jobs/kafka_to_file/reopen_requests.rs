//! Requests of other processes that the log files be reopened.

use crate::logfile::{Lock, LockRequest, LockRequests};

/// Reads the requests from the lock file, and answers when every file was reopened.
pub(super) struct ReopenRequests {
    lock: Lock,
    /// Those that are to be answered when every file was reopened.
    asked: Option<LockRequests>,
    /// The number of the last signal that was served.
    signals: Option<u64>,
}

impl ReopenRequests {
    pub(super) fn new(lock: Lock) -> Self {
        Self { lock, asked: None, signals: None }
    }

    /// Looks for requests. They are read before the files are examined: a request that comes later must wait
    /// for the next look. True if every file must be reopened on request. `signals` counts those that ask the
    /// same. A request that comes while a file refuses to be reopened is served in the others, too.
    pub(super) fn look(&mut self, signals: u64) -> bool {
        let asked = self.lock.requests().unwrap_or_else(|error| {
            log::debug!("the lock file cannot be read: {error}");
            LockRequests::default()
        });
        let is_new = self.asked.as_ref() != Some(&asked);
        let is_request = is_new && asked.requests.contains(&LockRequest::Reopen);
        if is_request || self.signals != Some(signals) {
            (self.asked, self.signals) = (Some(asked), Some(signals));
        }
        is_request
    }

    /// Every file was reopened after the last look.
    pub(super) fn answer(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.lock.record_reopened(&asked);
        }
    }
}
