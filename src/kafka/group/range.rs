//! Who gets what: the `range` way of sharing out, with the same result as the Java
//! client's `RangeAssignor` and librdkafka's. Pure.
//!
//! Topic by topic, the members that want it are put in order, and each gets a run of
//! partitions; the first ones get one more where it does not come out even.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::record::TopicPartition;

/// One member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RangeMember {
    /// The name that the coordinator gave.
    pub(super) id: String,
    /// The name that a static member gave itself.
    pub(super) instance: Option<String>,
    /// The topics that it wants.
    pub(super) topics: Vec<String>,
}

impl RangeMember {
    /// Static members come first, by their own names, so that a restart changes nothing;
    /// names are ordered as Java orders them.
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

/// Shares out. `counts` says how many partitions a topic has; one that is not there is
/// nobody's. Every member has an entry, be it empty.
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
