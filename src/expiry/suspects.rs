//! Keys that are gone and whose deadlines have passed. Either such a key was missed, or its event is still
//! on its way: asking for the key may itself have made Redis delete and announce it. Pure.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// After this time an event that asking for a key has caused must have been received.
const EVENT_DELAY_MAX: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Default)]
pub(super) struct Suspects {
    /// When each key was first found to be gone.
    since: HashMap<Vec<u8>, Instant>,
}

impl Suspects {
    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.since.clear();
    }

    /// Forgets keys that are no longer overdue.
    pub(super) fn keep_only(&mut self, overdue: &[Vec<u8>]) {
        let overdue: HashSet<&[u8]> = overdue.iter().map(Vec::as_slice).collect();
        self.since.retain(|key, _| overdue.contains(key.as_slice()));
    }

    /// Records that a key is gone. True if it was missed: every key that was received before
    /// `done_until` has been pushed, and this key's event would have been among them.
    pub(super) fn record_gone(&mut self, key: &[u8], now: Instant, done_until: Instant) -> bool {
        let since = *self.since.entry(key.to_vec()).or_insert(now);
        since + EVENT_DELAY_MAX < done_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_an_event_was_missed() {
        let (mut suspects, first) = (Suspects::default(), Instant::now());
        assert!(!suspects.record_gone(b"a", first, first), "its event may be on its way");
        let later = first + Duration::from_secs(9);
        assert!(!suspects.record_gone(b"a", later, first + EVENT_DELAY_MAX), "its event may be in the inbox");
        assert!(suspects.record_gone(b"a", later, later));
        assert!(!suspects.record_gone(b"b", later, later), "it is gone for the first time");
    }

    #[test]
    fn a_forgotten_key_begins_again() {
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
