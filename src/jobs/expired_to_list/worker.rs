//! The worker: many keys become items of the work list by one command.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::Fault;
use crate::pipeline;
use crate::redis::{Link, cmd};
use crate::report::Counters;

/// See the module.
pub(super) struct Pusher {
    pub(super) list: Link,
    pub(super) key: String,
    pub(super) counters: Arc<Counters>,
}

impl pipeline::Worker for Pusher {
    type Task = Vec<Vec<u8>>;
    type Outcome = ();

    /// Without an answer it is pushed again: better twice than lost.
    fn work(&mut self, keys: &Vec<Vec<u8>>) -> Result<((), u64), Fault> {
        let mut push = cmd("LPUSH");
        push.arg(&self.key).arg(keys);
        self.list.again(|connection| connection.ask(&push))?;
        self.counters.done.fetch_add(keys.len() as u64, Relaxed);
        Ok(((), 0))
    }
}
