//! What an access list may refuse to who touches keys: told once each, done without, and
//! tried again from time to time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What was refused is tried again after this.
const DENIED_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// What may be refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ProbeCommand {
    Pttl,
    Scan,
    SetCanary,
}

/// See the module.
pub(super) struct DeniedCommands {
    about: String,
    denied_until: HashMap<ProbeCommand, Instant>,
}

impl DeniedCommands {
    /// `about` opens the log lines.
    pub(super) fn new(about: String) -> Self {
        Self { about, denied_until: HashMap::new() }
    }

    pub(super) fn is_denied(&self, right: ProbeCommand, now: Instant) -> bool {
        self.denied_until.get(&right).is_some_and(|until| now < *until)
    }

    /// It was refused just now: said if it is the first time.
    pub(super) fn deny(&mut self, right: ProbeCommand, now: Instant, what: &str, why: &str) {
        if self.denied_until.insert(right, now + DENIED_RETRY_INTERVAL).is_none() {
            log::warn!("{}: {what}, keys may be late: {why}", self.about);
        }
    }

    /// Without another right this one is of no use.
    pub(super) fn deny_unlogged(&mut self, right: ProbeCommand, now: Instant) {
        self.denied_until.entry(right).or_insert(now + DENIED_RETRY_INTERVAL);
    }
}
