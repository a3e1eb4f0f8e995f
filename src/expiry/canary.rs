//! The canary: a key of pandad's own that expires every second and is probed like any other key. The
//! listener stores here when the canary's event was received, and the expire probe reads that time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// See the module. Clones share the same canary.
#[derive(Clone)]
pub(super) struct Canary {
    key: Arc<[u8]>,
    /// When the canary's event was received; `None` after the expire probe has read that time.
    event: Arc<Mutex<Option<Instant>>>,
}

impl Canary {
    pub(super) fn new(key: &str) -> Self {
        Self { key: key.as_bytes().into(), event: Arc::default() }
    }

    pub(super) fn is(&self, key: &[u8]) -> bool {
        *self.key == *key
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Records that the canary's event was received.
    pub(super) fn record_event(&self, now: Instant) {
        *self.event.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// When the canary's event was received, if it was received since the last call.
    pub(super) fn take_event(&self) -> Option<Instant> {
        self.event.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
