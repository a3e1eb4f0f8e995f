//! The consumer protocol: the subscription in a join and the assignment in a sync
//! (`ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json`). Version 0 is written;
//! later versions begin with the same fields.

use crate::kafka::protocol::wire::{Malformed, TooLong, WireReader, WireWriter};
use crate::record::TopicPartition;

/// The protocol type of consumer groups, and the only assignor here.
pub(super) const PROTOCOL_TYPE: &str = "consumer";
pub(super) const RANGE_ASSIGNOR: &str = "range";

const VERSION: i16 = 0;

/// The subscription of one member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Subscription {
    /// The topics that the member subscribes to.
    pub(super) topics: Vec<String>,
    /// pandad puts its digest of the topics here. Other programs ignore it.
    pub(super) user_data: Vec<u8>,
}

/// The assignment of one member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Assignment {
    /// Ordered by topic and partition number.
    pub(super) partitions: Vec<TopicPartition>,
    /// The user data of the leader: a digest of the topics, if it is a pandad.
    pub(super) user_data: Vec<u8>,
}

impl Subscription {
    /// # Errors
    /// The name of a topic is longer than the protocol allows.
    pub(super) fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = WireWriter::default();
        out.i16(VERSION);
        out.list(self.topics.iter(), |out, topic| out.string(topic));
        out.bytes(&self.user_data);
        out.finish()
    }

    /// # Errors
    /// The bytes are not a subscription.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = versioned(bytes)?;
        let topics = from.list(2, |from| Ok(from.string()?.to_owned()))?;
        Ok(Self { topics, user_data: from.nullable_bytes()?.unwrap_or_default().to_vec() })
    }
}

impl Assignment {
    /// # Errors
    /// As [`Subscription::encode`].
    pub(super) fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = WireWriter::default();
        out.i16(VERSION);
        let topics = self.partitions.chunk_by(|one, next| one.topic == next.topic);
        let topics: Vec<&[TopicPartition]> = topics.collect();
        out.list(topics.into_iter(), |out, partitions| {
            out.string(partitions.first().map_or("", |one| &one.topic));
            out.list(partitions.iter(), |out, one| out.i32(one.partition));
        });
        out.bytes(&self.user_data);
        out.finish()
    }

    /// No bytes mean no partitions: a leader may leave a member out.
    ///
    /// # Errors
    /// The bytes are not an assignment.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut from = versioned(bytes)?;
        let mut partitions = Vec::new();
        from.list(6, |from| {
            let topic: std::sync::Arc<str> = from.string()?.into();
            let numbers = from.list(4, WireReader::i32)?;
            partitions.extend(numbers.into_iter().map(|one| TopicPartition::new(topic.clone(), one)));
            Ok(())
        })?;
        let user_data = from.nullable_bytes()?.unwrap_or_default().to_vec();
        partitions.sort();
        partitions.dedup();
        Ok(Self { partitions, user_data })
    }
}

/// Skips the version, which may be a later one.
fn versioned(bytes: &[u8]) -> Result<WireReader<'_>, Malformed> {
    let mut from = WireReader::new(bytes);
    if from.i16()? < VERSION { Err(Malformed("its version is negative")) } else { Ok(from) }
}

#[cfg(test)]
mod tests;
