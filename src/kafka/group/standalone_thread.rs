//! The thread of [`super::standalone::Standalone`]: asks for partitions, commits, and commits again
//! before brokers delete offsets. Each has its own interval: a refused commit must not keep new
//! partitions from being found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::claims;
use super::config::JOB;
use super::offset_store::{ClaimNamer, HeldOffset, OffsetStore};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::protocol::messages::GenerationMember;
use crate::kafka::seam::{Assigned, GroupEvent};
use crate::record::{Commit, OffsetMetadata, TopicPartition};
use crate::threads::OwnerGone;

/// How often the thread does its work.
#[derive(Debug, Clone, Copy)]
pub(in crate::kafka) struct StandaloneIntervals {
    /// Between two requests for the topics' partitions.
    pub(super) look: Duration,
    /// After this time offsets that have not changed are committed again. Brokers delete an offset one
    /// day after its last commit, since Kafka 2.0 seven days (`offsets.retention.minutes`).
    pub(super) renew: Duration,
    /// The pause before a failed request is repeated grows from the first to the second.
    pub(super) pauses: (Duration, Duration),
}

impl Default for StandaloneIntervals {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(10),
            renew: Duration::from_secs(6 * 3600),
            pauses: (Duration::from_millis(200), Duration::from_secs(10)),
        }
    }
}

/// See the module.
pub(super) struct StandaloneThread {
    client: Box<dyn OffsetStore>,
    topics: Vec<String>,
    names: ClaimNamer,
    pace: StandaloneIntervals,
    /// Disconnected when the owner is gone.
    orders: Receiver<Vec<Commit>>,
    events: Sender<Result<GroupEvent, Fault>>,
    assigned: BTreeSet<TopicPartition>,
    /// The partitions that each topic had when it was first seen.
    first: BTreeMap<String, BTreeSet<i32>>,
    ordered: CommitOrder,
    /// The offsets of our own that the group had when it last answered.
    held: BTreeMap<TopicPartition, Commit>,
    /// The partitions whose commits are refused while those of others succeed, and since when.
    refused: BTreeMap<TopicPartition, Instant>,
    looks: Backoff,
    commits: Backoff,
    look_at: Instant,
    renew_at: Instant,
}

/// The state of the owner's order to commit.
enum CommitOrder {
    /// There is none.
    Nothing,
    /// These offsets are to be committed at this time.
    Try(Instant, Vec<Commit>),
    /// These offsets are committed and others were refused. The owner learns it at this time, and will
    /// then order the refused ones again.
    Report(Instant, Vec<(TopicPartition, i64)>),
}

impl StandaloneThread {
    pub(super) fn new(
        client: Box<dyn OffsetStore>,
        topics: &[String],
        names: ClaimNamer,
        pace: StandaloneIntervals,
        orders: Receiver<Vec<Commit>>,
        events: Sender<Result<GroupEvent, Fault>>,
    ) -> Self {
        Self {
            client,
            topics: topics.to_vec(),
            names,
            pace,
            orders,
            events,
            assigned: BTreeSet::new(),
            first: BTreeMap::new(),
            ordered: CommitOrder::Nothing,
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            looks: Backoff::new(pace.pauses.0, pace.pauses.1),
            commits: Backoff::new(pace.pauses.0, pace.pauses.1),
            look_at: Instant::now(),
            renew_at: Instant::now() + pace.renew,
        }
    }

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for an order or for due work, and does it.
    fn round(&mut self) -> Result<(), OwnerGone> {
        let mut due = self.look_at.min(self.renew_at);
        if let CommitOrder::Try(at, _) | CommitOrder::Report(at, _) = self.ordered {
            due = due.min(at);
        }
        match self.orders.recv_deadline(due) {
            Ok(offsets) => {
                self.ordered = CommitOrder::Try(Instant::now(), offsets);
                self.commits.reset();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(OwnerGone),
        }
        let now = Instant::now();
        match std::mem::replace(&mut self.ordered, CommitOrder::Nothing) {
            CommitOrder::Try(at, offsets) if now >= at => self.commit(offsets)?,
            CommitOrder::Report(at, done) if now >= at => self.report(GroupEvent::Committed(done))?,
            later => self.ordered = later,
        }
        if now >= self.look_at {
            let complete = self.look()?;
            let pause = if complete { self.pace.look } else { self.looks.pause() };
            self.look_at = Instant::now() + pause;
        }
        if now >= self.renew_at {
            self.renew()?;
            self.renew_at = Instant::now() + self.pace.renew;
        }
        Ok(())
    }

    fn report(&self, event: GroupEvent) -> Result<(), OwnerGone> {
        self.events.send(Ok(event)).map_err(|_| OwnerGone)
    }

    /// Reports a fault. `Fatal` ends the thread; anything else is tried again.
    fn fault(&self, fault: Fault) -> Result<(), OwnerGone> {
        match fault {
            Fault::Fatal(_) => {
                let _owner_may_be_gone = self.events.send(Err(fault));
                Err(OwnerGone)
            }
            other => self.report(GroupEvent::Failed(other.to_string())),
        }
    }

    // ---- Partitions

    /// Assigns partitions that are not assigned yet. True if every topic exists and every partition is
    /// assigned.
    fn look(&mut self) -> Result<bool, OwnerGone> {
        let topics = match self.client.partitions(&self.topics) {
            Ok(topics) => topics,
            Err(fault) => return self.fault(fault).map(|()| false),
        };
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for (topic, numbers) in self.topics.iter().zip(topics) {
            match numbers {
                Ok(numbers) if numbers.is_empty() => {
                    missing.push(format!(
                        "the topic {topic} does not exist yet: create it, or correct kafka['topics']"
                    ));
                }
                Ok(numbers) => {
                    self.first.entry(topic.clone()).or_insert_with(|| numbers.iter().copied().collect());
                    found.extend(numbers.into_iter().map(|one| TopicPartition::new(topic.as_str(), one)));
                }
                Err(why) => missing.push(why),
            }
        }
        found.retain(|one| !self.assigned.contains(one));
        if !found.is_empty() {
            match self.assign(&found) {
                Ok(None) => {}
                Ok(Some(fault)) | Err(fault) => return self.fault(fault).map(|()| false),
            }
        }
        if !missing.is_empty() {
            return self.report(GroupEvent::Failed(missing.join("; "))).map(|()| false);
        }
        self.looks.reset();
        self.report(GroupEvent::Reached).map(|()| true)
    }

    /// Assigns the partitions whose offsets were fetched and, where needed, claimed. Gives the fault of
    /// one of the others.
    fn assign(&mut self, found: &[TopicPartition]) -> Result<Option<Fault>, Fault> {
        let mut fault = None;
        let mut held: BTreeMap<TopicPartition, HeldOffset> = BTreeMap::new();
        for (partition, answer) in self.client.committed(found)? {
            match answer {
                Ok(one) => drop(held.insert(partition, one)),
                Err(other) => fault = Some(other),
            }
        }
        fault = self.claim(&mut held)?.or(fault);
        let mut assigned = Vec::new();
        for (partition, (committed, metadata)) in held {
            if let (Some(offset), OffsetMetadata::Text(text)) = (committed, &metadata) {
                let (partition, metadata) = (partition.clone(), text.clone());
                self.held.insert(partition.clone(), Commit { partition, offset, metadata });
            }
            let first = self.first.get(&*partition.topic);
            let new = first.is_some_and(|first| !first.contains(&partition.partition));
            self.assigned.insert(partition.clone());
            assigned.push(Assigned { partition, committed, metadata, new });
        }
        if !assigned.is_empty() {
            // If this fails, the owner is gone, which the wait for the next order notices.
            let _gone = self.report(GroupEvent::Assigned(assigned));
        }
        Ok(fault)
    }

    /// Claims the offsets that somebody else has set; see [`claims::claims`]. Removes those that cannot
    /// be claimed, and gives the fault of one of them.
    fn claim(&mut self, held: &mut BTreeMap<TopicPartition, HeldOffset>) -> Result<Option<Fault>, Fault> {
        let claims = claims::claims(held, &self.names, GenerationMember::NONE.generation);
        if claims.is_empty() {
            return Ok(None);
        }
        let mut fault = None;
        for (partition, refusal) in self.client.commit(&claims)? {
            held.remove(&partition);
            fault = Some(refusal);
        }
        Ok(fault)
    }

    // ---- Commits

    /// One attempt to commit. If every offset is refused, all are tried again. If some are, the owner
    /// learns of the others a little later.
    fn commit(&mut self, offsets: Vec<Commit>) -> Result<(), OwnerGone> {
        let refused: BTreeMap<TopicPartition, Fault> = match self.client.commit(&offsets) {
            Ok(refused) => refused.into_iter().collect(),
            Err(fault) => return self.try_again(offsets, fault),
        };
        let never = |fault: &&Fault| matches!(fault, Fault::Fatal(_));
        if let Some(fault) = refused.values().find(never) {
            return self.fault(fault.clone());
        }
        if let Some(fault) = refused.values().next()
            && refused.len() == offsets.len()
        {
            return self.try_again(offsets, fault.clone());
        }
        let mut done = Vec::new();
        for one in offsets {
            match refused.get(&one.partition) {
                Some(fault) => self.note_refused(&one.partition, fault),
                None => {
                    self.note_committed(&one.partition);
                    done.push((one.partition.clone(), one.offset));
                    self.held.insert(one.partition.clone(), one);
                }
            }
        }
        if refused.is_empty() {
            return self.report(GroupEvent::Committed(done));
        }
        // The owner orders the refused ones again as soon as it learns of the others.
        self.ordered = CommitOrder::Report(Instant::now() + self.pace.pauses.1 / 2, done);
        Ok(())
    }

    fn try_again(&mut self, offsets: Vec<Commit>, fault: Fault) -> Result<(), OwnerGone> {
        self.fault(fault)?;
        self.ordered = CommitOrder::Try(Instant::now() + self.commits.pause(), offsets);
        Ok(())
    }

    fn note_refused(&mut self, partition: &TopicPartition, fault: &Fault) {
        if !self.refused.contains_key(partition) {
            log::warn!(
                "{JOB}: {partition}: {fault}; the offsets of the other partitions are committed, and this \
                 one is tried again"
            );
            self.refused.insert(partition.clone(), Instant::now());
        }
    }

    fn note_committed(&mut self, partition: &TopicPartition) {
        if let Some(since) = self.refused.remove(partition) {
            let seconds = since.elapsed().as_secs();
            log::info!("{JOB}: {partition}: the group accepts its offset again after {seconds} s");
        }
    }

    /// Commits offsets again before brokers delete them; see [`claims::to_renew`].
    fn renew(&mut self) -> Result<(), OwnerGone> {
        let partitions: Vec<TopicPartition> = self.held.keys().cloned().collect();
        if partitions.is_empty() {
            return Ok(());
        }
        let answers = match self.client.committed(&partitions) {
            Ok(answers) => answers,
            Err(fault) => return self.fault(fault),
        };
        let ours = claims::to_renew(&self.held, answers);
        if ours.is_empty() {
            return Ok(());
        }
        log::debug!("{JOB}: committing {} offsets again, so that brokers do not delete them", ours.len());
        // A partition that is refused here will be refused, and logged, at its next commit.
        self.client.commit(&ours).map(|_refused| ()).or_else(|fault| self.fault(fault))
    }
}
