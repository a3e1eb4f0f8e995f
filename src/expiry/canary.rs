//! The canary: a key of pandad's own that expires every second and is probed like any other key. Each
//! setting has a number and a name of its own, so that a late event is not taken for that of a later
//! setting. The listener stores here which canary's event was received, and when.
//!
//! An event is a proof: whatever the server had announced before that canary was set has been received by
//! then, because both came on one connection. A paused server proves nothing, because a pause that keeps the
//! server from deleting expired keys also keeps the canary from being set.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::redis::{Cmd, cmd};

/// The end of each name, behind the number.
const NAME_END: &str = ":canary";

/// See the module. Clones share the same canary.
#[derive(Clone)]
pub(super) struct Canary {
    /// The beginning of each name, before the number.
    name_start: Arc<str>,
    state: Arc<Mutex<CanaryRecord>>,
}

#[derive(Default)]
struct CanaryRecord {
    /// The number of the last canary that was set, or is being set.
    number: u64,
    /// When the event of that canary was received; `None` after the expire probe has read that time.
    event: Option<Instant>,
    /// Whether the event of its setting was received.
    is_set_announced: bool,
    /// Whether the server has deleted it because its memory was full, and announced that.
    is_evicted: bool,
    /// Whether the server may delete it without an announcement.
    has_unseen_evictions: bool,
    proof: Option<CanaryProof>,
}

/// Everything that was announced before the canary with this number was set had been received at that
/// moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CanaryProof {
    pub(super) number: u64,
    pub(super) at: Instant,
}

impl Canary {
    /// `name_start` is what all names of this watch's canaries begin with.
    pub(super) fn new(name_start: &str) -> Self {
        Self { name_start: name_start.into(), state: Arc::default() }
    }

    /// The name of the canary with this number.
    pub(super) fn name(&self, number: u64) -> Vec<u8> {
        format!("{}{number}{NAME_END}", self.name_start).into_bytes()
    }

    /// Begins a new canary; call this before it is set. Returns its name.
    pub(super) fn begin_next(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.number += 1;
        (state.event, state.is_set_announced, state.is_evicted) = (None, false, false);
        self.name(state.number)
    }

    /// A write that changes nothing, for the beginning of a packet: it deletes the canary before the last
    /// one, which is normally gone. A paused server holds back writes and what follows on their connection,
    /// so a reply that follows this write does not come from the middle of a pause.
    pub(super) fn leading_write(&self) -> Cmd {
        let mut delete = cmd("DEL");
        delete.arg(self.name(self.number().saturating_sub(1)));
        delete
    }

    /// The number of the last canary. What was received before this call was announced before the next
    /// canary is set.
    pub(super) fn number(&self) -> u64 {
        self.lock().number
    }

    /// Whether the key is a canary of this watch.
    pub(super) fn is_any(&self, key: &[u8]) -> bool {
        self.number_of(key).is_some()
    }

    /// Whether the key is the last canary.
    pub(super) fn is_last(&self, key: &[u8]) -> bool {
        self.number_of(key) == Some(self.number())
    }

    /// Records that this key's event was received. False if the key is no canary of this watch.
    pub(super) fn record_event(&self, key: &[u8], now: Instant) -> bool {
        let Some(number) = self.number_of(key) else { return false };
        let mut state = self.lock();
        if number == state.number {
            state.event = Some(now);
        }
        if state.proof.is_none_or(|proof| proof.number < number) {
            state.proof = Some(CanaryProof { number, at: now });
        }
        true
    }

    /// Records that an event was received which says that this key has a new deadline.
    pub(super) fn record_set_event(&self, key: &[u8]) {
        if let Some(number) = self.number_of(key) {
            let mut state = self.lock();
            state.is_set_announced |= number == state.number;
        }
    }

    /// Whether the event of the last canary's setting was received. Until then other events are on their
    /// way before those of the canary.
    pub(super) fn is_set_announced(&self) -> bool {
        self.lock().is_set_announced
    }

    /// Records that the server has deleted this key because its memory was full. False if the key is no
    /// canary of this watch.
    pub(super) fn record_evicted(&self, key: &[u8]) -> bool {
        let Some(number) = self.number_of(key) else { return false };
        let mut state = self.lock();
        state.is_evicted |= number == state.number;
        true
    }

    /// Whether the last canary was evicted.
    pub(super) fn is_evicted(&self) -> bool {
        self.lock().is_evicted
    }

    /// Sets whether the server may evict canaries without announcing that.
    pub(super) fn set_unseen_evictions(&self, has_unseen_evictions: bool) {
        self.lock().has_unseen_evictions = has_unseen_evictions;
    }

    /// Whether the server may evict canaries without announcing that. Then a silence proves nothing.
    pub(super) fn has_unseen_evictions(&self) -> bool {
        self.lock().has_unseen_evictions
    }

    /// When the event of the last canary was received, if it was received since the last call.
    pub(super) fn take_event(&self) -> Option<Instant> {
        self.lock().event.take()
    }

    /// The latest proof.
    pub(super) fn proof(&self) -> Option<CanaryProof> {
        self.lock().proof
    }

    fn number_of(&self, key: &[u8]) -> Option<u64> {
        let number = key.strip_prefix(self.name_start.as_bytes())?.strip_suffix(NAME_END.as_bytes())?;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    fn lock(&self) -> MutexGuard<'_, CanaryRecord> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The event of an earlier canary that comes late says nothing about the last one.
    #[test]
    fn an_event_belongs_to_its_own_setting() {
        let (canary, now) = (Canary::new("pandad:c:"), Instant::now());
        let first = canary.begin_next();
        assert_eq!(first, b"pandad:c:1:canary");
        let second = canary.begin_next();
        assert!(canary.is_last(&second) && !canary.is_last(&first));
        assert!(canary.record_event(&first, now));
        assert_eq!((canary.take_event(), canary.proof()), (None, Some(CanaryProof { number: 1, at: now })));
        assert!(canary.record_event(&second, now));
        assert_eq!((canary.take_event(), canary.take_event()), (Some(now), None));
        let proof = canary.proof();
        canary.record_set_event(&first);
        assert!(!canary.is_set_announced());
        canary.record_set_event(&second);
        assert!(canary.is_set_announced());
        assert!(canary.record_evicted(&first) && !canary.is_evicted() && !canary.record_evicted(b"k"));
        assert!(canary.record_evicted(&second) && canary.is_evicted());
        assert!(canary.record_event(&first, now) && canary.proof() == proof, "a proof became weaker");
        assert!(!canary.record_event(b"pandad:c:x:canary", now) && !canary.record_event(b"k", now));
    }
}
