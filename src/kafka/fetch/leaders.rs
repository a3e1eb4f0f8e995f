//! Who leads which partition, as brokers say. A broker that is cut off from its cluster goes on to say what
//! was true before, so not every answer is believed. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::kafka::client::address::BrokerAddress;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::ClusterMetadata;
use crate::record::TopicPartition;

/// From so many brokers on there are two that can contradict a third.
const CONTRADICTED_SINCE: usize = 3;

/// The leader of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) address: BrokerAddress,
    /// The leader epoch; -1 if it is not known.
    pub(super) epoch: i32,
}

/// The leaders that are believed.
#[derive(Debug, Default)]
pub(super) struct KnownLeaders {
    leaders: HashMap<TopicPartition, Leader>,
    /// What may be out of date, and which broker says so. It is believed once another broker says so, too.
    doubts: HashMap<TopicPartition, (BrokerAddress, Leader)>,
}

impl KnownLeaders {
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<&Leader> {
        self.leaders.get(partition)
    }

    /// Whether another broker should be asked soon.
    pub(super) fn has_doubts(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// Forgets the doubts of topics that are not read any more: nobody asks for these.
    pub(super) fn forget_doubts_but(&mut self, topics: &BTreeSet<Arc<str>>) {
        self.doubts.retain(|one, _| topics.contains(&one.topic));
    }

    /// Takes what the broker `said_by` says of these topics. `is_read`: the partition is read from its
    /// leader, and that leader answers.
    pub(super) fn take(
        &mut self,
        metadata: &ClusterMetadata,
        topics: &BTreeSet<Arc<str>>,
        said_by: &BrokerAddress,
        is_read: &dyn Fn(&TopicPartition) -> bool,
    ) {
        let nodes: BTreeMap<i32, BrokerAddress> = metadata
            .brokers
            .iter()
            .filter_map(|one| Some((one.node, BrokerAddress::new(&one.host, one.port)?)))
            .collect();
        let mut said = BTreeSet::new();
        for topic in &metadata.topics {
            let Some(name) = topics.get(topic.name.as_str()) else { continue };
            if topic.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                // The epochs of a topic that is created again begin anew.
                self.forget(name);
            }
            for one in &topic.partitions {
                let partition = TopicPartition::new(Arc::clone(name), one.number);
                let address = nodes.get(&one.leader).cloned();
                let leader = address.map(|address| Leader { address, epoch: one.epoch });
                let is_read = is_read(&partition);
                self.take_one(&partition, (leader, one.epoch), (said_by, nodes.len()), is_read);
                said.insert(partition);
            }
        }
        // Partitions that the broker does not name have no leader that could be asked.
        let is_gone = |one: &TopicPartition| topics.contains(&one.topic) && !said.contains(one);
        self.leaders.retain(|one, _| !is_gone(one));
        self.doubts.retain(|one, _| !is_gone(one));
    }

    /// `said`: the leader, if the partition has one, and the epoch.
    fn take_one(
        &mut self,
        partition: &TopicPartition,
        (leader, epoch): (Option<Leader>, i32),
        (said_by, brokers): (&BrokerAddress, usize),
        is_read: bool,
    ) {
        let Some(known) = self.leaders.get(partition) else {
            if let Some(leader) = leader {
                self.leaders.insert(partition.clone(), leader);
            }
            return;
        };
        let is_doubtful = match epoch {
            // The epochs count up. Only those of a topic that was created again are lower.
            0.. if known.epoch >= 0 => epoch < known.epoch && brokers > 1,
            // Brokers before Kafka 2.1 do not tell the epoch, so two of three must say the same.
            _ => is_read && brokers >= CONTRADICTED_SINCE && leader.as_ref() != Some(known),
        };
        let confirms = |(first, doubt): &(BrokerAddress, Leader)| {
            first != said_by && leader.as_ref().is_some_and(|leader| *leader == *doubt)
        };
        if is_doubtful && !self.doubts.get(partition).is_some_and(confirms) {
            // A partition without a leader is read on from the one that leads no more.
            if let Some(leader) = leader {
                self.doubts.insert(partition.clone(), (said_by.clone(), leader));
            }
            return;
        }
        self.doubts.remove(partition);
        match leader {
            Some(leader) => drop(self.leaders.insert(partition.clone(), leader)),
            None => drop(self.leaders.remove(partition)),
        }
    }

    fn forget(&mut self, topic: &Arc<str>) {
        self.leaders.retain(|one, _| one.topic != *topic);
        self.doubts.retain(|one, _| one.topic != *topic);
    }
}

#[cfg(test)]
mod tests;
