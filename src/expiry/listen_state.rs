//! Whether this pandad may listen, whether it does, and whether the listener must connect again. The lease
//! keeper, the listener and the other threads set and read these facts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// See the module.
pub(super) struct ListenState {
    /// Whether another pandad has the lease.
    leased_elsewhere: AtomicBool,
    listening: AtomicBool,
    /// How many subscriptions there have been.
    subscriptions: AtomicU64,
    reconnect_requests: AtomicU64,
    /// How many events of expired keys were received, also of keys that do not become items; and how many of
    /// those that came before the event of a canary's setting.
    announced: AtomicU64,
}

impl ListenState {
    pub(super) fn new() -> Self {
        Self {
            // The listener waits until the first check of the lease has succeeded or failed.
            leased_elsewhere: AtomicBool::new(true),
            listening: AtomicBool::new(false),
            subscriptions: AtomicU64::new(0),
            reconnect_requests: AtomicU64::new(0),
            announced: AtomicU64::new(0),
        }
    }

    /// Whether this pandad may listen: no other pandad has the lease.
    pub(super) fn may_listen(&self) -> bool {
        !self.leased_elsewhere.load(SeqCst)
    }

    /// Sets whether another pandad has the lease.
    pub(super) fn set_leased_elsewhere(&self, leased_elsewhere: bool) {
        self.leased_elsewhere.store(leased_elsewhere, SeqCst);
    }

    /// Records that a new subscription is in force.
    pub(super) fn mark_listening(&self) {
        self.subscriptions.fetch_add(1, SeqCst);
        self.listening.store(true, SeqCst);
    }

    /// Records that no subscription is in force.
    pub(super) fn mark_not_listening(&self) {
        self.listening.store(false, SeqCst);
    }

    /// The number of the subscription in force; `None` while there is none.
    pub(super) fn subscription(&self) -> Option<u64> {
        self.listening.load(SeqCst).then(|| self.subscriptions.load(SeqCst))
    }

    /// Asks the listener to connect again, and to check again what the server announces.
    pub(super) fn request_reconnect(&self) {
        self.reconnect_requests.fetch_add(1, SeqCst);
    }

    /// How often the listener was asked to connect again.
    pub(super) fn reconnect_requests(&self) -> u64 {
        self.reconnect_requests.load(SeqCst)
    }

    /// Counts an event that may have delayed the canary's.
    pub(super) fn count_announced(&self) {
        self.announced.fetch_add(1, SeqCst);
    }

    /// How many events were received that may have delayed the canary's.
    pub(super) fn announced(&self) -> u64 {
        self.announced.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subscription_has_a_number_of_its_own() {
        let state = ListenState::new();
        assert!(!state.may_listen() && state.subscription().is_none());
        state.set_leased_elsewhere(false);
        state.mark_listening();
        let first = state.subscription();
        state.mark_not_listening();
        assert!(state.may_listen() && first.is_some() && state.subscription().is_none());
        state.mark_listening();
        assert!(state.subscription().is_some() && state.subscription() != first);
    }

    /// The listener sees that it was asked once more by another number.
    #[test]
    fn requests_and_events_are_counted() {
        let state = ListenState::new();
        for number in 1..4 {
            state.request_reconnect();
            state.count_announced();
            assert_eq!((state.reconnect_requests(), state.announced()), (number, number));
        }
    }
}
