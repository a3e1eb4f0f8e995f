//! The worker: pushes a batch of expired keys to the work list.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::Fault;
use crate::expiry::{KeyBatch, ListPush};
use crate::pipeline;
use crate::report::Counters;

/// See the module.
pub(super) struct PushWorker {
    pub(super) push: ListPush,
    pub(super) counters: Arc<Counters>,
}

impl pipeline::Worker for PushWorker {
    type Task = KeyBatch;
    type Outcome = ();

    fn work(&mut self, keys: &KeyBatch) -> Result<((), u64), Fault> {
        self.push.push(keys)?;
        self.counters.done.fetch_add(keys.keys.len() as u64, Relaxed);
        Ok(((), 0))
    }
}
