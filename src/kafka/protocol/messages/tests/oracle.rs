//! In every version that pandad supports, its requests are byte for byte those of the oracle, and the
//! oracle's replies are read with the values that they were made of.

use super::*;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::record::{Commit, TopicId};
use kafka_protocol::messages::{
    FindCoordinatorRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
};

fn versions<R: Request>() -> std::ops::RangeInclusive<i16> {
    R::LOWEST..=R::HIGHEST
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn api_versions_is_read(answer in api_versions_answers()) {
        prop_assert_eq!(ours(&ApiVersions, 0), Vec::<u8>::new());
        let (code, spoken) = read::<ApiVersions>(0, &theirs(&answer, 0)).unwrap();
        prop_assert_eq!(code, ErrorCode(answer.error_code));
        let spoken: Vec<_> = spoken.iter().map(|one| (one.key, one.lowest, one.highest)).collect();
        let meant: Vec<_> =
            answer.api_keys.iter().map(|one| (one.api_key, one.min_version, one.max_version)).collect();
        prop_assert_eq!(spoken, meant);
    }

    #[test]
    fn find_coordinator_is_written(group in strings()) {
        for version in versions::<FindCoordinator<'_>>() {
            let request = FindCoordinatorRequest::default().with_key(text(&group));
            prop_assert_eq!(ours(&FindCoordinator { group: &group }, version), theirs(&request, version));
        }
    }

    #[test]
    fn find_coordinator_is_read(
        answer in find_coordinator_answers(),
        throttle in any::<i32>(),
        message in maybe_strings(),
    ) {
        for version in versions::<FindCoordinator<'_>>() {
            let mut answer = answer.clone();
            if version >= 1 {
                answer.throttle_time_ms = throttle;
                answer.error_message = message.as_deref().map(text);
            }
            let read = read::<FindCoordinator<'_>>(version, &theirs(&answer, version)).unwrap();
            prop_assert_eq!(read.code, ErrorCode(answer.error_code));
            prop_assert_eq!(read.node, answer.node_id.0);
            prop_assert_eq!(read.host.as_str(), answer.host.as_str());
            prop_assert_eq!(read.port, answer.port);
        }
    }

    #[test]
    fn offset_commit_is_written(
        group in strings(),
        generation in any::<i32>(),
        id in strings(),
        instance in maybe_strings(),
        all in topics((any::<i32>(), any::<i64>(), strings())),
    ) {
        use kafka_protocol::messages::offset_commit_request as their;
        let offsets: Vec<Commit> = all.iter().flat_map(|(topic, items)| {
            items.iter().map(|(partition, offset, metadata)| Commit {
                partition: TopicPartition::new(topic.as_str(), *partition),
                offset: *offset,
                metadata: metadata.clone(),
            })
        }).collect();
        for version in versions::<OffsetCommit<'_>>() {
            let instance = instance.as_deref().filter(|_| version >= 7);
            let request = OffsetCommitRequest::default()
                .with_group_id(text(&group).into())
                .with_generation_id_or_member_epoch(generation)
                .with_member_id(text(&id))
                .with_group_instance_id(instance.map(text))
                .with_topics(all.iter().map(|(topic, items)| {
                    let partitions = items.iter().map(|(partition, offset, metadata)| {
                        their::OffsetCommitRequestPartition::default()
                            .with_partition_index(*partition)
                            .with_committed_offset(*offset)
                            .with_committed_metadata(Some(text(metadata)))
                    });
                    their::OffsetCommitRequestTopic::default()
                        .with_name(text(topic).into())
                        .with_partitions(partitions.collect())
                }).collect());
            let member = GenerationMember { generation, id: &id, instance };
            let ours = ours(&OffsetCommit { group: &group, member, offsets: &offsets }, version);
            prop_assert_eq!(ours, theirs(&request, version), "version {}", version);
        }
    }

    #[test]
    fn offset_commit_is_read(answer in offset_commit_answers(), throttle in any::<i32>()) {
        for version in versions::<OffsetCommit<'_>>() {
            let mut answer = answer.clone();
            if version >= 3 {
                answer.throttle_time_ms = throttle;
            }
            let read = read::<OffsetCommit<'_>>(version, &theirs(&answer, version)).unwrap();
            let meant: Vec<_> = answer.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|one| {
                    (TopicPartition::new(topic.name.as_str(), one.partition_index), ErrorCode(one.error_code))
                })
            }).collect();
            prop_assert_eq!(read, meant, "version {}", version);
        }
    }

    #[test]
    fn offset_fetch_is_written(group in strings(), all in topics(any::<i32>())) {
        use kafka_protocol::messages::offset_fetch_request as their;
        let partitions: Vec<TopicPartition> = all.iter().flat_map(|(topic, items)| {
            items.iter().map(|partition| TopicPartition::new(topic.as_str(), *partition))
        }).collect();
        for version in versions::<OffsetFetch<'_>>() {
            let request = OffsetFetchRequest::default().with_group_id(text(&group).into()).with_topics(Some(
                all.iter().map(|(topic, items)| {
                    let topic = their::OffsetFetchRequestTopic::default().with_name(text(topic).into());
                    topic.with_partition_indexes(items.clone())
                }).collect(),
            ));
            let ours = ours(&OffsetFetch { group: &group, partitions: &partitions }, version);
            prop_assert_eq!(ours, theirs(&request, version), "version {}", version);
        }
    }

    #[test]
    fn offset_fetch_is_read(
        answer in offset_fetch_answers(),
        throttle in any::<i32>(),
        code in any::<i16>(),
        epoch in any::<i32>(),
    ) {
        for version in versions::<OffsetFetch<'_>>() {
            let mut answer = answer.clone();
            if version >= 2 {
                answer.error_code = code;
            }
            if version >= 3 {
                answer.throttle_time_ms = throttle;
            }
            if version >= 5 {
                let all = answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
                all.for_each(|one| one.committed_leader_epoch = epoch);
            }
            let read = read::<OffsetFetch<'_>>(version, &theirs(&answer, version)).unwrap();
            prop_assert_eq!(read.code, ErrorCode(answer.error_code));
            let read: Vec<_> = read.partitions.into_iter().map(|(partition, one)| {
                (partition, one.code, one.offset, one.metadata)
            }).collect();
            let meant: Vec<_> = answer.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|one| {
                    let partition = TopicPartition::new(topic.name.as_str(), one.partition_index);
                    let metadata = one.metadata.as_ref().map_or("", StrBytes::as_str).to_owned();
                    (partition, ErrorCode(one.error_code), one.committed_offset, metadata)
                })
            }).collect();
            prop_assert_eq!(read, meant, "version {}", version);
        }
    }

    #[test]
    fn metadata_is_written(topics in vec(strings(), 0..5)) {
        use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
        for version in versions::<Metadata<'_>>() {
            let named = |name: &String| MetadataRequestTopic::default().with_name(Some(text(name).into()));
            let request = MetadataRequest::default()
                .with_topics(Some(topics.iter().map(named).collect()))
                .with_allow_auto_topic_creation(version < 4);
            prop_assert_eq!(ours(&Metadata { topics: &topics }, version), theirs(&request, version));
        }
    }

    #[test]
    fn metadata_is_read(
        answer in metadata_answers(),
        number in any::<i32>(),
        name in maybe_strings(),
        flag in any::<bool>(),
        id in any::<u128>(),
    ) {
        for version in versions::<Metadata<'_>>() {
            let mut answer = answer.clone();
            // Fields that the reader skips get values, too, in every version that has them.
            if version >= 1 {
                answer.controller_id = number.into();
                answer.brokers.iter_mut().for_each(|broker| broker.rack = name.as_deref().map(text));
                answer.topics.iter_mut().for_each(|topic| topic.is_internal = flag);
            }
            if version >= 2 {
                answer.cluster_id = name.as_deref().map(text);
            }
            if version >= 3 {
                answer.throttle_time_ms = number;
            }
            for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if version >= 5 {
                    partition.offline_replicas = vec![number.into()];
                }
                partition.leader_epoch = if version >= 7 { number } else { -1 };
            }
            if version >= 8 {
                answer.cluster_authorized_operations = number;
                answer.topics.iter_mut().for_each(|topic| topic.topic_authorized_operations = number);
            }
            if version >= 9 {
                let field = bytes::Bytes::from(vec![7; number.unsigned_abs() as usize % 300]);
                answer.unknown_tagged_fields.insert(11, field.clone());
                for topic in &mut answer.topics {
                    topic.unknown_tagged_fields.insert(12, field.clone());
                    for partition in &mut topic.partitions {
                        partition.unknown_tagged_fields.insert(13, field.clone());
                    }
                }
            }
            if version >= 10 {
                let id = format!("{id:032x}").parse().unwrap();
                answer.topics.iter_mut().for_each(|topic| topic.topic_id = id);
            }
            let of_all = read::<AllTopics>(version, &theirs(&answer, version)).unwrap();
            let read = read::<Metadata<'_>>(version, &theirs(&answer, version)).unwrap();
            prop_assert_eq!(&of_all, &read, "version {}", version);
            let brokers: Vec<_> =
                read.brokers.iter().map(|one| (one.node, one.host.as_str(), one.port)).collect();
            let meant: Vec<_> =
                answer.brokers.iter().map(|one| (one.node_id.0, one.host.as_str(), one.port)).collect();
            prop_assert_eq!(brokers, meant, "version {}", version);
            let ids = if version >= 10 { TopicId::new(id) } else { None };
            prop_assert!(read.topics.iter().all(|topic| topic.id == ids), "version {}", version);
            let of_ours = |one: &metadata::PartitionMetadata| (one.code, one.number, one.leader, one.epoch);
            let topics: Vec<_> = read.topics.iter().map(|topic| {
                (topic.code, topic.name.as_str(), topic.partitions.iter().map(of_ours).collect::<Vec<_>>())
            }).collect();
            let meant: Vec<_> = answer.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|one| {
                    (ErrorCode(one.error_code), one.partition_index, one.leader_id.0, one.leader_epoch)
                });
                let name = topic.name.as_ref().unwrap().as_str();
                (ErrorCode(topic.error_code), name, partitions.collect::<Vec<_>>())
            }).collect();
            prop_assert_eq!(topics, meant, "version {}", version);
        }
    }
}
