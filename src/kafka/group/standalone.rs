//! [`GroupClient`] without membership: every partition of the topics is ours, and offsets
//! are committed as nobody's member. This is the owner's side; what takes time is done
//! in a thread of its own, which nobody waits for.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::offset_store::{ClaimNamer, OffsetStore};
use super::standalone_thread::{StandaloneIntervals, StandaloneThread};
use crate::error::Fault;
use crate::kafka::seam::{GroupClient, GroupEvent};
use crate::record::{Commit, TopicPartition};
use crate::threads;

/// A commit that takes longer is talked about.
const SLOW_COMMIT_AFTER: Duration = Duration::from_secs(15);

/// See the module.
pub struct Standalone {
    orders: Sender<Vec<Commit>>,
    events: Receiver<Result<GroupEvent, Fault>>,
    committing: Option<Instant>,
}

impl Standalone {
    /// Begins to look for the topics' partitions.
    ///
    /// # Errors
    /// `Retry`: no thread can be had.
    pub(in crate::kafka) fn new(
        client: Box<dyn OffsetStore>,
        topics: &[String],
        names: ClaimNamer,
        pace: StandaloneIntervals,
    ) -> Result<Self, Fault> {
        let (orders, to_commit) = unbounded();
        let (to_tell, events) = unbounded();
        let thread = StandaloneThread::new(client, topics, names, pace, to_commit, to_tell);
        threads::spawn("kafka-group", move || thread.run())
            .map_err(|error| Fault::Retry(format!("cannot start a thread: {error}")))?;
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
                Some(since) if since.elapsed() > SLOW_COMMIT_AFTER => {
                    Ok(GroupEvent::Failed("the group's coordinator does not answer a commit".to_owned()))
                }
                _ => Ok(GroupEvent::Unchanged),
            },
            Err(TryRecvError::Disconnected) => Err(Fault::Retry("the group's thread ended".to_owned())),
        }
    }

    fn commit(&mut self, offsets: Vec<Commit>) {
        self.committing = Some(Instant::now());
        // A thread that has ended is found out by `next`.
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
