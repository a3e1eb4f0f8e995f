//! The push of a batch of expired keys to the work list.

use std::sync::Arc;
use std::time::Instant;

use super::command_reply;
use super::context::ExpiryContext;
use super::inbox::KeyBatch;
use super::remembered_deadlines;
use crate::error::Fault;
use crate::redis::{Link, Value, cmd};

/// Pushes batches to the work list. Each worker has one of its own.
#[derive(Clone)]
pub struct ListPush {
    context: Arc<ExpiryContext>,
    link: Link,
    /// The way to the server where keys expire, to ask for its clock.
    expire: Link,
}

impl ListPush {
    /// The push for one worker, not connected yet.
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        Self { context: Arc::clone(context), link: context.list.link(), expire: context.expire.link() }
    }

    /// Pushes the keys to the front of the work list by one command or one transaction. If no reply comes,
    /// the keys are pushed again: it is better to push a key twice than never.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve; try again after a pause.
    pub fn push(&mut self, batch: &KeyBatch) -> Result<(), Fault> {
        let context = Arc::clone(&self.context);
        if context.remembers() {
            if !self.push_remembered(batch, false)? {
                self.ask_clock();
                self.push_remembered(batch, true)?;
            }
        } else {
            let push = remembered_deadlines::plain_push(&context.list_key, &batch.keys);
            self.link.with_retry(|connection| connection.ask(&push).map(drop))?;
        }
        context.inbox.record_done(batch);
        Ok(())
    }

    fn push_remembered(&mut self, batch: &KeyBatch, is_sure: bool) -> Result<bool, Fault> {
        let context = &self.context;
        self.link.with_retry(|connection| {
            context.remembered.push(connection, &batch.keys, &context.clock, is_sure)
        })
    }

    /// Asks the server where keys expire for its clock.
    fn ask_clock(&mut self) {
        let clock = &self.context.clock;
        // Without an answer the keys are pushed all the same, and reconcile may push some of these again.
        let _answered = self.expire.doing("probe").once(|connection| {
            let sent = Instant::now();
            if let Value::Array(shown) = connection.ask(&cmd("TIME"))?
                && let Some(micros) = command_reply::time_micros(&shown)
            {
                clock.record(sent, Instant::now(), micros);
            }
            Ok(())
        });
    }
}
