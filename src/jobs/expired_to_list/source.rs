//! The source: keys that the listener has heard of, many at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::NAME;
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
    /// Keys that an earlier run of the job pushed or lost.
    pub(super) before: u64,
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
        self.inbox.close();
        while self.inbox.waiting() > 0 {
            self.take(Instant::now(), items);
        }
    }

    fn note(&mut self, note: Infallible) {
        match note {}
    }

    /// What was heard and could not be pushed is told: it does not come again.
    fn finish(&mut self, _until: Instant) {
        let known = self.counters.done.load(Relaxed) + self.counters.lost.load(Relaxed);
        let missing = (self.before + self.inbox.close()).saturating_sub(known);
        if missing > 0 {
            self.counters.lost.fetch_add(missing, Relaxed);
            log::error!("{NAME}: {missing} keys were heard of and could not be pushed: they are lost");
        }
    }
}
