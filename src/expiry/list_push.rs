//! The push of a batch of expired keys to the work list.

use std::sync::Arc;

use super::context::ExpiryContext;
use super::inbox::KeyBatch;
use super::remembered_deadlines;
use crate::error::Fault;
use crate::redis::Link;

/// Pushes batches to the work list. Each worker has one of its own.
#[derive(Clone)]
pub struct ListPush {
    context: Arc<ExpiryContext>,
    link: Link,
}

impl ListPush {
    /// The push for one worker, not connected yet.
    pub(super) fn new(context: &Arc<ExpiryContext>) -> Self {
        Self { context: Arc::clone(context), link: context.list.link() }
    }

    /// Pushes the keys to the front of the work list by one command or one transaction. If no reply comes,
    /// the keys are pushed again: it is better to push a key twice than never.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve; try again after a pause.
    pub fn push(&mut self, batch: &KeyBatch) -> Result<(), Fault> {
        let context = &self.context;
        if context.remembers() {
            self.link
                .with_retry(|connection| context.remembered.push(connection, &batch.keys, &context.clock))?;
        } else {
            let push = remembered_deadlines::plain_push(&context.list_key, &batch.keys);
            self.link.with_retry(|connection| connection.ask(&push).map(drop))?;
        }
        context.inbox.record_done(batch);
        Ok(())
    }
}
