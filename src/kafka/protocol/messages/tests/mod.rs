//! The encoders and decoders against the `kafka-protocol` crate, with generated messages, and
//! against tampered frames.

mod epoch_ends;
mod group;
mod hostile;
mod oracle;
mod reading;

use bytes::BytesMut;
use kafka_protocol::messages::{
    ApiVersionsResponse, FindCoordinatorResponse, MetadataResponse, OffsetCommitResponse, OffsetFetchResponse,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The bytes that the oracle writes for a message.
fn theirs(message: &impl Encodable, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

/// The bytes that pandad writes for a request.
fn ours<R: Request>(request: &R, version: i16) -> Vec<u8> {
    let mut writer = WireWriter::default();
    request.write(version, &mut writer);
    writer.finish().unwrap()
}

/// A reply, read to its end.
fn read<R: Request>(version: i16, bytes: &[u8]) -> Result<R::Answer, Malformed> {
    let mut reader = WireReader::new(bytes);
    let answer = R::read(version, &mut reader)?;
    reader.end().map(|()| answer)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn strings() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn maybe_strings() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(strings())
}

/// Topics with items, in the order of their names, in which they are sent.
fn topics<T: std::fmt::Debug>(
    item: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(String, Vec<T>)>> {
    let all = proptest::collection::btree_map(strings(), vec(item, 1..5), 0..4);
    all.prop_map(|all| all.into_iter().collect())
}

fn api_versions_answers() -> impl Strategy<Value = ApiVersionsResponse> {
    use kafka_protocol::messages::api_versions_response::ApiVersion;
    let one = (any::<i16>(), any::<i16>(), any::<i16>()).prop_map(|(key, lowest, highest)| {
        ApiVersion::default().with_api_key(key).with_min_version(lowest).with_max_version(highest)
    });
    (any::<i16>(), vec(one, 0..80))
        .prop_map(|(code, keys)| ApiVersionsResponse::default().with_error_code(code).with_api_keys(keys))
}

fn find_coordinator_answers() -> impl Strategy<Value = FindCoordinatorResponse> {
    (any::<i16>(), any::<i32>(), strings(), any::<i32>()).prop_map(|(code, node, host, port)| {
        let answer = FindCoordinatorResponse::default().with_error_code(code).with_node_id(node.into());
        answer.with_host(text(&host)).with_port(port)
    })
}

fn offset_commit_answers() -> impl Strategy<Value = OffsetCommitResponse> {
    use kafka_protocol::messages::offset_commit_response as theirs;
    let one = (any::<i32>(), any::<i16>()).prop_map(|(partition, code)| {
        theirs::OffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(code)
    });
    topics(one).prop_map(|topics| {
        let topic = |(name, partitions): (String, _)| {
            let topic = theirs::OffsetCommitResponseTopic::default().with_name(text(&name).into());
            topic.with_partitions(partitions)
        };
        OffsetCommitResponse::default().with_topics(topics.into_iter().map(topic).collect())
    })
}

fn offset_fetch_answers() -> impl Strategy<Value = OffsetFetchResponse> {
    use kafka_protocol::messages::offset_fetch_response as theirs;
    let one = (any::<i32>(), any::<i64>(), any::<i16>(), maybe_strings()).prop_map(
        |(partition, offset, code, metadata)| {
            let one = theirs::OffsetFetchResponsePartition::default().with_partition_index(partition);
            let one = one.with_committed_offset(offset).with_error_code(code);
            one.with_metadata(metadata.as_deref().map(text))
        },
    );
    topics(one).prop_map(|topics| {
        let topic = |(name, partitions): (String, _)| {
            let topic = theirs::OffsetFetchResponseTopic::default().with_name(text(&name).into());
            topic.with_partitions(partitions)
        };
        OffsetFetchResponse::default().with_topics(topics.into_iter().map(topic).collect())
    })
}

fn metadata_answers() -> impl Strategy<Value = MetadataResponse> {
    use kafka_protocol::messages::metadata_response as theirs;
    let broker = (any::<i32>(), strings(), any::<i32>()).prop_map(|(node, host, port)| {
        let broker = theirs::MetadataResponseBroker::default().with_node_id(node.into());
        broker.with_host(text(&host)).with_port(port)
    });
    let replicas = || vec(any::<i32>().prop_map(Into::into), 0..4);
    let partition = (any::<i16>(), any::<i32>(), any::<i32>(), replicas(), replicas()).prop_map(
        |(code, number, leader, replicas, in_sync)| {
            let one = theirs::MetadataResponsePartition::default().with_error_code(code);
            let one = one.with_partition_index(number).with_leader_id(leader.into());
            one.with_replica_nodes(replicas).with_isr_nodes(in_sync)
        },
    );
    let topics = topics(partition).prop_map(|topics| {
        let topic = |(name, partitions): (String, _)| {
            let topic = theirs::MetadataResponseTopic::default().with_name(Some(text(&name).into()));
            topic.with_partitions(partitions)
        };
        topics.into_iter().map(topic).collect()
    });
    (vec(broker, 0..4), topics)
        .prop_map(|(brokers, topics)| MetadataResponse::default().with_brokers(brokers).with_topics(topics))
}
