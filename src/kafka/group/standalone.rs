//! [`GroupClient`] without membership: all partitions of the topics are assigned, and offsets are committed
//! by a client that is no member. One thread sends all requests, and no call waits for it.

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::coordinated::{SLOW_COMMIT_AFTER, slow_commit};
use super::offset_store::{ClaimNamer, OffsetStore};
use super::standalone_thread::{StandaloneIntervals, StandaloneThread};
use crate::error::Fault;
use crate::kafka::seam::{GroupClient, GroupEvent};
use crate::record::{Commit, TopicPartition};
use crate::threads;

/// See the module.
pub struct Standalone {
    orders: Sender<Vec<Commit>>,
    events: Receiver<Result<GroupEvent, Fault>>,
    committing: Option<Instant>,
}

impl Standalone {
    /// Starts the thread, which asks for the topics' partitions. `names` gives the epoch
    /// that goes into the token of each claim.
    ///
    /// # Errors
    /// `Retry`: the thread cannot be started.
    pub(in crate::kafka) fn new(
        store: Box<dyn OffsetStore>,
        topics: &[String],
        names: ClaimNamer,
        pace: StandaloneIntervals,
    ) -> Result<Self, Fault> {
        let (orders, to_commit) = unbounded();
        let (event_sender, events) = unbounded();
        let thread = StandaloneThread::new(store, topics, names, pace, to_commit, event_sender);
        threads::spawn("kafka-group", move || thread.run())?;
        Ok(Self { orders, events, committing: None })
    }
}

impl GroupClient for Standalone {
    fn next(&mut self) -> Result<GroupEvent, Fault> {
        match self.events.try_recv() {
            Ok(event) => {
                let event = event?;
                if matches!(event, GroupEvent::Committed(_)) {
                    self.committing = None;
                }
                Ok(event)
            }
            Err(TryRecvError::Empty) => match self.committing {
                Some(since) if since.elapsed() > SLOW_COMMIT_AFTER => Ok(GroupEvent::Failed(slow_commit())),
                _ => Ok(GroupEvent::Unchanged),
            },
            Err(TryRecvError::Disconnected) => {
                Err(Fault::Retry("internal error: the thread kafka-group has ended".to_owned()))
            }
        }
    }

    fn commit(&mut self, offsets: Vec<Commit>) {
        self.committing = Some(Instant::now());
        // If this fails, the thread has ended; `next` reports that.
        let _ended = self.orders.send(offsets);
    }

    fn finish_commit(&mut self, until: Instant) -> Option<Vec<(TopicPartition, i64)>> {
        self.committing?;
        loop {
            match self.events.recv_deadline(until) {
                Ok(Ok(GroupEvent::Committed(offsets))) => {
                    self.committing = None;
                    return Some(offsets);
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
