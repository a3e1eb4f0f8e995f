//! What an access list may refuse to who touches keys: told once each, done without, and
//! tried again from time to time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What was refused is tried again after this.
const REFUSED: Duration = Duration::from_secs(60);

/// What may be refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Right {
    Touch,
    Sweep,
    Canary,
}

/// See the module.
pub(super) struct Rights {
    about: String,
    refused: HashMap<Right, Instant>,
}

impl Rights {
    /// `about` opens the log lines.
    pub(super) fn new(about: String) -> Self {
        Self { about, refused: HashMap::new() }
    }

    pub(super) fn is_refused(&self, right: Right, now: Instant) -> bool {
        self.refused.get(&right).is_some_and(|until| now < *until)
    }

    /// It was refused just now: said if it is the first time.
    pub(super) fn refuse(&mut self, right: Right, now: Instant, what: &str, why: &str) {
        if self.refused.insert(right, now + REFUSED).is_none() {
            log::warn!("{}: {what}, keys may be late: {why}", self.about);
        }
    }

    /// Without another right this one is of no use.
    pub(super) fn needs_none(&mut self, right: Right, now: Instant) {
        self.refused.entry(right).or_insert(now + REFUSED);
    }
}
