//! Files whose disks accept no writes while those of other files do. Their partitions are not read, so that
//! nothing of them waits in memory, and are read again from their written positions.

use super::KafkaSource;
use crate::jobs::kafka_to_file::run_error::RunError;
use crate::record::TopicPartition;

impl KafkaSource {
    /// Whether the partition's file accepts no writes at present.
    pub(super) fn is_refused(&self, partition: &TopicPartition) -> bool {
        self.ledger.is_any_of(partition, &self.refusing)
    }

    /// The sink drops what is in flight for this file.
    pub(super) fn begin_file_refusal(&mut self, file: usize) {
        self.refusing.insert(file);
        for partition in self.partitions_of(file) {
            self.fetcher.unassign(&partition);
            self.fall_back(&partition);
            if let Some(tracked) = self.partitions.get_mut(&partition) {
                tracked.relinquish();
            }
        }
    }

    /// The partitions are fetched again like any others that nobody reads.
    pub(super) fn end_file_refusal(&mut self, file: usize) {
        self.refusing.remove(&file);
        for partition in self.partitions_of(file) {
            self.fall_back(&partition);
        }
    }

    /// What was polled beyond the written position will not be written.
    fn fall_back(&mut self, partition: &TopicPartition) {
        if let Some(position) = self.written(partition) {
            self.drop_in_flight(partition, position);
        }
    }

    fn partitions_of(&self, file: usize) -> Vec<TopicPartition> {
        let all = self.partitions.keys();
        all.filter(|partition| self.ledger.file_of(partition) == Some(file)).cloned().collect()
    }

    /// A run has the files that were open when it began. The next one has all of them.
    pub(super) fn end_for_opened_file(&self) -> Result<(), RunError> {
        if (self.is_file_back)() { Err(RunError::FileOpened) } else { Ok(()) }
    }
}
