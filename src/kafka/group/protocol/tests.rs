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
    fn subscriptions_match_the_schema(
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
            let bytes_of_user = user_data.clone().unwrap_or_default();
            let ours = Subscription { topics: topics.clone(), user_data: bytes_of_user };
            let bytes = oracle(&theirs, version);
            prop_assert_eq!(Subscription::decode(&bytes), Ok(ours.clone()), "version {}", version);
            if version == 0 && user_data.is_some() {
                prop_assert_eq!(ours.encode().unwrap(), bytes);
            }
        }
    }

    #[test]
    fn assignments_match_the_schema(
        topics in btree_map("[a-z]{1,9}", btree_set(any::<i32>(), 1..5), 0..4),
        user_data in vec(any::<u8>(), 0..9),
    ) {
        let assigned = topics.iter().map(|(topic, numbers)| {
            let partitions = numbers.iter().copied().collect();
            Theirs::default().with_topic(text(topic).into()).with_partitions(partitions)
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
fn no_bytes_mean_no_partitions() {
    assert_eq!(Assignment::decode(&[]), Ok(Assignment::default()));
    assert!(Subscription::decode(&[]).is_err());
    assert!(Assignment::decode(&[0xff, 0xff, 0, 0, 0, 0]).is_err());
}
