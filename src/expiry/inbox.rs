//! What was heard and not taken yet: bounded in bytes, and never a reason to wait for
//! whoever hears. Over the bound the newest are dropped and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::report::Outage;

/// What a key costs beside its bytes.
const EACH: u64 = 64;

/// Shared by the thread that hears and the one that takes.
#[derive(Clone)]
pub struct Inbox {
    inner: Arc<Mutex<Inner>>,
    wake: (Sender<()>, Receiver<()>),
}

struct Inner {
    keys: VecDeque<Vec<u8>>,
    bytes: u64,
    limit: u64,
    /// Nobody takes anything any more.
    closed: bool,
    heard: u64,
    dropped: u64,
    overflow: Outage,
}

impl Inbox {
    /// Holds up to `limit` bytes; `subject` opens the log lines about what did not fit.
    pub fn new(subject: &str, limit: u64) -> Self {
        let overflow = Outage::new(subject);
        let inner =
            Inner { keys: VecDeque::new(), bytes: 0, limit, closed: false, heard: 0, dropped: 0, overflow };
        Self { inner: Arc::new(Mutex::new(inner)), wake: bounded(1) }
    }

    /// A key was heard of.
    pub(super) fn put(&self, key: &[u8]) {
        let mut inner = self.lock();
        let cost = key.len() as u64 + EACH;
        if inner.closed {
            return;
        }
        inner.heard += 1;
        if inner.bytes + cost > inner.limit {
            inner.dropped += 1;
            inner.overflow.down("more keys expire than can be pushed: the newest are dropped");
            return;
        }
        inner.bytes += cost;
        inner.keys.push_back(key.to_vec());
        let first = inner.keys.len() == 1;
        drop(inner);
        if first {
            // Full means that a wake-up is waiting there already.
            let _already_there = self.wake.0.try_send(());
        }
    }

    /// Up to `count` keys, the oldest first, and what they cost; waits until `until` for the first.
    pub fn take(&self, count: usize, until: Instant) -> (Vec<Vec<u8>>, u64) {
        if self.lock().keys.is_empty() {
            // Either way it is looked at again.
            let _woken = self.wake.1.recv_deadline(until);
        }
        let mut inner = self.lock();
        let count = count.min(inner.keys.len());
        let keys: Vec<Vec<u8>> = inner.keys.drain(..count).collect();
        let bytes = keys.iter().map(|key| key.len() as u64 + EACH).sum();
        inner.bytes -= bytes;
        if inner.bytes < inner.limit / 2 {
            inner.overflow.up("keys find room again");
        }
        (keys, bytes)
    }

    /// From here on nothing is heard; gives how many keys were.
    pub fn close(&self) -> u64 {
        let mut inner = self.lock();
        inner.closed = true;
        inner.heard
    }

    /// Keys that were dropped since the last call.
    pub fn dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// Keys that wait to be taken.
    pub fn waiting(&self) -> u64 {
        self.lock().keys.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_bound_the_newest_are_dropped_and_counted() {
        let inbox = Inbox::new("test", 3 * (EACH + 1));
        for key in [b"a", b"b", b"c", b"d", b"e"] {
            inbox.put(key);
        }
        let (keys, bytes) = inbox.take(2, Instant::now());
        assert_eq!((keys, bytes), (vec![b"a".to_vec(), b"b".to_vec()], 2 * (EACH + 1)));
        inbox.put(b"f");
        assert_eq!((inbox.waiting(), inbox.dropped(), inbox.dropped()), (2, 2, 0));
        assert_eq!(inbox.take(9, Instant::now()).0, vec![b"c".to_vec(), b"f".to_vec()]);
    }
}
