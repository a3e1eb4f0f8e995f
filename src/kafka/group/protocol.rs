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
mod tests {
    use bytes::{BufMut, Bytes, BytesMut};
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Theirs;
    use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> StrBytes {
        StrBytes::from_string(text.to_owned())
    }

    fn oracle(message: &impl Encodable, version: i16) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version);
        message.encode(&mut bytes, version).unwrap();
        bytes.to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn subscriptions_are_those_of_others(
            topics in vec("[a-zä]{1,9}", 0..5),
            user_data in proptest::option::of(vec(any::<u8>(), 0..9)),
            number in any::<i32>(),
        ) {
            let names: Vec<StrBytes> = topics.iter().map(|one| text(one)).collect();
            let bytes = user_data.clone().map(Bytes::from);
            let theirs = ConsumerProtocolSubscription::default().with_topics(names).with_user_data(bytes);
            for version in 0..=3 {
                let mut theirs = theirs.clone();
                if version >= 2 {
                    theirs.generation_id = number;
                }
                if version >= 3 {
                    theirs.rack_id = Some(text("rack"));
                }
                let ours = Subscription { topics: topics.clone(), user_data: user_data.clone().unwrap_or_default() };
                let bytes = oracle(&theirs, version);
                prop_assert_eq!(Subscription::decode(&bytes), Ok(ours.clone()), "version {}", version);
                if version == 0 && user_data.is_some() {
                    prop_assert_eq!(ours.encode().unwrap(), bytes);
                }
            }
        }

        #[test]
        fn assignments_are_those_of_others(
            topics in btree_map("[a-z]{1,9}", btree_set(any::<i32>(), 1..5), 0..4),
            user_data in vec(any::<u8>(), 0..9),
        ) {
            let assigned = topics.iter().map(|(topic, numbers)| {
                Theirs::default().with_topic(text(topic).into()).with_partitions(numbers.iter().copied().collect())
            });
            let theirs = ConsumerProtocolAssignment::default()
                .with_assigned_partitions(assigned.collect())
                .with_user_data(Some(user_data.clone().into()));
            let partitions = topics.iter().flat_map(|(topic, numbers)| {
                numbers.iter().map(|one| TopicPartition::new(topic.as_str(), *one))
            });
            let ours = Assignment { partitions: partitions.collect(), user_data };
            for version in 0..=3 {
                prop_assert_eq!(Assignment::decode(&oracle(&theirs, version)), Ok(ours.clone()));
            }
            prop_assert_eq!(ours.encode().unwrap(), oracle(&theirs, 0));
        }

        #[test]
        fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..80)) {
            let _ = (Subscription::decode(&bytes), Assignment::decode(&bytes));
        }
    }

    #[test]
    fn no_bytes_are_no_partitions() {
        assert_eq!(Assignment::decode(&[]), Ok(Assignment::default()));
        assert!(Subscription::decode(&[]).is_err());
        assert!(Assignment::decode(&[0xff, 0xff, 0, 0, 0, 0]).is_err());
    }
}
