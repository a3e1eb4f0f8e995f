//! [`OffsetStore`] in Kafka, by the native client: Metadata requests give the partitions, and the
//! group's coordinator keeps the offsets.

use super::offset_store::{HeldOffsets, OffsetStore, RefusedCommit};
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::group_offsets::{Answers, CommittedOffset, GroupOffsets};
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::error_code::{ErrorCode, Reaction};
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
        Self::over(Brokers::new(&cluster.brokers, cluster.dialer()), group)
    }

    /// The offsets of this group, asked for over these connections.
    pub(in crate::kafka) fn over(brokers: Brokers, group: &str) -> Self {
        Self { group: group.to_owned(), brokers, commits: GroupOffsets::new(group) }
    }

    fn refused(
        &self,
        member: GenerationMember<'_>,
        partition: TopicPartition,
        refusal: Refusal,
    ) -> RefusedCommit {
        let is_member = member != GenerationMember::NONE;
        let fault = if !is_member && refusal == Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID) {
            Fault::Retry(format!(
                "the offset of {partition} cannot be committed: the group '{}' has live members, and refuses \
                 commits of others; stop the other consumers or use another kafka['group']",
                self.group
            ))
        } else {
            refusal.fault(&format!("commit the offset of {partition} to the group '{}'", self.group))
        };
        let membership = match refusal {
            Refusal::Code(code) if is_member && code.reaction() == Reaction::Membership => Some(code),
            _ => None,
        };
        let is_topics = matches!(refusal, Refusal::Code(code) if code.is_of_topic());
        RefusedCommit { partition, fault, membership, is_topics }
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

    fn commit(
        &mut self,
        member: GenerationMember<'_>,
        offsets: &[Commit],
    ) -> Result<Vec<RefusedCommit>, Fault> {
        let answers = self.commits.commit(&mut self.brokers, member, offsets)?;
        let refused = answers
            .into_iter()
            .filter_map(|(partition, answer)| Some(self.refused(member, partition, answer.err()?)));
        Ok(refused.collect())
    }
}

/// The coordinator's answers about a group's offsets. Each refusal becomes a fault.
fn held_of(group: &str, answers: Answers<Option<CommittedOffset>>) -> HeldOffsets {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::connection::ConnectionLimits;
    use crate::kafka::client::dialer::Dialer;
    use crate::kafka::group::fake_coordinator::{COMMIT, FakeCoordinator, OFFSETS};
    use crate::kafka::group::fake_store::{commit, t};

    /// A refusal that concerns the member ends its assignment. For a client that is no member, the same
    /// code means that the group has members; such a client tries again.
    #[test]
    fn refusals_of_members() {
        let brokers = Brokers::new(&[], Dialer::new("c", ConnectionLimits::default()));
        let store = KafkaOffsets::over(brokers, "g");
        let member = GenerationMember { generation: 7, id: "m", instance: None };
        let refused =
            |member, code| store.refused(member, TopicPartition::new("t", 0), Refusal::Code(ErrorCode(code)));
        for code in [22, 25, 27, 79, 82, 113] {
            assert_eq!(refused(member, code).membership, Some(ErrorCode(code)));
            assert_eq!(refused(GenerationMember::NONE, code).membership, None);
        }
        for code in [3, 12, 14, 16, 29, 30] {
            assert_eq!(refused(member, code).membership, None, "{code}");
        }
        let text = |member| refused(member, 25).fault.to_string();
        assert!(text(GenerationMember::NONE).contains("has live members"));
        assert!(text(member).contains("Kafka answers UNKNOWN_MEMBER_ID"));
        assert!(matches!(refused(member, 12).fault, Fault::Fatal(_)));
    }

    /// A topic that does not exist is no failure, since it may be created; whatever else is wrong has a name.
    #[test]
    fn the_partitions_of_each_topic() {
        let broker = FakeCoordinator::with_partitions(3);
        for (topic, code) in [("loading", 5), ("secret", 29)] {
            broker.script().topics.insert(topic.to_owned(), Err(code));
        }
        let mut store = KafkaOffsets::over(broker.brokers(), "g");
        let topics = ["t", "none", "loading", "secret"].map(str::to_owned);
        let found = store.partitions(&topics).unwrap();
        assert_eq!(found[..3], [Ok(vec![0, 1, 2]), Ok(Vec::new()), Ok(Vec::new())]);
        assert!(found[3].as_ref().unwrap_err().contains("of the topic secret: Kafka answers"));
    }

    #[test]
    fn offsets_are_committed_and_asked_for() {
        let broker = FakeCoordinator::with_partitions(2);
        let mut store = KafkaOffsets::over(broker.brokers(), "g");
        broker.answer_with(COMMIT, &[28]);
        let refused = store.commit(GenerationMember::NONE, &[commit(1, 9)]).unwrap();
        assert_eq!((refused.len(), &refused[0].partition), (1, &t(1)));
        assert!(refused[0].fault.to_string().contains("commit the offset of t/1 to the group 'g'"));
        assert_eq!(store.commit(GenerationMember::NONE, &[commit(1, 9)]), Ok(Vec::new()));
        let held = |offset, text: &str| Ok((offset, OffsetMetadata::Text(text.to_owned())));
        let both = [t(0), t(1)];
        let answers = store.committed(&both).unwrap();
        assert_eq!(answers, [(t(0), held(None, "")), (t(1), held(Some(9), "token 9"))]);
        broker.answer_with(OFFSETS, &[14]);
        let (_, fault) = store.committed(&both).unwrap().remove(0);
        assert!(fault.unwrap_err().to_string().contains("offset of t/0 in the group 'g'"), "it is not: none");
    }
}
