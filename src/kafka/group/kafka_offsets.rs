//! [`OffsetStore`] in Kafka, by the native client: Metadata requests give the partitions, and the
//! group's coordinator keeps the offsets. The client is no member of the group.

use super::offset_store::{HeldOffsets, OffsetStore};
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::group_offsets::{Answers, CommittedOffset, GroupOffsets};
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::metadata::TopicMetadata;
use crate::kafka::protocol::messages::{GenerationMember, Metadata};
use crate::kafka::protocol::refusal::Refusal;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// See the module.
pub(in crate::kafka) struct KafkaOffsets {
    group: String,
    brokers: Brokers,
    commits: GroupOffsets,
}

impl KafkaOffsets {
    pub(in crate::kafka) fn new(cluster: &Cluster, group: &str) -> Self {
        Self {
            group: group.to_owned(),
            brokers: Brokers::new(&cluster.brokers, cluster.dialer()),
            commits: GroupOffsets::new(group),
        }
    }

    fn refused(&self, partition: &TopicPartition, refusal: Refusal) -> Fault {
        if refusal == Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID) {
            return Fault::Retry(format!(
                "the offset of {partition} cannot be committed: the group '{}' has live members, and refuses \
                 commits of others; stop the other consumers or use another kafka['group']",
                self.group
            ));
        }
        refusal.fault(&format!("commit the offset of {partition} to the group '{}'", self.group))
    }
}

impl OffsetStore for KafkaOffsets {
    fn partitions(&mut self, topics: &[String]) -> Result<Vec<Result<Vec<i32>, String>>, Fault> {
        let found = self.brokers.ask(&Metadata { topics })?.topics;
        let of = |topic: &String| match found.iter().find(|one| one.name == *topic) {
            Some(TopicMetadata { code: ErrorCode::NONE, partitions, .. }) => {
                let mut numbers: Vec<i32> = partitions.iter().map(|one| one.number).collect();
                numbers.sort_unstable();
                numbers.dedup();
                Ok(numbers)
            }
            Some(TopicMetadata {
                code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::LEADER_NOT_AVAILABLE,
                ..
            })
            | None => Ok(Vec::new()),
            Some(TopicMetadata { code, .. }) => {
                Err(format!("cannot read the metadata of the topic {topic}: Kafka answers {code}"))
            }
        };
        Ok(topics.iter().map(of).collect())
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<HeldOffsets, Fault> {
        let answers = self.commits.committed(&mut self.brokers, partitions)?;
        Ok(held_of(&self.group, answers))
    }

    fn commit(&mut self, offsets: &[Commit]) -> Result<Vec<(TopicPartition, Fault)>, Fault> {
        let answers = self.commits.commit(&mut self.brokers, GenerationMember::NONE, offsets)?;
        let refused = answers.into_iter().filter_map(|(partition, answer)| {
            let fault = self.refused(&partition, answer.err()?);
            Some((partition, fault))
        });
        Ok(refused.collect())
    }
}

/// The coordinator's answers about a group's offsets, with refusals as faults.
pub(super) fn held_of(group: &str, answers: Answers<Option<CommittedOffset>>) -> HeldOffsets {
    let held = answers.into_iter().map(|(partition, answer)| {
        let held = match answer {
            Ok(Some(committed)) => Ok((Some(committed.offset), OffsetMetadata::Text(committed.metadata))),
            Ok(None) => Ok((None, OffsetMetadata::Text(String::new()))),
            Err(refusal) => {
                Err(refusal.fault(&format!("ask for the offset of {partition} in the group '{group}'")))
            }
        };
        (partition, held)
    });
    held.collect()
}
