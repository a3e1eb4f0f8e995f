//! Commands of the expire probe that an access list may refuse. Each refusal is logged once;
//! the probe goes on without the command, and tries it again after a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A refused command is tried again after this time.
const DENIED_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// A command without which the probe can go on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ProbeCommand {
    Pttl,
    Scan,
    SetCanary,
    LeadingWrite,
    Time,
}

/// See the module.
pub(super) struct DeniedCommands {
    about: String,
    denied_until: HashMap<ProbeCommand, Instant>,
}

impl DeniedCommands {
    /// `about` is the beginning of the log lines.
    pub(super) fn new(about: String) -> Self {
        Self { about, denied_until: HashMap::new() }
    }

    /// Whether the probe goes on without the command for now.
    pub(super) fn is_denied(&self, command: ProbeCommand, now: Instant) -> bool {
        self.denied_until.get(&command).is_some_and(|until| now < *until)
    }

    /// Records that the server refused the command now, and logs the first refusal. `what` says what was
    /// refused and what does not work because of that, `why` is the server's error.
    pub(super) fn deny(&mut self, command: ProbeCommand, now: Instant, what: &str, why: &str) {
        if self.denied_until.insert(command, now + DENIED_RETRY_INTERVAL).is_none() {
            log::warn!("{}: {what}: {why}", self.about);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_command_is_tried_again() {
        let (mut denied, now) = (DeniedCommands::new("test".to_owned()), Instant::now());
        denied.deny(ProbeCommand::Pttl, now, "PTTL is refused", "NOPERM");
        assert!(denied.is_denied(ProbeCommand::Pttl, now) && !denied.is_denied(ProbeCommand::Scan, now));
        let later = now + DENIED_RETRY_INTERVAL;
        assert!(!denied.is_denied(ProbeCommand::Pttl, later));
        denied.deny(ProbeCommand::Pttl, later, "PTTL is refused", "NOPERM");
        assert!(denied.is_denied(ProbeCommand::Pttl, later));
    }
}
