//! Metadata (3, `MetadataRequest.json`): the brokers of the cluster, and the partitions of topics
//! with their leaders.

use super::Request;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicId;

/// Topics have ids from this version on (KIP-516).
const TOPIC_IDS_SINCE: i16 = 10;
/// The rights of the client can be asked for from this version on (KIP-430).
const RIGHTS_SINCE: i16 = 8;

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
    /// Its id; `None` where the version does not have it (below 10, Kafka 2.8), or the cluster has none.
    pub id: Option<TopicId>,
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
    const HIGHEST: i16 = 10;
    const FLEXIBLE_SINCE: i16 = 9;
    const THROTTLES_SINCE: i16 = 6;
    type Answer = ClusterMetadata;

    fn write(&self, version: i16, out: &mut WireWriter) {
        if version >= Self::FLEXIBLE_SINCE {
            out.compact_list(self.topics.iter(), |out, topic| {
                if version >= TOPIC_IDS_SINCE {
                    out.uuid(0);
                }
                out.compact_string(topic);
                out.no_tagged_fields();
            });
        } else {
            out.list(self.topics.iter(), |out, topic| out.string(topic));
        }
        write_options(version, out);
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
    const FLEXIBLE_SINCE: i16 = Metadata::FLEXIBLE_SINCE;
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
    const FLEXIBLE_SINCE: i16 = Metadata::FLEXIBLE_SINCE;
    const THROTTLES_SINCE: i16 = Metadata::THROTTLES_SINCE;
    type Answer = ClusterMetadata;

    fn write(&self, version: i16, out: &mut WireWriter) {
        // A null list means all topics; in version 0 an empty list does.
        match version {
            0 => out.i32(0),
            Metadata::FLEXIBLE_SINCE.. => out.compact_null(),
            _ => out.i32(-1),
        }
        write_options(version, out);
    }

    fn read(version: i16, from: &mut WireReader<'_>) -> Result<ClusterMetadata, Malformed> {
        read(version, from)
    }

    fn cluster(answer: &ClusterMetadata) -> Option<&ClusterMetadata> {
        Some(answer)
    }
}

/// What follows the topics of a request.
fn write_options(version: i16, out: &mut WireWriter) {
    if version >= 4 {
        // A mistyped name must not create a topic.
        out.bool(false);
    }
    if version >= RIGHTS_SINCE {
        // Neither the rights to the cluster nor those to topics are asked for.
        out.bool(false);
        out.bool(false);
    }
    if version >= Metadata::FLEXIBLE_SINCE {
        out.no_tagged_fields();
    }
}

fn read(version: i16, from: &mut WireReader<'_>) -> Result<ClusterMetadata, Malformed> {
    if version >= 3 {
        let _throttled_ms = from.i32()?;
    }
    let is_flexible = version >= Metadata::FLEXIBLE_SINCE;
    let brokers = list(is_flexible, from, 10, |from| read_broker(version, from))?;
    let cluster_id = if version >= 2 { nullable_string(is_flexible, from)?.map(str::to_owned) } else { None };
    if version >= 1 {
        let _controller = from.i32()?;
    }
    let topics = list(is_flexible, from, 8, |from| read_topic(version, from))?;
    if version >= RIGHTS_SINCE {
        let _rights = from.i32()?;
    }
    end_structure(is_flexible, from)?;
    Ok(ClusterMetadata { cluster_id, brokers, topics })
}

fn read_broker(version: i16, from: &mut WireReader<'_>) -> Result<BrokerMetadata, Malformed> {
    let is_flexible = version >= Metadata::FLEXIBLE_SINCE;
    let node = from.i32()?;
    let broker = BrokerMetadata { node, host: string(is_flexible, from)?, port: from.i32()? };
    if version >= 1 {
        let _rack = nullable_string(is_flexible, from)?;
    }
    end_structure(is_flexible, from)?;
    Ok(broker)
}

fn read_topic(version: i16, from: &mut WireReader<'_>) -> Result<TopicMetadata, Malformed> {
    let is_flexible = version >= Metadata::FLEXIBLE_SINCE;
    let code = ErrorCode(from.i16()?);
    let name = string(is_flexible, from)?;
    let id = if version >= TOPIC_IDS_SINCE { TopicId::new(from.uuid()?) } else { None };
    if version >= 1 {
        let _internal = from.bool()?;
    }
    let partitions = list(is_flexible, from, 18, |from| read_partition(version, from))?;
    if version >= RIGHTS_SINCE {
        let _rights = from.i32()?;
    }
    end_structure(is_flexible, from)?;
    Ok(TopicMetadata { code, name, id, partitions })
}

fn read_partition(version: i16, from: &mut WireReader<'_>) -> Result<PartitionMetadata, Malformed> {
    let is_flexible = version >= Metadata::FLEXIBLE_SINCE;
    let code = ErrorCode(from.i16()?);
    let (number, leader) = (from.i32()?, from.i32()?);
    let epoch = if version >= 7 { from.i32()? } else { -1 };
    // The replicas, those in sync and the offline ones are not used here.
    for _ in 0..if version >= 5 { 3 } else { 2 } {
        list(is_flexible, from, 4, WireReader::i32)?;
    }
    end_structure(is_flexible, from)?;
    Ok(PartitionMetadata { code, number, leader, epoch })
}

fn list<'a, T>(
    is_flexible: bool,
    from: &mut WireReader<'a>,
    least: usize,
    item: impl FnMut(&mut WireReader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    if is_flexible { from.compact_list(least, item) } else { from.list(least, item) }
}

fn nullable_string<'a>(is_flexible: bool, from: &mut WireReader<'a>) -> Result<Option<&'a str>, Malformed> {
    if is_flexible { from.compact_nullable_string() } else { from.nullable_string() }
}

fn string(is_flexible: bool, from: &mut WireReader<'_>) -> Result<String, Malformed> {
    let text = if is_flexible { from.compact_string() } else { from.string() };
    text.map(str::to_owned)
}

fn end_structure(is_flexible: bool, from: &mut WireReader<'_>) -> Result<(), Malformed> {
    if is_flexible { from.skip_tagged_fields() } else { Ok(()) }
}
