//! Commands that pandad can do without, and that a server answers by closing the connection, as some proxies
//! do. Such a command is left out for that server from then on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The commands of one server. Clones are the same.
#[derive(Clone, Default)]
pub struct LeftOutCommands {
    known: Arc<Mutex<HashMap<&'static str, Experience>>>,
}

/// What came of asking for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Experience {
    /// The server has answered: when it closes a connection, that has another reason.
    Answered,
    /// It closed a connection then, perhaps for another reason.
    Closed(Instant),
    LeftOut,
}

impl LeftOutCommands {
    /// Whether the command is left out.
    pub(super) fn has(&self, command: &'static str) -> bool {
        self.with(|known| known.get(command) == Some(&Experience::LeftOut))
    }

    /// Records that the server has answered the command.
    pub(super) fn record_answer(&self, command: &'static str) {
        self.with(|known| _ = known.insert(command, Experience::Answered));
    }

    /// Records that the server has closed a connection instead of answering the command. `opened`: when the
    /// connection was opened. True if the command is left out from now on: this was so on two connections,
    /// one after the other.
    pub(super) fn record_close(&self, command: &'static str, opened: Instant) -> bool {
        self.with(|known| {
            let experience = known.entry(command).or_insert_with(|| Experience::Closed(Instant::now()));
            let is_second = matches!(*experience, Experience::Closed(first) if opened > first);
            if is_second {
                *experience = Experience::LeftOut;
            }
            is_second
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<&'static str, Experience>) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn two_connections_that_were_closed_are_enough() {
        let (left_out, before) = (LeftOutCommands::default(), Instant::now());
        // Two connections may be lost at the same time.
        assert!(!left_out.record_close("ROLE", before) && !left_out.record_close("ROLE", before));
        assert!(!left_out.has("ROLE"));
        let later = Instant::now() + Duration::from_millis(1);
        assert!(left_out.record_close("ROLE", later) && left_out.clone().has("ROLE"));
        assert!(!left_out.record_close("ROLE", later) && !left_out.has("CONFIG"), "it is said once");
    }

    /// A server that has answered once may be stopped at any time.
    #[test]
    fn what_was_answered_is_not_left_out() {
        let left_out = LeftOutCommands::default();
        left_out.record_answer("CONFIG");
        for n in 1..5 {
            assert!(!left_out.record_close("CONFIG", Instant::now() + Duration::from_secs(n)));
        }
        assert!(!left_out.has("CONFIG"));
    }
}
