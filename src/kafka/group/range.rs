//! The `range` assignor, with the same result as `RangeAssignor` of the Java client and `range` of
//! librdkafka. Pure.
//!
//! For each topic its subscribers are sorted, and each gets consecutive partitions; if the partitions
//! cannot be divided evenly, the first subscribers get one more.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::record::TopicPartition;

/// One member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RangeMember {
    /// The member id.
    pub(super) id: String,
    /// The `group.instance.id` of a static member.
    pub(super) instance: Option<String>,
    /// The topics that the member subscribes to.
    pub(super) topics: Vec<String>,
}

impl RangeMember {
    /// Static members come first, ordered by instance id, so that a restart does not change the
    /// assignment. Strings are compared as Java compares them, by UTF-16 units.
    fn order(&self, other: &Self) -> Ordering {
        let by = |one: &str, other: &str| one.encode_utf16().cmp(other.encode_utf16());
        match (&self.instance, &other.instance) {
            (Some(one), Some(other)) => by(one, other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => by(&self.id, &other.id),
        }
    }
}

/// Assigns partitions to members. `counts` has the number of partitions of each topic; a topic that is
/// missing there is not assigned. Every member has an entry in the result, even an empty one.
pub(super) fn assign_ranges(
    members: &[RangeMember],
    counts: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut ranges: BTreeMap<String, Vec<TopicPartition>> =
        members.iter().map(|one| (one.id.clone(), Vec::new())).collect();
    for (topic, count) in counts {
        let mut wanting: Vec<&RangeMember> =
            members.iter().filter(|one| one.topics.contains(topic)).collect();
        wanting.sort_by(|one, other| one.order(other));
        if wanting.is_empty() {
            continue;
        }
        let (each, more) = (count / wanting.len(), count % wanting.len());
        let mut numbers = 0i32..;
        for (place, member) in wanting.into_iter().enumerate() {
            let length = each + usize::from(place < more);
            let run = numbers.by_ref().take(length).map(|one| TopicPartition::new(topic.as_str(), one));
            ranges.entry(member.id.clone()).or_default().extend(run);
        }
    }
    ranges
}

#[cfg(test)]
mod tests;
