//! Logs where partitions begin for which nobody had a position, if `kafka['start']` is a moment.

use std::sync::Arc;

use super::{KafkaSource, NAME};
use crate::kafka::StartBasis;
use crate::record::TopicPartition;

impl KafkaSource {
    /// Logs at which offset the partition begins. If that is not exactly as configured, this is a warning,
    /// once for each topic.
    pub(super) fn log_start(&mut self, partition: &TopicPartition, offset: i64, basis: StartBasis) {
        let why = match basis {
            StartBasis::Bound => return,
            StartBasis::Timestamp => {
                return log::info!("{NAME}: {partition}: begins at offset {offset}, by its timestamp");
            }
            StartBasis::End => {
                return log::info!(
                    "{NAME}: {partition}: begins at offset {offset}, its end: no record is as late as \
                     kafka['start']"
                );
            }
            StartBasis::Segments => "brokers before Kafka 0.10.1 know times of whole segments only",
            StartBasis::NoTimestamps => "it holds records without timestamps",
        };
        let is_new = self.starts_logged.insert((Arc::clone(&partition.topic), basis));
        if is_new {
            log::warn!(
                "{NAME}: {partition}: begins at offset {offset}, perhaps earlier than kafka['start'] says: \
                 {why}; the same holds for other partitions of this topic"
            );
        } else {
            log::info!("{NAME}: {partition}: begins at offset {offset}: {why}");
        }
    }
}
