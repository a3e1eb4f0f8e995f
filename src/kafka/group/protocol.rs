//! The consumer protocol: what members say of themselves when they join, and what the
//! leader says to each. Version 0 is written (`ConsumerProtocolSubscription.json`,
//! `ConsumerProtocolAssignment.json`); later ones begin with the same fields.

use crate::kafka::protocol::wire::{Malformed, TooLong, WireReader, WireWriter};
use crate::record::TopicPartition;

/// The kind of group, and the way of sharing out that is known here.
pub(super) const PROTOCOL_TYPE: &str = "consumer";
pub(super) const RANGE_ASSIGNOR: &str = "range";

const VERSION: i16 = 0;

/// What one member wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Subscription {
    /// These topics.
    pub(super) topics: Vec<String>,
    /// And what else it says; other programs than pandad make nothing of it.
    pub(super) user_data: Vec<u8>,
}

/// What one member gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Assignment {
    /// In the order of topics and numbers.
    pub(super) partitions: Vec<TopicPartition>,
    /// What else the leader says.
    pub(super) user_data: Vec<u8>,
}

impl Subscription {
    /// # Errors
    /// A name is longer than the protocol allows.
    pub(super) fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = WireWriter::default();
        out.i16(VERSION);
        out.list(self.topics.iter(), |out, topic| out.string(topic));
        out.bytes(&self.user_data);
        out.finish()
    }

    /// # Errors
    /// It is no subscription.
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

    /// No bytes at all are nothing, too: a leader may leave a member out.
    ///
    /// # Errors
    /// It is no assignment.
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

/// Behind the version, which may be a later one.
fn versioned(bytes: &[u8]) -> Result<WireReader<'_>, Malformed> {
    let mut from = WireReader::new(bytes);
    if from.i16()? < VERSION { Err(Malformed("its version is negative")) } else { Ok(from) }
}

#[cfg(test)]
mod tests;
