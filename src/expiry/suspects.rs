//! Keys whose deadlines have passed and that are gone at the server: which of them were
//! missed, and of which an event may still be on its way. Pure.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// An event that a look has caused is here after this.
const EVENT_DELAY_MAX: Duration = Duration::from_millis(500);

/// Keys that were gone, and since when that is known.
#[derive(Default)]
pub(super) struct Suspects {
    since: HashMap<Vec<u8>, Instant>,
}

impl Suspects {
    pub(super) fn clear(&mut self) {
        self.since.clear();
    }

    /// Forgets keys that are not overdue any more.
    pub(super) fn keep_only(&mut self, overdue: &[Vec<u8>]) {
        let overdue: HashSet<&[u8]> = overdue.iter().map(Vec::as_slice).collect();
        self.since.retain(|key, _| overdue.contains(key.as_slice()));
    }

    /// A key was found to be gone. True if it was missed: whatever was heard before
    /// `done_until` has been pushed.
    pub(super) fn record_gone(&mut self, key: &[u8], now: Instant, done_until: Instant) -> bool {
        let since = *self.since.entry(key.to_vec()).or_insert(now);
        since + EVENT_DELAY_MAX < done_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_was_missed_when_its_event_would_have_been_pushed() {
        let (mut suspects, first) = (Suspects::default(), Instant::now());
        assert!(!suspects.record_gone(b"a", first, first), "its event may be on its way");
        let later = first + Duration::from_secs(9);
        assert!(!suspects.record_gone(b"a", later, first + EVENT_DELAY_MAX), "its event may be in the inbox");
        assert!(suspects.record_gone(b"a", later, later));
        assert!(!suspects.record_gone(b"b", later, later), "it is seen for the first time");
    }

    #[test]
    fn a_key_that_is_not_overdue_any_more_begins_anew() {
        let (mut suspects, first) = (Suspects::default(), Instant::now());
        suspects.record_gone(b"a", first, first);
        suspects.record_gone(b"b", first, first);
        suspects.keep_only(&[b"b".to_vec()]);
        let later = first + Duration::from_secs(9);
        assert!(!suspects.record_gone(b"a", later, later) && suspects.record_gone(b"b", later, later));
        suspects.clear();
        assert!(!suspects.record_gone(b"b", later, later));
    }
}
