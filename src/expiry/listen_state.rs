//! What the threads of this room tell each other: whether anybody listens, since when,
//! and that the listener should connect anew.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// See the module.
pub(super) struct ListenState {
    /// Another pandad has the lease.
    leased_elsewhere: AtomicBool,
    listening: AtomicBool,
    /// How often listening began.
    subscriptions: AtomicU64,
    reconnect_requests: AtomicU64,
    /// Expired keys that the server has announced, wanted or not.
    announced: AtomicU64,
}

impl ListenState {
    pub(super) fn new() -> Self {
        Self {
            // Nobody listens before it is known who has the lease, or that it cannot be known.
            leased_elsewhere: AtomicBool::new(true),
            listening: AtomicBool::new(false),
            subscriptions: AtomicU64::new(0),
            reconnect_requests: AtomicU64::new(0),
            announced: AtomicU64::new(0),
        }
    }

    /// Whether it is this pandad's turn to listen.
    pub(super) fn may_listen(&self) -> bool {
        !self.leased_elsewhere.load(SeqCst)
    }

    pub(super) fn set_leased_elsewhere(&self, leased_elsewhere: bool) {
        self.leased_elsewhere.store(leased_elsewhere, SeqCst);
    }

    /// The subscription holds from here on.
    pub(super) fn mark_listening(&self) {
        self.subscriptions.fetch_add(1, SeqCst);
        self.listening.store(true, SeqCst);
    }

    /// Nothing is heard any more.
    pub(super) fn mark_deaf(&self) {
        self.listening.store(false, SeqCst);
    }

    /// Which subscription holds; `None` when none does.
    pub(super) fn subscription(&self) -> Option<u64> {
        self.listening.load(SeqCst).then(|| self.subscriptions.load(SeqCst))
    }

    /// The listener is to connect anew, and look again at what the server announces.
    pub(super) fn request_reconnect(&self) {
        self.reconnect_requests.fetch_add(1, SeqCst);
    }

    /// How often that was asked for.
    pub(super) fn reconnect_requests(&self) -> u64 {
        self.reconnect_requests.load(SeqCst)
    }

    /// The server has announced an expired key.
    pub(super) fn count_announced(&self) {
        self.announced.fetch_add(1, SeqCst);
    }

    /// How many it has announced.
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
        state.mark_deaf();
        assert!(state.may_listen() && first.is_some() && state.subscription().is_none());
        state.mark_listening();
        assert!(state.subscription().is_some() && state.subscription() != first);
    }
}
