//! The requests and their answers, one file each: how each supported version is written and read.

pub mod api_versions;
pub mod describe_groups;
pub mod epoch_ends;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_fetch;
pub mod sync_group;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::wire::{Malformed, WireReader, WireWriter};
use crate::record::TopicPartition;

pub use api_versions::ApiVersions;
pub use describe_groups::DescribeGroups;
pub use epoch_ends::EpochEnds;
pub use fetch::Fetch;
pub use find_coordinator::FindCoordinator;
pub use heartbeat::Heartbeat;
pub use join_group::JoinGroup;
pub use leave_group::LeaveGroup;
pub use list_groups::ListGroups;
pub use list_offsets::{ListOffsets, SegmentOffsets};
pub use metadata::{AllTopics, ClusterMetadata, ClusterOnly, Metadata};
pub use offset_commit::OffsetCommit;
pub use offset_fetch::OffsetFetch;
pub use sync_group::SyncGroup;

/// A request, and how its answer is read.
pub trait Request {
    /// The number of the request (API key).
    const KEY: i16;
    /// Its name in the protocol.
    const NAME: &'static str;
    /// The lowest version that is written here. It is sent to Kafka 0.9, which cannot be asked for
    /// its versions.
    const LOWEST: i16;
    /// The highest version that is written here.
    const HIGHEST: i16;
    /// From this version on the request is flexible (KIP-482): its header, and that of its answer, end with
    /// tagged fields.
    const FLEXIBLE_SINCE: i16 = i16::MAX;
    /// From this version on a broker answers before it throttles the client for its quota (KIP-219): the
    /// answer begins with the time for which nothing more should be sent, in milliseconds.
    const THROTTLES_SINCE: i16 = i16::MAX;
    /// The content of the answer.
    type Answer;

    /// Appends the body of the request.
    fn write(&self, version: i16, out: &mut WireWriter);

    /// Reads the body of the answer.
    ///
    /// # Errors
    /// The bytes are not an answer to this request in this version.
    fn read(version: i16, from: &mut WireReader<'_>) -> Result<Self::Answer, Malformed>;

    /// What an answer says of the whole cluster, if that is what is asked for.
    fn cluster(_answer: &Self::Answer) -> Option<&ClusterMetadata> {
        None
    }
}

/// Which records of transactions a broker delivers (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All records.
    ReadUncommitted,
    /// No records of transactions that are still open. Records of aborted transactions are delivered, and
    /// the answer lists the aborted transactions.
    ReadCommitted,
}

impl Isolation {
    fn level(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// The sender of a request: a member in a generation of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationMember<'a> {
    /// The generation of the group.
    pub generation: i32,
    /// The member id that the coordinator gave.
    pub id: &'a str,
    /// The `group.instance.id` of a static member (KIP-345). Sent where the version has it.
    pub instance: Option<&'a str>,
}

impl GenerationMember<'static> {
    /// No member. The coordinator accepts it while the group has no members.
    pub const NONE: Self = Self { generation: -1, id: "", instance: None };
}

/// Writes a list of topics, each with the list of its items. Topics and items keep the order in
/// which they are given.
fn write_topics<'a, T>(
    out: &mut WireWriter,
    items: &'a [T],
    partition: impl Fn(&'a T) -> &'a TopicPartition,
    mut item: impl FnMut(&mut WireWriter, &'a T),
) {
    let mut topics: Vec<(&str, Vec<&T>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for one in items {
        let topic: &str = &partition(one).topic;
        let place = *places.entry(topic).or_insert(topics.len());
        match topics.get_mut(place) {
            Some((_, items)) => items.push(one),
            None => topics.push((topic, vec![one])),
        }
    }
    out.list(topics.into_iter(), |out, (topic, items)| {
        out.string(topic);
        out.list(items.into_iter(), &mut item);
    });
}

/// Reads a list of topics, each with a list of items. An item begins with the partition's number
/// and takes at least `least` bytes. All items come back in one list.
fn read_topics<T>(
    from: &mut WireReader<'_>,
    least: usize,
    mut item: impl FnMut(&mut WireReader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<(TopicPartition, T)>, Malformed> {
    let mut all = Vec::new();
    from.list(6, |from| {
        let topic: Arc<str> = from.string()?.into();
        from.list(least, |from| {
            let partition = TopicPartition::new(Arc::clone(&topic), from.i32()?);
            all.push((partition, item(from)?));
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(all)
}
