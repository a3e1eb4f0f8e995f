//! The worker: many keys become items of the work list by one command.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::Fault;
use crate::expiry::{Push, Taken};
use crate::pipeline;
use crate::report::Counters;

/// See the module.
pub(super) struct Pusher {
    pub(super) push: Push,
    pub(super) counters: Arc<Counters>,
}

impl pipeline::Worker for Pusher {
    type Task = Taken;
    type Outcome = ();

    fn work(&mut self, keys: &Taken) -> Result<((), u64), Fault> {
        self.push.push(keys)?;
        self.counters.done.fetch_add(keys.keys.len() as u64, Relaxed);
        Ok(((), 0))
    }
}
