//! Commands of the expire probe that an access list may refuse. Each refusal is logged once;
//! the probe goes on without the command, and tries it again after a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A refused command is tried again after this time.
const DENIED_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// A command that the probe can go on without.
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

    /// Records that the server refused the command now, and logs it the first time. `what`
    /// says what was refused and what does not work without it, `why` is the server's error.
    pub(super) fn deny(&mut self, right: ProbeCommand, now: Instant, what: &str, why: &str) {
        if self.denied_until.insert(right, now + DENIED_RETRY_INTERVAL).is_none() {
            log::warn!("{}: {what}: {why}", self.about);
        }
    }

    /// Does without the command because it is of no use without another one.
    pub(super) fn deny_unlogged(&mut self, right: ProbeCommand, now: Instant) {
        self.denied_until.entry(right).or_insert(now + DENIED_RETRY_INTERVAL);
    }
}
