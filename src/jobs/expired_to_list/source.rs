//! The source: keys that the listener has heard of, many at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::error::Fault;
use crate::expiry::{Inbox, Listener};
use crate::pipeline::{self, Item};
use crate::report::Counters;

/// Keys that are pushed by one command.
const KEYS: usize = 1000;

/// See the module.
pub(super) struct Heard {
    pub(super) _listener: Listener,
    pub(super) inbox: Inbox,
    pub(super) counters: Arc<Counters>,
}

impl Heard {
    fn take(&self, until: Instant, items: &mut Vec<Item<Vec<Vec<u8>>>>) {
        let (keys, bytes) = self.inbox.take(KEYS, until);
        if !keys.is_empty() {
            items.push(Item { lane: 0, bytes, task: keys });
        }
        self.counters.lag.store(self.inbox.waiting(), Relaxed);
        self.counters.lost.fetch_add(self.inbox.dropped(), Relaxed);
    }
}

impl pipeline::Source for Heard {
    type Task = Vec<Vec<u8>>;
    type Note = Infallible;

    fn poll(&mut self, until: Instant, items: &mut Vec<Item<Self::Task>>) -> Result<(), Fault> {
        self.take(until, items);
        Ok(())
    }

    /// Nobody else knows of what was heard.
    fn rest(&mut self, items: &mut Vec<Item<Self::Task>>) {
        while self.inbox.waiting() > 0 {
            self.take(Instant::now(), items);
        }
    }

    fn note(&mut self, note: Infallible) {
        match note {}
    }

    fn finish(&mut self, _until: Instant) {}
}
