//! Whose records can be routed to a file: those of every partition, unless the file's path shows a topic or
//! a partition. Pure.

use std::sync::Arc;

use super::entry_reader::EntryReader;
use crate::record::TopicPartition;

const SHOWS_TOPIC: u8 = 1;
const SHOWS_PARTITION: u8 = 2;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct RouteScope {
    /// Only partitions of this topic.
    pub topic: Option<Arc<str>>,
    /// Only partitions of this number.
    pub partition: Option<i32>,
}

/// The scope of a file whose path shows neither.
pub static EVERY_PARTITION: RouteScope = RouteScope { topic: None, partition: None };

impl RouteScope {
    /// The scope of the file that a record of this partition goes to, if the path shows these.
    pub fn of(partition: &TopicPartition, shows_topic: bool, shows_partition: bool) -> Self {
        Self {
            topic: shows_topic.then(|| Arc::clone(&partition.topic)),
            partition: shows_partition.then_some(partition.partition),
        }
    }

    /// Whether records of this partition can be routed there.
    pub(in crate::logfile) fn holds(&self, partition: &TopicPartition) -> bool {
        self.topic.as_ref().is_none_or(|topic| *topic == partition.topic)
            && self.partition.is_none_or(|number| number == partition.partition)
    }

    /// Which of both the path shows, then these.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let topic = if self.topic.is_some() { SHOWS_TOPIC } else { 0 };
        out.push(topic | if self.partition.is_some() { SHOWS_PARTITION } else { 0 });
        if let Some(topic) = &self.topic {
            // Kafka's names are short.
            out.extend_from_slice(&u32::try_from(topic.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(topic.as_bytes());
        }
        out.extend_from_slice(self.partition.map(i32::to_be_bytes).as_ref().map_or(&[], |number| number));
    }

    pub(super) fn decode(reader: &mut EntryReader<'_>) -> Option<Self> {
        let shown = reader.u8()?;
        let topic = if shown & SHOWS_TOPIC == 0 { None } else { Some(Arc::from(reader.text()?)) };
        let partition = if shown & SHOWS_PARTITION == 0 { None } else { Some(reader.i32()?) };
        Some(Self { topic, partition })
    }
}
