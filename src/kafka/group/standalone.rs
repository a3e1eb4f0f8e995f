//! [`GroupClient`] without membership: every partition of the topics is ours, and offsets
//! are committed as nobody's member. This is the owner's side; what takes time is done
//! in a thread of its own, which nobody waits for.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::kafka_offsets::KafkaOffsets;
use super::standalone_thread::{StandaloneIntervals, StandaloneThread};
use crate::error::Fault;
use crate::kafka::cluster::Cluster;
use crate::kafka::legacy::zookeeper_offsets::ZookeeperOffsets;
use crate::kafka::seam::{GroupClient, GroupEvent};
use crate::record::{Commit, OffsetMetadata, TopicPartition};
use crate::threads;

/// A commit that takes longer is talked about.
const SLOW_COMMIT_AFTER: Duration = Duration::from_secs(15);

/// Where the group's offsets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetStorage {
    /// In Kafka, each with a string beside it.
    Kafka,
    /// In ZooKeeper, which has no room for one.
    ZooKeeper,
}

/// The group's offset of one partition, if it has one, and what stands beside it.
pub(in crate::kafka) type HeldOffset = (Option<i64>, OffsetMetadata);
/// The same for each partition that was asked for, or why it cannot be told.
pub(in crate::kafka) type HeldOffsets = Vec<(TopicPartition, Result<HeldOffset, Fault>)>;

/// Under which name the offset of a partition is claimed that somebody else has set, in this
/// generation of the group: the journal knows. Every try must claim under the same name until
/// the journal has heard of it.
pub type ClaimNamer = Box<dyn Fn(&TopicPartition, i64, i32) -> u64 + Send>;

/// What the thread asks of a client. Each call is one try; pauses are the thread's.
/// A fault of the whole is the call's own error: `Retry` or `Fatal`.
pub(in crate::kafka) trait OffsetStore: Send {
    /// The numbers of each topic's partitions, or why they cannot be told.
    fn partitions(&mut self, topics: &[String]) -> Result<Vec<Result<Vec<i32>, String>>, Fault>;

    /// What the group holds of these partitions, in their order.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<HeldOffsets, Fault>;

    /// Commits; gives the partitions that are refused. The group holds the others.
    fn commit(&mut self, offsets: &[Commit]) -> Result<Vec<(TopicPartition, Fault)>, Fault>;
}

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
    pub fn new(
        cluster: Cluster,
        group: &str,
        topics: &[String],
        storage: OffsetStorage,
        names: ClaimNamer,
    ) -> Result<Self, Fault> {
        let client: Box<dyn OffsetStore> = match storage {
            OffsetStorage::Kafka => Box::new(KafkaOffsets::new(&cluster, group)),
            OffsetStorage::ZooKeeper => Box::new(ZookeeperOffsets::new(cluster, group)),
        };
        Self::over(client, topics, names, StandaloneIntervals::default())
    }

    pub(super) fn over(
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
