//! The topics and the cluster that positions belong to.

use std::io;

use super::{JournalEntry, Ledger};
use crate::record::{EpochStart, LeaderEpochs, TopicId, TopicPartition};

/// The longest id of a cluster that is kept. Those of Kafka have 22 characters.
const CLUSTER_ID_MAX: usize = 255;

impl Ledger {
    /// The cluster that the positions belong to, if it is known.
    pub fn cluster_id(&self) -> Option<String> {
        self.lock().state.cluster.clone()
    }

    /// Records the cluster that the positions belong to.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn record_cluster_id(&self, id: &str) -> io::Result<()> {
        let mut inner = self.lock();
        if id.len() > CLUSTER_ID_MAX || inner.state.cluster.as_deref() == Some(id) {
            return Ok(());
        }
        inner.append_entry(JournalEntry::Cluster(id.to_owned()))
    }

    /// The topic that the partition's position belongs to, if that is known.
    pub fn topic_id(&self, partition: &TopicPartition) -> Option<TopicId> {
        self.lock().state.find(partition)?.1.topic_id
    }

    /// The leader epochs of what was read of the partition.
    pub fn leader_epochs(&self, partition: &TopicPartition) -> LeaderEpochs {
        self.lock()
            .state
            .find(partition)
            .map_or(LeaderEpochs::default(), |(_, state)| state.leader_epochs.clone())
    }

    /// Records the leader epochs of what is about to be written. They precede its range in the journal, so
    /// that no position is durable without the epoch of the record before it.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn record_leader_epochs(&self, partition: &TopicPartition, starts: &[EpochStart]) -> io::Result<()> {
        let mut inner = self.lock();
        for start in starts {
            let Some((index, state)) = inner.state.find(partition) else { return Ok(()) };
            if state.leader_epochs.clone().record(*start) {
                inner.append_entry(JournalEntry::LeaderEpoch(index, *start))?;
            }
        }
        Ok(())
    }

    /// Records the topic that the partition's position belongs to. It need not be durable: without it,
    /// another log is told from the one that was read only by its records.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub fn record_topic_id(&self, partition: &TopicPartition, id: TopicId) -> io::Result<()> {
        let mut inner = self.lock();
        match inner.state.find(partition).map(|(index, state)| (index, state.topic_id)) {
            Some((index, known)) if known != Some(id) => inner.append_entry(JournalEntry::Topic(index, id)),
            _ => Ok(()),
        }
    }
}
