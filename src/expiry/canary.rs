//! The canary: a key of pandad's own that expires every second and is touched like any
//! other. That it is heard of proves the whole way, and shows how late it is; that it is
//! not, though the server has deleted it, is how a deaf connection is known. Pure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The listener's end.
#[derive(Clone)]
pub(super) struct Canary {
    key: Arc<[u8]>,
    heard: Arc<Mutex<Option<Instant>>>,
}

impl Canary {
    pub(super) fn new(key: &str) -> Self {
        Self { key: key.as_bytes().into(), heard: Arc::default() }
    }

    pub(super) fn is(&self, key: &[u8]) -> bool {
        *self.key == *key
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its event has come.
    pub(super) fn record_event(&self, now: Instant) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    pub(super) fn take_event(&self) -> Option<Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
