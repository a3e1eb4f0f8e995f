//! What an operator asks about the partitions and the offsets of a group while nobody reads for it, and the
//! setting of offsets as every other tool sets them: without metadata.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::address::BrokerAddress;
use super::client::brokers::Brokers;
use super::client::connection::{Connection, ConnectionLimits};
use super::cluster::Cluster;
use super::fetch::leader_queries::{LeaderQueries, QueryError, withheld};
use super::group::kafka_offsets::KafkaOffsets;
use super::group::offset_store::{OffsetStorage, OffsetStore};
use super::legacy::zookeeper_offsets::ZookeeperOffsets;
use super::protocol::messages::list_offsets::OffsetSpec;
use super::protocol::messages::{GenerationMember, Isolation, Metadata};
use super::protocol::records::Scratch;
use super::seam::{StartBasis, StartOffset};
use crate::error::Fault;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// The log of a partition, and the offset in it that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The first offset.
    pub first: i64,
    /// The end: the offset of the next record.
    pub end: i64,
    /// The offset that was asked for.
    pub target: i64,
    /// How it was found.
    pub basis: StartBasis,
}

/// Asks and sets. Each call is one attempt, which several connections may delay by `patience` each.
pub struct GroupOperator {
    brokers: Brokers,
    store: Box<dyn OffsetStore>,
    isolation: Isolation,
    leaders: BTreeMap<TopicPartition, (BrokerAddress, i32)>,
    connections: BTreeMap<BrokerAddress, Connection>,
    scratch: Scratch,
}

impl GroupOperator {
    /// For this group. Connects to nothing yet.
    pub fn new(cluster: &Cluster, group: &str, storage: OffsetStorage, patience: Duration) -> Self {
        let limits =
            ConnectionLimits { connect_timeout: patience, answer_timeout: patience, ..cluster.limits() };
        let brokers = Brokers::new(&cluster.brokers, cluster.dialer().with_limits(limits));
        let store: Box<dyn OffsetStore> = match storage {
            OffsetStorage::Kafka => Box::new(KafkaOffsets::over(brokers.with_own_connections(limits), group)),
            OffsetStorage::ZooKeeper => Box::new(ZookeeperOffsets::new(cluster.clone(), group)),
        };
        let isolation =
            if cluster.read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
        let (leaders, connections) = (BTreeMap::new(), BTreeMap::new());
        Self { brokers, store, isolation, leaders, connections, scratch: Scratch::default() }
    }

    /// The partitions of the topic, in order; none if the topic is unknown.
    ///
    /// # Errors
    /// The brokers do not answer, or refuse.
    pub fn partitions(&mut self, topic: &str) -> Result<Vec<TopicPartition>, Fault> {
        let names = [topic.to_owned()];
        let numbers = self.store.partitions(&names)?.pop().unwrap_or_else(|| Ok(Vec::new()));
        let numbers = numbers.map_err(Fault::Retry)?;
        let metadata = self.brokers.ask(&Metadata { topics: &names })?;
        let address = |node: i32| {
            let broker = metadata.brokers.iter().find(|one| one.node == node)?;
            BrokerAddress::new(&broker.host, broker.port)
        };
        for found in metadata.topics.iter().filter(|found| found.name == topic) {
            for one in &found.partitions {
                if let Some(address) = address(one.leader) {
                    self.leaders.insert(TopicPartition::new(topic, one.number), (address, one.epoch));
                }
            }
        }
        Ok(numbers.into_iter().map(|number| TopicPartition::new(topic, number)).collect())
    }

    /// The bounds of a partition's log, and the offset at which reading from `start` on begins.
    ///
    /// # Errors
    /// The partition has no leader, or its leader does not answer or refuses.
    pub fn look_up(&mut self, partition: &TopicPartition, start: &StartOffset) -> Result<FoundOffset, Fault> {
        let Some((leader, epoch)) = self.leaders.get(partition).cloned() else {
            return Err(Fault::Retry(format!("{partition}: no broker leads it now")));
        };
        let mut connection = match self.connections.remove(&leader) {
            Some(connection) => connection,
            None => self.brokers.open(&leader).map_err(Fault::Retry)?,
        };
        let scratch = &mut self.scratch;
        let mut queries = LeaderQueries { connection: &mut connection, partition, epoch, scratch };
        let found = look_up(&mut queries, start, self.isolation).map_err(|error| match error {
            QueryError::Lost(fault) => fault,
            QueryError::Code(code) => Fault::Retry(format!("{partition}: Kafka answers {code}")),
            QueryError::Records(why) => Fault::Retry(format!("{partition}: {why}")),
            QueryError::Withheld(time) => Fault::Retry(format!("{partition}: {}", withheld(time))),
        })?;
        self.connections.insert(leader, connection);
        Ok(found)
    }

    /// The group's offsets of these partitions, in their order.
    ///
    /// # Errors
    /// The group cannot be asked, or refuses for one of the partitions.
    pub fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(Option<i64>, OffsetMetadata)>, Fault> {
        self.store.committed(partitions)?.into_iter().map(|(_, held)| held).collect()
    }

    /// Sets these offsets of the group in one commit, as no member and without metadata.
    ///
    /// # Errors
    /// The group refuses one of them; others may be set. Or the answer did not come.
    pub fn set(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), Fault> {
        let commit = |(partition, offset): &(TopicPartition, i64)| Commit {
            partition: partition.clone(),
            offset: *offset,
            metadata: String::new(),
        };
        let commits: Vec<Commit> = offsets.iter().map(commit).collect();
        match self.store.commit(GenerationMember::NONE, &commits)?.into_iter().next() {
            Some(refused) => Err(refused.fault),
            None => Ok(()),
        }
    }
}

fn look_up(
    leader: &mut LeaderQueries<'_>,
    start: &StartOffset,
    isolation: Isolation,
) -> Result<FoundOffset, QueryError> {
    let all = Isolation::ReadUncommitted;
    let first = leader.offset(OffsetSpec::First, all)?;
    let (target, basis) = match start {
        StartOffset::At(offset, _) => (*offset, StartBasis::Bound),
        StartOffset::Earliest => (first, StartBasis::Bound),
        StartOffset::Latest => (leader.offset(OffsetSpec::Next, isolation)?, StartBasis::Bound),
        StartOffset::Since(since) => leader.since(*since, isolation)?,
    };
    // The end is asked last, so that it is not below the target.
    Ok(FoundOffset { first, end: leader.offset(OffsetSpec::Next, all)?, target, basis })
}
