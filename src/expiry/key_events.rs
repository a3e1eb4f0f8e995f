//! What Redis announces of keys, and which thread gets it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::changed_keys::KeyChange;
use super::context::ExpiryContext;

/// What is announced of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyEvent {
    Expired,
    Changed(KeyChange),
}

/// The name of the event of an expired key.
pub(super) const EXPIRED: &str = "expired";

/// The other events that are needed, with their meaning.
///
/// SETEX, SET EX, GETEX and all kinds of EXPIRE announce `expire`; a key may also bring a deadline from
/// another name, database or server. Before Redis 6.0 RESTORE and MOVE announce nothing, and SWAPDB and
/// FLUSHALL never do: a sweep finds out. (notifyKeyspaceEvent in Redis' db.c, expire.c, cluster.c and
/// t_string.c.)
pub(super) const CHANGES: [(&str, KeyChange); 10] = [
    ("expire", KeyChange::Deadline),
    ("rename_to", KeyChange::Deadline),
    ("restore", KeyChange::Deadline),
    ("copy_to", KeyChange::Deadline),
    ("move_to", KeyChange::Deadline),
    ("del", KeyChange::Gone),
    ("rename_from", KeyChange::Gone),
    ("move_from", KeyChange::Gone),
    ("persist", KeyChange::Gone),
    ("evicted", KeyChange::Evicted),
];

impl KeyEvent {
    /// The event that is announced on this channel.
    pub(super) fn of_channel(channel: &str) -> Option<Self> {
        let (_, name) = channel.rsplit_once(':')?;
        if name == EXPIRED {
            return Some(Self::Expired);
        }
        CHANGES.iter().find(|(known, _)| *known == name).map(|(_, change)| Self::Changed(*change))
    }
}

/// Passes an event on to the thread that works on it.
pub(super) fn receive(context: &ExpiryContext, event: KeyEvent, key: &[u8]) {
    match event {
        KeyEvent::Expired => {
            context.listen_state.count_announced();
            if context.filter.wants(key) {
                context.inbox.put(key);
                if let Some(due) = context.awaited.settle_expired(key) {
                    let late = context.clock.at(Instant::now()).saturating_sub(due);
                    context.event_late_us.fetch_max(late, Relaxed);
                }
            } else if context.canary.record_event(key, Instant::now()) {
                context.changed_keys.wake();
            }
        }
        KeyEvent::Changed(change) => {
            if context.filter.wants(key) {
                context.changed_keys.put(key, change);
            } else if change == KeyChange::Deadline {
                context.canary.record_set_event(key);
            } else if change == KeyChange::Evicted && context.canary.record_evicted(key) {
                context.changed_keys.wake();
            }
            if !context.canary.is_set_announced() {
                context.listen_state.count_announced();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyChange::{Deadline, Gone};
    use super::*;
    use crate::expiry::context::{Reconciliation, tests::context};

    #[test]
    fn an_event_goes_to_its_thread() {
        let (context, _owner) = context(Reconciliation::Off);
        for (event, key) in [
            ("expired", "k:expired"),
            ("expired", "other"),
            ("expired", "pandad:k"),
            ("expire", "k:changed"),
            ("expire", "other"),
            ("del", "k:deleted"),
        ] {
            let event = KeyEvent::of_channel(&format!("__keyevent@7__:{event}")).unwrap();
            receive(&context, event, key.as_bytes());
        }
        let expired: Vec<_> =
            context.inbox.take(9, Instant::now()).keys.into_iter().map(|received| received.key).collect();
        assert_eq!(expired, [b"k:expired"]);
        let changed = [("k:changed", Deadline), ("k:deleted", Gone)];
        assert_eq!(context.changed_keys.take(9), changed.map(|(key, change)| (key.into(), change)));
        assert_eq!(context.canary.take_event(), None);
        receive(&context, KeyEvent::Expired, &context.canary.begin_next());
        assert!(context.canary.take_event().is_some());
        assert_eq!(KeyEvent::of_channel("__keyevent@7__:hset"), None);
    }

    /// Until the setting of the canary is announced, all events delay the canary's.
    #[test]
    fn events_before_the_canarys_are_counted() {
        let (context, _owner) = context(Reconciliation::Off);
        let canary = context.canary.begin_next();
        for _ in 0..3 {
            receive(&context, KeyEvent::Changed(Deadline), b"other");
        }
        assert_eq!(context.listen_state.announced(), 3);
        for key in [canary.as_slice(), b"other", b"k:a"] {
            receive(&context, KeyEvent::Changed(Deadline), key);
        }
        assert_eq!(context.listen_state.announced(), 3);
        receive(&context, KeyEvent::Expired, b"other");
        assert_eq!(context.listen_state.announced(), 4);
    }
}
