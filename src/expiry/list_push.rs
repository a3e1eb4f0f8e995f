//! Pushes what was heard.

use super::inbox::{Inbox, KeyBatch};
use super::remembered_deadlines::{self, RememberedDeadlines};
use crate::error::Fault;
use crate::redis::Link;

/// Pushes what was heard. Each worker has one of its own.
#[derive(Clone)]
pub struct ListPush {
    pub(super) list: Link,
    pub(super) key: String,
    pub(super) remembered: Option<RememberedDeadlines>,
    pub(super) inbox: Inbox,
}

impl ListPush {
    /// Puts the keys in front of the work list, by one command. Without an answer they
    /// are pushed again: better twice than lost.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve; try again after a pause.
    pub fn push(&mut self, taken: &KeyBatch) -> Result<(), Fault> {
        match &self.remembered {
            None => {
                let push = remembered_deadlines::plain(&self.key, &taken.keys);
                self.list.with_retry(|connection| connection.ask(&push).map(drop))?;
            }
            Some(remembered) => {
                self.list.with_retry(|connection| remembered.push(connection, &taken.keys))?;
            }
        }
        self.inbox.record_done(taken);
        Ok(())
    }
}
