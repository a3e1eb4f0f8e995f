//! Who leads which partition, as brokers say. A broker that is cut off from its cluster goes on to say what
//! was true before, so not every answer is believed. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::kafka::client::address::BrokerAddress;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::ClusterMetadata;
use crate::record::{TopicId, TopicPartition};

/// From so many brokers on there are two that can contradict a third.
const CONTRADICTED_SINCE: usize = 3;
/// How often one broker must repeat a doubt, and no other broker say anything, until it is believed.
const DOUBT_REPEATS: u32 = 5;

/// The leader of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) address: BrokerAddress,
    /// The leader epoch; -1 if it is not known.
    pub(super) epoch: i32,
    /// The id of the topic, if it is known. Epochs count within one topic.
    pub(super) topic: Option<TopicId>,
}

/// A leader that is believed.
#[derive(Debug, Clone)]
struct KnownLeader {
    leader: Leader,
    /// The highest epoch of a leader that was given up for one whose epoch nobody has told; otherwise -1.
    superseded: i32,
}

/// Another leader, which may be out of date.
#[derive(Debug)]
struct Doubt {
    said_by: BrokerAddress,
    leader: Leader,
    /// How often in a row this broker has said so.
    repeats: u32,
}

/// The leaders that are believed.
#[derive(Debug, Default)]
pub(super) struct KnownLeaders {
    leaders: HashMap<TopicPartition, KnownLeader>,
    /// These are believed once another broker says so, too, or none says anything else for some runs.
    doubts: HashMap<TopicPartition, Doubt>,
}

impl Leader {
    /// Whether both are the same, as far as the epochs and the ids of the topic are known.
    fn agrees_with(&self, other: &Leader) -> bool {
        self.address == other.address
            && (self.epoch == other.epoch || self.epoch < 0 || other.epoch < 0)
            && !self.is_of_another_topic(other.topic)
    }

    /// Whether the topic was created again, as far as the ids are known.
    fn is_of_another_topic(&self, topic: Option<TopicId>) -> bool {
        topic.is_some_and(|topic| self.topic.is_some_and(|own| own != topic))
    }
}

impl KnownLeaders {
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<&Leader> {
        self.leaders.get(partition).map(|known| &known.leader)
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
                let leader = address.map(|address| Leader { address, epoch: one.epoch, topic: topic.id });
                let is_read = is_read(&partition);
                self.take_one(&partition, (leader, one.epoch, topic.id), (said_by, nodes.len()), is_read);
                said.insert(partition);
            }
        }
        // Partitions that the broker does not name have no leader that could be asked.
        let is_gone = |one: &TopicPartition| topics.contains(&one.topic) && !said.contains(one);
        self.leaders.retain(|one, _| !is_gone(one));
        self.doubts.retain(|one, _| !is_gone(one));
    }

    /// The leader, if the partition has one, the epoch, and the id of the topic.
    fn take_one(
        &mut self,
        partition: &TopicPartition,
        (leader, epoch, topic): (Option<Leader>, i32, Option<TopicId>),
        (said_by, brokers): (&BrokerAddress, usize),
        is_read: bool,
    ) {
        let Some(known) = self.leaders.get(partition) else {
            if let Some(leader) = leader {
                self.leaders.insert(partition.clone(), KnownLeader { leader, superseded: -1 });
            }
            return;
        };
        let KnownLeader { leader: present, mut superseded } = known.clone();
        let is_doubtful = is_doubtful(known, (leader.as_ref(), epoch, topic), brokers, is_read);
        if is_doubtful && !self.is_confirmed(partition, leader.as_ref(), said_by) {
            return;
        }
        self.doubts.remove(partition);
        let Some(mut leader) = leader else { return drop(self.leaders.remove(partition)) };
        if leader.agrees_with(&present) {
            // While brokers are upgraded, only some tell the epoch.
            leader.epoch = leader.epoch.max(present.epoch);
            leader.topic = leader.topic.or(present.topic);
        } else if leader.epoch < 0 {
            superseded = superseded.max(present.epoch);
        }
        if leader.epoch >= 0 {
            superseded = -1;
        }
        self.leaders.insert(partition.clone(), KnownLeader { leader, superseded });
    }

    /// Whether a doubt counts now. Otherwise it is kept until another broker says the same.
    fn is_confirmed(
        &mut self,
        partition: &TopicPartition,
        leader: Option<&Leader>,
        said_by: &BrokerAddress,
    ) -> bool {
        // A partition without a leader is read on from the one that leads no more.
        let Some(leader) = leader else { return false };
        let repeats = match self.doubts.get(partition) {
            Some(doubt) if doubt.leader.agrees_with(leader) && doubt.said_by != *said_by => return true,
            Some(doubt) if doubt.leader == *leader => doubt.repeats + 1,
            _ => 1,
        };
        let (said_by, leader) = (said_by.clone(), leader.clone());
        self.doubts.insert(partition.clone(), Doubt { said_by, leader, repeats });
        // Each other broker would have confirmed or ended the doubt by its answer.
        repeats >= DOUBT_REPEATS
    }

    fn forget(&mut self, topic: &Arc<str>) {
        self.leaders.retain(|one, _| one.topic != *topic);
        self.doubts.retain(|one, _| one.topic != *topic);
    }
}

/// Whether a broker may say what was true before. It names this leader, if any, this epoch and this topic.
fn is_doubtful(
    known: &KnownLeader,
    (leader, epoch, topic): (Option<&Leader>, i32, Option<TopicId>),
    brokers: usize,
    is_read: bool,
) -> bool {
    if known.leader.is_of_another_topic(topic) {
        // Nothing shows which of the two is the later one.
        return is_read && brokers > 1;
    }
    let lacks_epoch = |leader: &&Leader| leader.epoch < 0 || known.leader.epoch < 0;
    if leader.filter(lacks_epoch).is_some_and(|leader| leader.agrees_with(&known.leader)) {
        return false;
    }
    match (epoch, known.leader.epoch) {
        // The epochs count up. Only those of a topic that was created again are lower.
        (0.., 0..) => epoch < known.leader.epoch && brokers > 1,
        // A broker that does not tell the epoch has named a later leader.
        (0.., _) if epoch <= known.superseded => is_read && brokers > 1,
        // Brokers before Kafka 2.1 do not tell the epoch, so two of three must say the same.
        _ => is_read && brokers >= CONTRADICTED_SINCE && leader != Some(&known.leader),
    }
}

#[cfg(test)]
mod tests;
