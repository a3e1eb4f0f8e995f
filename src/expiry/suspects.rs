//! Keys that are gone and whose deadlines have passed. Either such a key was missed, or its event is still
//! on its way: asking for the key may itself have made Redis delete and announce it. Pure.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::canary::CanaryProof;

/// See the module.
#[derive(Default)]
pub(super) struct Suspects {
    /// The number of the last canary when each key was first found to be gone.
    since: HashMap<Vec<u8>, u64>,
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

    /// Whether asking for the key can change nothing yet: no canary that was set after it had been found gone
    /// was announced.
    pub(super) fn is_waiting(&self, key: &[u8], proof: Option<CanaryProof>) -> bool {
        self.since.get(key).is_some_and(|since| proof.is_none_or(|proof| proof.number <= *since))
    }

    /// Records that a key is gone, while `canary` is the number of the last canary. True if the key was
    /// missed: a canary that was set after the key had been found gone was announced, and every key that was
    /// received before that announcement, i.e. before `done_until`, has been pushed. This key's event would
    /// have been among these.
    pub(super) fn record_gone(
        &mut self,
        key: &[u8],
        canary: u64,
        proof: Option<CanaryProof>,
        done_until: Instant,
    ) -> bool {
        let since = *self.since.entry(key.to_vec()).or_insert(canary);
        proof.is_some_and(|proof| proof.number > since && proof.at < done_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_key_without_an_event_was_missed() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        let proof = |number| Some(CanaryProof { number, at: now });
        assert!(!suspects.record_gone(b"a", 7, proof(7), later), "its event may be on its way");
        assert!(!suspects.record_gone(b"a", 8, proof(7), later), "that canary was set before");
        assert!(!suspects.record_gone(b"a", 8, None, later), "no canary was announced");
        assert!(!suspects.record_gone(b"a", 8, proof(8), now), "its event may be in the inbox");
        assert!(suspects.record_gone(b"a", 9, proof(8), later));
        assert!(!suspects.record_gone(b"b", 9, proof(9), later), "it is gone for the first time");
    }

    /// Where no canary is announced, thousands of keys would be asked for each second, for nothing.
    #[test]
    fn a_key_is_asked_for_again_when_that_can_show_something() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        let proof = |number| Some(CanaryProof { number, at: now });
        assert!(!suspects.is_waiting(b"a", None), "it was not asked for yet");
        suspects.record_gone(b"a", 7, None, now);
        assert!(suspects.is_waiting(b"a", None) && suspects.is_waiting(b"a", proof(7)));
        assert!(!suspects.is_waiting(b"a", proof(8)));
    }

    #[test]
    fn a_forgotten_key_begins_again() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        let proof = Some(CanaryProof { number: 8, at: now });
        suspects.record_gone(b"a", 7, None, later);
        suspects.record_gone(b"b", 7, None, later);
        suspects.keep_only(&[b"b".to_vec()]);
        assert!(!suspects.record_gone(b"a", 8, proof, later) && suspects.record_gone(b"b", 8, proof, later));
        suspects.clear();
        assert!(!suspects.record_gone(b"b", 8, proof, later));
    }
}
