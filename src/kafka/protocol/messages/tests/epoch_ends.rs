//! OffsetForLeaderEpoch, compared with the oracle.

use super::*;
use crate::kafka::protocol::error_code::ErrorCode;
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

type Answered = (i16, i32, i32, i64);

pub(super) fn answer(all: &[(String, Vec<Answered>)], version: i16, throttle: i32) -> Vec<u8> {
    use kafka_protocol::messages::offset_for_leader_epoch_response as their;
    let topics = all.iter().map(|(topic, items)| {
        let items = items.iter().map(|(code, partition, epoch, end)| {
            let one = their::EpochEndOffset::default().with_error_code(*code).with_partition(*partition);
            one.with_leader_epoch(*epoch).with_end_offset(*end)
        });
        let topic = their::OffsetForLeaderTopicResult::default().with_topic(text(topic).into());
        topic.with_partitions(items.collect())
    });
    let answer = OffsetForLeaderEpochResponse::default().with_throttle_time_ms(throttle);
    theirs(&answer.with_topics(topics.collect()), version)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn epoch_ends_are_asked_for(all in topics(any::<(i32, i32, i32)>())) {
        use kafka_protocol::messages::offset_for_leader_epoch_request as their;
        let partitions: Vec<(TopicPartition, i32, i32)> = all.iter().flat_map(|(topic, items)| {
            items.iter().map(|(partition, current, asked)| {
                (TopicPartition::new(topic.as_str(), *partition), *current, *asked)
            })
        }).collect();
        let their_topics = all.iter().map(|(topic, items)| {
            let items = items.iter().map(|(partition, current, asked)| {
                let one = their::OffsetForLeaderPartition::default().with_partition(*partition);
                one.with_current_leader_epoch(*current).with_leader_epoch(*asked)
            });
            let topic = their::OffsetForLeaderTopic::default().with_topic(text(topic).into());
            topic.with_partitions(items.collect())
        });
        let topics: Vec<_> = their_topics.collect();
        for version in EpochEnds::LOWEST..=EpochEnds::HIGHEST {
            let request = OffsetForLeaderEpochRequest::default().with_topics(topics.clone());
            let request = if version >= 3 { request.with_replica_id((-1).into()) } else { request };
            prop_assert_eq!(ours(&EpochEnds { partitions: &partitions }, version), theirs(&request, version));
        }
    }

    #[test]
    fn epoch_ends_are_read(all in topics(any::<Answered>()), throttle in any::<i32>()) {
        for version in EpochEnds::LOWEST..=EpochEnds::HIGHEST {
            let found = read::<EpochEnds<'_>>(version, &answer(&all, version, throttle)).unwrap();
            let found: Vec<_> = found.iter().map(|(partition, one)| {
                (partition.topic.to_string(), one.code, partition.partition, one.epoch, one.end)
            }).collect();
            let meant: Vec<_> = all.iter().flat_map(|(topic, items)| {
                items.iter().map(|(code, partition, epoch, end)| {
                    (topic.clone(), ErrorCode(*code), *partition, *epoch, *end)
                })
            }).collect();
            prop_assert_eq!(found, meant);
        }
    }
}
