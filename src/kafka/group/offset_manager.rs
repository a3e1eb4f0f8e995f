//! The offsets that the group keeps for this client: fetches and claims them, commits, and commits again
//! before brokers delete them. The rules are the same with and without membership. Each call is one
//! attempt; the threads that make the calls pause, report and try again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claims;
use super::offset_store::{ClaimNamer, HeldOffset, OffsetStore, RefusedCommit};
use crate::error::Fault;
use crate::kafka::client::dialer::JOB;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::GenerationMember;
use crate::kafka::seam::Assigned;
use crate::plural::counted;
use crate::record::{Commit, OffsetMetadata, TopicPartition};

/// The identity under which offsets are committed.
#[derive(Debug, Clone)]
pub(super) struct Committer {
    pub(super) generation: i32,
    pub(super) id: String,
    pub(super) instance: Option<String>,
}

impl Committer {
    /// A client that is no member.
    pub(super) fn standalone() -> Self {
        let GenerationMember { generation, id, .. } = GenerationMember::NONE;
        Self { generation, id: id.to_owned(), instance: None }
    }

    fn member(&self) -> GenerationMember<'_> {
        GenerationMember { generation: self.generation, id: &self.id, instance: self.instance.as_deref() }
    }
}

/// After this time it is told that a topic's offsets are refused.
const TOPIC_PATIENCE: Duration = Duration::from_secs(30);

/// A topic whose offsets are refused, while those of others may be taken.
#[derive(Debug)]
struct RefusedTopic {
    since: Instant,
    is_told: bool,
    partitions: BTreeSet<i32>,
}

/// The result of one attempt to commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommitOutcome {
    /// The group has these offsets, and refuses those of these partitions, while it may take others. The
    /// owner of the thread orders the refused offsets again.
    Committed { offsets: Vec<(TopicPartition, i64)>, refused: Vec<TopicPartition> },
    /// These offsets are to be committed again after a pause, unless the fault is `Fatal`.
    Failed { fault: Fault, again: Vec<Commit> },
}

/// See the module.
pub(super) struct OffsetManager {
    store: Box<dyn OffsetStore>,
    names: ClaimNamer,
    /// `None` for a member without an assignment. Then nothing is sent.
    committer: Option<Committer>,
    /// The offsets of our own that the group had when it last answered.
    held: BTreeMap<TopicPartition, Commit>,
    /// The partitions whose commits are refused while those of others succeed, and since when.
    refused: BTreeMap<TopicPartition, Instant>,
    /// The topics whose offsets are refused because of the topic.
    refused_topics: BTreeMap<Arc<str>, RefusedTopic>,
    /// The generation and the code, if the coordinator has refused the committing member itself.
    refused_member: Option<(i32, ErrorCode)>,
    renew: Duration,
    renew_at: Instant,
}

impl OffsetManager {
    /// Nothing is committed before [`Self::begin`]. Offsets that have not changed for `renew` are committed
    /// again.
    pub(super) fn new(store: Box<dyn OffsetStore>, names: ClaimNamer, renew: Duration, now: Instant) -> Self {
        Self {
            store,
            names,
            committer: None,
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            refused_topics: BTreeMap::new(),
            refused_member: None,
            renew,
            renew_at: now + renew,
        }
    }

    /// From now on offsets are claimed and committed as this client.
    pub(super) fn begin(&mut self, committer: Committer) {
        self.committer = Some(committer);
    }

    /// The assignment has been released: its partitions may be another member's, so nothing is committed
    /// or renewed before [`Self::begin`].
    pub(super) fn end(&mut self) {
        self.committer = None;
        self.held.clear();
        self.refused.clear();
        self.refused_topics.clear();
    }

    /// The refusal of the committing member itself, if the last calls met one. The member's assignment has
    /// ended then, or is about to end.
    pub(super) fn take_refused_member(&mut self) -> Option<(i32, ErrorCode)> {
        self.refused_member.take()
    }

    /// See [`OffsetStore::partitions`].
    pub(super) fn partitions(&mut self, topics: &[String]) -> Result<Vec<Result<Vec<i32>, String>>, Fault> {
        self.store.partitions(topics)
    }

    /// The partitions whose offsets were fetched and, where needed, claimed; and the fault of another
    /// partition, if there is one. A partition is not assigned before the group holds its claim.
    pub(super) fn assign(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<(Vec<Assigned>, Option<Fault>), Fault> {
        let Some(committer) = &self.committer else { return Ok((Vec::new(), None)) };
        let generation = committer.generation;
        let mut fault = None;
        let mut found: BTreeMap<TopicPartition, HeldOffset> = BTreeMap::new();
        for (partition, answer) in self.store.committed(partitions)? {
            match answer {
                Ok(one) => drop(found.insert(partition, one)),
                Err(other) => fault = Some(graver(fault, other)),
            }
        }
        let claims = claims::claims(&mut found, &self.names, generation);
        if !claims.is_empty() {
            for refused in self.send(&claims)? {
                found.remove(&refused.partition);
                fault = Some(graver(fault, refused.fault));
            }
        }
        let mut assigned = Vec::new();
        for (partition, (committed, metadata)) in found {
            if let (Some(offset), OffsetMetadata::Text(text)) = (committed, &metadata) {
                let commit = Commit { partition: partition.clone(), offset, metadata: text.clone() };
                self.held.insert(partition.clone(), commit);
            }
            assigned.push(Assigned { partition, committed, metadata, new: false });
        }
        Ok((assigned, fault))
    }

    /// Commits these offsets as the present client.
    fn send(&mut self, offsets: &[Commit]) -> Result<Vec<RefusedCommit>, Fault> {
        let Some(committer) = &self.committer else { return Ok(Vec::new()) };
        let refused = self.store.commit(committer.member(), offsets)?;
        if let Some(code) = refused.iter().find_map(|one| one.membership) {
            self.refused_member = Some((committer.generation, code));
        }
        Ok(refused)
    }

    /// One attempt to commit. Offsets whose member is refused are dropped: the assignment ends, and with
    /// it the right to commit them.
    pub(super) fn commit(&mut self, offsets: Vec<Commit>, now: Instant) -> CommitOutcome {
        if self.committer.is_none() {
            return CommitOutcome::Committed { offsets: Vec::new(), refused: Vec::new() };
        }
        let mut refused: BTreeMap<TopicPartition, RefusedCommit> = match self.send(&offsets) {
            Ok(refused) => refused.into_iter().map(|one| (one.partition.clone(), one)).collect(),
            Err(fault) => return CommitOutcome::Failed { fault, again: offsets },
        };
        let (mut done, mut again, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut are_topics = Vec::new();
        for one in offsets {
            match refused.remove(&one.partition) {
                None => done.push(one),
                Some(RefusedCommit { fault, membership: None, is_topics, .. }) => {
                    faults.push(fault);
                    are_topics.push(is_topics);
                    again.push(one);
                }
                Some(_) => {}
            }
        }
        let gravest = faults.iter().cloned().fold(None, |fault, other| Some(graver(fault, other)));
        if let Some(fault) = gravest
            && (done.is_empty() && are_topics.contains(&false) || matches!(fault, Fault::Fatal(_)))
        {
            return CommitOutcome::Failed { fault, again };
        }
        for ((one, fault), is_topics) in again.iter().zip(&faults).zip(are_topics) {
            if is_topics {
                self.note_refused_topic(&one.partition, fault, now);
            } else {
                self.note_refused(&one.partition, fault, now);
            }
        }
        let mut committed = Vec::new();
        for one in done {
            self.note_committed(&one.partition, now);
            committed.push((one.partition.clone(), one.offset));
            self.held.insert(one.partition.clone(), one);
        }
        let refused = again.into_iter().map(|one| one.partition).collect();
        CommitOutcome::Committed { offsets: committed, refused }
    }

    fn note_refused(&mut self, partition: &TopicPartition, fault: &Fault, now: Instant) {
        if !self.refused.contains_key(partition) {
            log::warn!(
                "{JOB}: {partition}: {fault}; the offsets of the other partitions are committed, and this \
                 partition's offset is tried again"
            );
            self.refused.insert(partition.clone(), now);
        }
    }

    /// What is refused of a topic is told by whoever reads it, unless its leader still serves it.
    fn note_refused_topic(&mut self, partition: &TopicPartition, fault: &Fault, now: Instant) {
        log::debug!("{JOB}: {partition}: {fault}");
        let topic = &partition.topic;
        let new = || RefusedTopic { since: now, is_told: false, partitions: BTreeSet::new() };
        let refused = self.refused_topics.entry(Arc::clone(topic)).or_insert_with(new);
        refused.partitions.insert(partition.partition);
        let seconds = now.saturating_duration_since(refused.since);
        if seconds >= TOPIC_PATIENCE && !std::mem::replace(&mut refused.is_told, true) {
            log::warn!(
                "{JOB}: the topic {topic}: the group has refused its offsets for {} s: {fault}; the offsets \
                 of other topics are committed, and these are tried again",
                seconds.as_secs()
            );
        }
    }

    fn note_committed(&mut self, partition: &TopicPartition, now: Instant) {
        let topic = &partition.topic;
        if let Some(refused) = self.refused_topics.get_mut(topic)
            && refused.partitions.remove(&partition.partition)
            && refused.partitions.is_empty()
        {
            if refused.is_told {
                let seconds = now.saturating_duration_since(refused.since).as_secs();
                log::info!(
                    "{JOB}: the topic {topic}: its offsets are committed again; the group refused these for \
                     {seconds} s"
                );
            }
            self.refused_topics.remove(topic);
        }
        if let Some(since) = self.refused.remove(partition) {
            let seconds = now.saturating_duration_since(since).as_secs();
            log::info!(
                "{JOB}: {partition}: its offset is committed again; the group refused it for {seconds} s"
            );
        }
    }

    /// When [`Self::renew_if_due`] has work next.
    pub(super) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// Commits offsets again before brokers delete them; see [`claims::to_renew`]. True if the group was
    /// asked, and answered.
    pub(super) fn renew_if_due(&mut self, now: Instant) -> Result<bool, Fault> {
        if now < self.renew_at {
            return Ok(false);
        }
        self.renew_at = now + self.renew;
        let partitions: Vec<TopicPartition> = self.held.keys().cloned().collect();
        if partitions.is_empty() {
            return Ok(false);
        }
        let answers = self.store.committed(&partitions)?;
        let ours = claims::to_renew(&self.held, answers);
        if !ours.is_empty() {
            let offsets = counted(ours.len(), "offset");
            log::debug!("{JOB}: committing {offsets} again, so that brokers do not delete them");
            // A partition that is refused here will be refused, and logged, at its next commit.
            let _refused = self.send(&ours)?;
        }
        Ok(true)
    }
}

/// The fault to act on: a later fault does not replace a fatal one.
fn graver(fault: Option<Fault>, other: Fault) -> Fault {
    fault.filter(|fault| matches!(fault, Fault::Fatal(_))).unwrap_or(other)
}

#[cfg(test)]
mod tests;
