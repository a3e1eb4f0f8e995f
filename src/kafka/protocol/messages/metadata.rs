//! Metadata (3, `MetadataRequest.json`): the brokers of the cluster, and the partitions of topics
//! with their leaders.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};

/// The request. Before version 4 (Kafka 0.11) the broker may create a topic that is named here;
/// later versions forbid that.
#[derive(Debug, Clone, Copy)]
pub struct Metadata<'a> {
    /// The topics. Never empty, because an empty list means all topics in version 0.
    pub topics: &'a [String],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMetadata {
    /// The id of the cluster; `None` where the version does not have it (below 2, Kafka 0.10.1).
    pub cluster_id: Option<String>,
    /// The brokers that are up.
    pub brokers: Vec<BrokerMetadata>,
    /// The requested topics.
    pub topics: Vec<TopicMetadata>,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerMetadata {
    /// Its id in the cluster.
    pub node: i32,
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: i32,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Whether the topic exists.
    pub code: ErrorCode,
    /// Its name.
    pub name: String,
    /// Its partitions, in any order.
    pub partitions: Vec<PartitionMetadata>,
}

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Whether the partition has a leader.
    pub code: ErrorCode,
    /// Its number, from 0.
    pub number: i32,
    /// The id of the broker that leads it; -1 if none does.
    pub leader: i32,
    /// The leader epoch; -1 where the version does not have it.
    pub epoch: i32,
}

impl Request for Metadata<'_> {
    const KEY: i16 = 3;
    const NAME: &'static str = "Metadata";
    const LOWEST: i16 = 0;
    const HIGHEST: i16 = 7;
    const THROTTLES_SINCE: i16 = 6;
    type Answer = ClusterMetadata;

    fn write(&self, version: i16, out: &mut WireWriter) {
        out.list(self.topics.iter(), |out, topic| out.string(topic));
        if version >= 4 {
            // A mistyped name must not create a topic.
            out.bool(false);
        }
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<ClusterMetadata, Malformed> {
        read(version, from)
    }

    fn cluster(answer: &ClusterMetadata) -> Option<&ClusterMetadata> {
        Some(answer)
    }
}

/// The Metadata request for no topic: which cluster a broker belongs to.
#[derive(Debug, Clone, Copy)]
pub struct ClusterOnly;

impl Request for ClusterOnly {
    const KEY: i16 = Metadata::KEY;
    const NAME: &'static str = Metadata::NAME;
    /// Before version 1 an empty list means all topics, and before version 2 there is no cluster id.
    const LOWEST: i16 = 2;
    const HIGHEST: i16 = Metadata::HIGHEST;
    const THROTTLES_SINCE: i16 = Metadata::THROTTLES_SINCE;
    type Answer = ClusterMetadata;

    fn write(&self, version: i16, out: &mut WireWriter) {
        Metadata { topics: &[] }.write(version, out);
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<ClusterMetadata, Malformed> {
        read(version, from)
    }

    fn cluster(answer: &ClusterMetadata) -> Option<&ClusterMetadata> {
        Some(answer)
    }
}

/// The Metadata request for all topics.
#[derive(Debug, Clone, Copy)]
pub struct AllTopics;

impl Request for AllTopics {
    const KEY: i16 = Metadata::KEY;
    const NAME: &'static str = Metadata::NAME;
    const LOWEST: i16 = Metadata::LOWEST;
    const HIGHEST: i16 = Metadata::HIGHEST;
    const THROTTLES_SINCE: i16 = Metadata::THROTTLES_SINCE;
    type Answer = ClusterMetadata;

    fn write(&self, version: i16, out: &mut WireWriter) {
        // A null list means all topics; in version 0 an empty list does.
        out.i32(if version == 0 { 0 } else { -1 });
        if version >= 4 {
            out.bool(false);
        }
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<ClusterMetadata, Malformed> {
        read(version, from)
    }

    fn cluster(answer: &ClusterMetadata) -> Option<&ClusterMetadata> {
        Some(answer)
    }
}

fn read(version: i16, from: &mut WireReader<'_>) -> Result<ClusterMetadata, Malformed> {
    if version >= 3 {
        let _throttled_ms = from.i32()?;
    }
    let brokers = from.list(10, |from| read_broker(version, from))?;
    let cluster_id = if version >= 2 { from.nullable_string()?.map(str::to_owned) } else { None };
    if version >= 1 {
        let _controller = from.i32()?;
    }
    let topics = from.list(8, |from| read_topic(version, from))?;
    Ok(ClusterMetadata { cluster_id, brokers, topics })
}

fn read_broker(version: i16, from: &mut WireReader<'_>) -> Result<BrokerMetadata, Malformed> {
    let broker = BrokerMetadata { node: from.i32()?, host: from.string()?.to_owned(), port: from.i32()? };
    if version >= 1 {
        let _rack = from.nullable_string()?;
    }
    Ok(broker)
}

fn read_topic(version: i16, from: &mut WireReader<'_>) -> Result<TopicMetadata, Malformed> {
    let code = ErrorCode(from.i16()?);
    let name = from.string()?.to_owned();
    if version >= 1 {
        let _internal = from.bool()?;
    }
    let partitions = from.list(18, |from| read_partition(version, from))?;
    Ok(TopicMetadata { code, name, partitions })
}

fn read_partition(version: i16, from: &mut WireReader<'_>) -> Result<PartitionMetadata, Malformed> {
    let code = ErrorCode(from.i16()?);
    let (number, leader) = (from.i32()?, from.i32()?);
    let epoch = if version >= 7 { from.i32()? } else { -1 };
    // The replicas, those in sync and the offline ones are not used here.
    for _ in 0..if version >= 5 { 3 } else { 2 } {
        from.list(4, WireReader::i32)?;
    }
    Ok(PartitionMetadata { code, number, leader, epoch })
}
