//! Which cluster and which topic a position belongs to. A topic that is deleted and created again keeps its
//! name, and gets another id.

use super::{KafkaSource, NAME, journal_fault};
use crate::error::Fault;
use crate::kafka::{DivergenceCause, ExpectedLog, Fetched};
use crate::record::{TopicId, TopicPartition};

impl KafkaSource {
    /// Journals the cluster that the positions belong to from now on.
    pub(super) fn record_cluster(&self) -> Result<(), Fault> {
        let Some(id) = (self.cluster_id)() else { return Ok(()) };
        let ledger = self.ledger.whole();
        if let Some(before) = ledger.cluster_id().filter(|before| *before != id) {
            log::warn!("{NAME}: reads the Kafka cluster {id} from now on, in place of {before}");
        }
        ledger.record_cluster_id(&id).map_err(|error| journal_fault(&error))
    }

    /// The log is not the one that was read. What is in flight of the old one is written first.
    pub(super) fn take_divergence(
        &mut self,
        partition: &TopicPartition,
        assignment: u64,
        next: i64,
        (why, topic): (DivergenceCause, Option<TopicId>),
    ) {
        let known = self.known_topic(partition);
        let Some(tracked) = self.tracked(partition, assignment) else { return };
        let shown = |id: Option<TopicId>| id.map_or("unknown".to_owned(), |id| id.to_string());
        let (was, is, at) = (shown(known), shown(topic), tracked.polled);
        match why {
            DivergenceCause::OtherRecords => log::error!(
                "{NAME}: {partition}: its records are not those that were read before: the topic was \
                 recreated or truncated; going on at offset {next}"
            ),
            DivergenceCause::EndsBefore => log::error!(
                "{NAME}: {partition}: the topic was recreated: its id is {is}, and {was} was read; its log \
                 ends below the position {at}; going on at its first record, offset {next}"
            ),
            DivergenceCause::NothingToCompare => log::error!(
                "{NAME}: {partition}: the topic was recreated: its id is {is}, and {was} was read; none of \
                 the records that were written last is there to be compared; going on at its first record, \
                 offset {next}"
            ),
        }
        tracked.topic = topic;
        tracked.diverge(next);
    }

    /// The log is that of this topic.
    pub(super) fn take_identified(
        &mut self,
        partition: &TopicPartition,
        assignment: u64,
        topic: TopicId,
    ) -> Result<(), Fault> {
        if self.tracked(partition, assignment).is_none() {
            return Ok(());
        }
        let known = self.known_topic(partition);
        if let Some(known) = known.filter(|known| *known != topic) {
            log::warn!(
                "{NAME}: {partition}: the topic has another id, {topic} in place of {known}, and its records \
                 are those that were read before; going on"
            );
        }
        self.record_topic(partition, Some(topic))
    }

    /// The topic that the partition's position belongs to, if that is known.
    pub(super) fn known_topic(&self, partition: &TopicPartition) -> Option<TopicId> {
        self.ledger.of(partition)?.topic_id(partition)
    }

    /// The log that the partition's position belongs to, as far as it is known.
    pub(super) fn known_log(&self, partition: &TopicPartition) -> ExpectedLog {
        let epochs = self.ledger.of(partition).map(|ledger| ledger.leader_epochs(partition));
        ExpectedLog { topic: self.known_topic(partition), epochs: epochs.unwrap_or_default() }
    }

    /// Journals the leader epochs of what was fetched.
    pub(super) fn record_epochs(&mut self, fetched: &Fetched) -> Result<(), Fault> {
        let Fetched { partition, assignment, epochs, .. } = fetched;
        if epochs.is_empty() || self.tracked(partition, *assignment).is_none() {
            return Ok(());
        }
        self.ledger_of(partition)?
            .record_leader_epochs(partition, epochs)
            .map_err(|error| journal_fault(&error))
    }

    /// Journals the topic that the partition's position belongs to.
    pub(super) fn record_topic(
        &self,
        partition: &TopicPartition,
        topic: Option<TopicId>,
    ) -> Result<(), Fault> {
        let Some(topic) = topic else { return Ok(()) };
        self.ledger_of(partition)?.record_topic_id(partition, topic).map_err(|error| journal_fault(&error))
    }
}
