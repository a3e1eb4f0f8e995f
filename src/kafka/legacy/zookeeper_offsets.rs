//! [`OffsetStore`] in ZooKeeper, by the `kafka` crate: without metadata, and only for brokers that use
//! ZooKeeper.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_crate::client::{CommitOffset, FetchGroupOffset, GroupOffsetStorage, KafkaClient};

use super::client::{LegacyClient, LegacyConnector};
use super::error::LegacyError;
use super::watchdog::Watchdog;
use crate::error::Fault;
use crate::kafka::cluster::Cluster;
use crate::kafka::group::offset_store::{HeldOffsets, OffsetStore, RefusedCommit};
use crate::kafka::protocol::messages::GenerationMember;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// The pause between the crate's own attempts. After its last attempt the crate returns at once, without a
/// pause, so commits get unlimited attempts.
const COMMIT_PAUSE: Duration = Duration::from_secs(1);
/// The attempts to fetch offsets in one call of the crate.
const FETCH_ATTEMPTS_MAX: u32 = 10;
/// How often offsets are fetched if ZooKeeper seems to have none at all: a broker that has just started
/// gives that answer, too.
const EMPTY_ANSWERS_MAX: u32 = 3;
const EMPTY_ANSWER_PAUSE: Duration = Duration::from_millis(200);

/// See the module.
pub(in crate::kafka) struct ZookeeperOffsets {
    connector: LegacyConnector,
    group: String,
    /// The topics whose metadata a new client must load.
    topics: Vec<String>,
    client: Option<LegacyClient>,
}

impl ZookeeperOffsets {
    pub(in crate::kafka) fn new(cluster: Cluster, group: &str) -> Self {
        // The isolation level matters for records only.
        let cluster = Cluster { read_committed: false, ..cluster };
        Self {
            connector: LegacyConnector::new(cluster, 0),
            group: group.to_owned(),
            topics: Vec::new(),
            client: None,
        }
    }

    /// Calls into the crate; after any error the client is dropped.
    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut LegacyClient) -> Result<T, LegacyError>,
    ) -> Result<T, Fault> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        let answer = call(&mut client).map_err(|error| Fault::Retry(error.text()))?;
        self.client = Some(client);
        Ok(answer)
    }

    fn connect(&mut self) -> Result<LegacyClient, Fault> {
        let mut client = self.connector.connect(&Arc::new(Watchdog::new()))?;
        let set = |kafka: &mut KafkaClient| {
            kafka.set_group_offset_storage(Some(GroupOffsetStorage::Zookeeper));
            Ok(())
        };
        let prepared = client.call(set).and_then(|()| client.load_metadata(&self.topics));
        prepared.map_err(|error| Fault::Retry(error.text()))?;
        self.connector.confirm();
        Ok(client)
    }

    /// The offsets in ZooKeeper; -1 where there is none.
    fn ask(&mut self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, i64>, Fault> {
        let group = self.group.clone();
        let asked = partitions.iter().map(|one| FetchGroupOffset::new(&one.topic, one.partition));
        let asked: Vec<FetchGroupOffset<'_>> = asked.collect();
        let ask = |kafka: &mut KafkaClient| {
            kafka.set_retry_max_attempts(FETCH_ATTEMPTS_MAX);
            kafka.set_retry_backoff_time(COMMIT_PAUSE);
            kafka.fetch_group_offsets(&group, &asked)
        };
        let answered = self.call(|client| client.call(ask))?;
        let named = answered.into_iter().flat_map(|(topic, partitions)| {
            let name = move |number| TopicPartition::new(topic.as_str(), number);
            partitions.into_iter().map(move |one| (name(one.partition), one.offset))
        });
        Ok(named.collect())
    }
}

impl OffsetStore for ZookeeperOffsets {
    fn partitions(&mut self, topics: &[String]) -> Result<Vec<Result<Vec<i32>, String>>, Fault> {
        self.topics = topics.to_vec();
        self.call(|client| {
            client.load_metadata(topics)?;
            let numbers =
                |topic: &String| (0..i32::try_from(client.partitions(topic)).unwrap_or(i32::MAX)).collect();
            Ok(topics.iter().map(|topic| Ok(numbers(topic))).collect())
        })
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<HeldOffsets, Fault> {
        let mut offsets = self.ask(partitions)?;
        for _ in 1..EMPTY_ANSWERS_MAX {
            if offsets.values().any(|offset| *offset >= 0) {
                break;
            }
            std::thread::sleep(EMPTY_ANSWER_PAUSE);
            offsets = self.ask(partitions)?;
        }
        let held = partitions.iter().map(|partition| {
            let held = match offsets.get(partition) {
                Some(offset) => {
                    Ok((Some(*offset).filter(|offset| *offset >= 0), OffsetMetadata::Unsupported))
                }
                None => Err(Fault::Retry(format!(
                    "the broker left the group's offset of {partition} out of its answer"
                ))),
            };
            (partition.clone(), held)
        });
        Ok(held.collect())
    }

    /// ZooKeeper knows no members.
    fn commit(
        &mut self,
        _member: GenerationMember<'_>,
        offsets: &[Commit],
    ) -> Result<Vec<RefusedCommit>, Fault> {
        let group = self.group.clone();
        let offsets = offsets
            .iter()
            .map(|one| CommitOffset::new(&one.partition.topic, one.partition.partition, one.offset));
        let offsets: Vec<CommitOffset<'_>> = offsets.collect();
        let commit = |kafka: &mut KafkaClient| {
            kafka.set_retry_max_attempts(u32::MAX);
            kafka.set_retry_backoff_time(COMMIT_PAUSE);
            kafka.commit_offsets(&group, &offsets)
        };
        self.call(|client| client.call(commit)).map(|()| Vec::new())
    }
}
