//! The topics that positions belong to.

use std::io;

use super::{JournalEntry, Ledger};
use crate::record::{TopicId, TopicPartition};

impl Ledger {
    /// The topic that the partition's position belongs to, if that is known.
    pub fn topic_id(&self, partition: &TopicPartition) -> Option<TopicId> {
        self.lock().state.find(partition)?.1.topic_id
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
