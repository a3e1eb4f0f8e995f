//! The thread for a member's offsets: fetches the committed offsets of an assignment, commits, and
//! commits again before brokers delete them. It has its own connection, so that no heartbeat waits
//! for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::claims;
use super::config::JOB;
use super::error_handling::{GroupCall, Verdict, verdict};
use super::kafka_offsets::held_of;
use super::messages::{GroupThread, KeeperOrder, MemberAssignment, MemberOrder, OwnerMessage};
use super::offset_store::{ClaimNamer, HeldOffset};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::group_offsets::{Answers, GroupOffsets};
use crate::kafka::protocol::error_code::{ErrorCode, Reaction};
use crate::kafka::protocol::refusal::Refusal;
use crate::kafka::seam::{Assigned, GroupEvent};
use crate::record::{Commit, OffsetMetadata, TopicPartition};
use crate::threads::OwnerGone;

/// The pause before a failed request is repeated grows from the first to the second.
const KEEPER_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The channels of the thread.
pub(super) struct KeeperChannels {
    pub(super) orders: Receiver<KeeperOrder>,
    /// Disconnected when the owner is gone.
    pub(super) owner: Receiver<()>,
    pub(super) to_owner: Sender<OwnerMessage>,
    pub(super) member: Sender<MemberOrder>,
}

/// See the module.
pub(super) struct OffsetKeeper {
    group: String,
    names: ClaimNamer,
    brokers: Brokers,
    commits: GroupOffsets,
    orders: Receiver<KeeperOrder>,
    /// Disconnected when the owner is gone. `orders` is not, since the member thread sends there, too.
    owner: Receiver<()>,
    to_owner: Sender<OwnerMessage>,
    member: Sender<MemberOrder>,
    assignment: Option<MemberAssignment>,
    /// The partitions of the assignment whose committed offsets are not known yet.
    unfetched: Vec<TopicPartition>,
    /// The offsets to commit, until the coordinator has accepted them.
    ordered: Option<Vec<Commit>>,
    /// The offsets of our own that the group had when it last answered.
    held: BTreeMap<TopicPartition, Commit>,
    /// The partitions whose commits are refused while those of others succeed.
    refused: BTreeSet<TopicPartition>,
    failing: bool,
    pauses: Backoff,
    next: Instant,
    renew: Duration,
    renew_at: Instant,
}

impl OffsetKeeper {
    pub(super) fn new(
        group: &str,
        names: ClaimNamer,
        brokers: Brokers,
        renew: Duration,
        channels: KeeperChannels,
    ) -> Self {
        let KeeperChannels { orders, owner, to_owner, member } = channels;
        Self {
            group: group.to_owned(),
            names,
            brokers,
            commits: GroupOffsets::new(group),
            orders,
            owner,
            to_owner,
            member,
            assignment: None,
            unfetched: Vec::new(),
            ordered: None,
            held: BTreeMap::new(),
            refused: BTreeSet::new(),
            failing: false,
            pauses: Backoff::new(KEEPER_PAUSES.0, KEEPER_PAUSES.1),
            next: Instant::now(),
            renew,
            renew_at: Instant::now() + renew,
        }
    }

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for an order or for due work, and does it.
    fn round(&mut self) -> Result<(), OwnerGone> {
        let is_busy = !self.unfetched.is_empty() || self.ordered.is_some();
        let due = if is_busy { self.next.min(self.renew_at) } else { self.renew_at };
        select! {
            recv(self.orders) -> order => return order.map_or(Err(OwnerGone), |order| self.take(order)),
            recv(self.owner) -> _ => return Err(OwnerGone),
            default(due.saturating_duration_since(Instant::now())) => {}
        }
        if Instant::now() >= self.next {
            self.assign()?;
            self.commit()?;
        }
        if Instant::now() >= self.renew_at {
            self.renew_at = Instant::now() + self.renew;
            self.renew()?;
        }
        Ok(())
    }

    fn take(&mut self, order: KeeperOrder) -> Result<(), OwnerGone> {
        self.pauses.reset();
        self.next = Instant::now();
        match order {
            KeeperOrder::Assign(assignment) => {
                self.unfetched.clone_from(&assignment.partitions);
                let number = assignment.number;
                self.assignment = Some(assignment);
                if self.unfetched.is_empty() { self.report_assigned(number, Vec::new()) } else { Ok(()) }
            }
            KeeperOrder::Commit(offsets) => {
                self.ordered = Some(offsets);
                Ok(())
            }
            KeeperOrder::Released => {
                self.assignment = None;
                self.unfetched.clear();
                self.held.clear();
                self.refused.clear();
                // The commit is dropped with the assignment, but its owner waits for an answer.
                if self.ordered.take().is_some() {
                    self.report(GroupEvent::Committed(Vec::new()))
                } else {
                    Ok(())
                }
            }
        }
    }

    fn report_assigned(&mut self, number: u64, assigned: Vec<Assigned>) -> Result<(), OwnerGone> {
        self.recovered()?;
        self.to_owner.send(OwnerMessage::Assigned(number, assigned)).map_err(|_| OwnerGone)
    }

    /// Reports that the coordinator answers again, if it did not before.
    fn recovered(&mut self) -> Result<(), OwnerGone> {
        let message = OwnerMessage::Recovered(GroupThread::Offsets);
        if std::mem::take(&mut self.failing) {
            self.to_owner.send(message).map_err(|_| OwnerGone)
        } else {
            Ok(())
        }
    }

    fn report(&mut self, event: GroupEvent) -> Result<(), OwnerGone> {
        self.recovered()?;
        self.to_owner.send(OwnerMessage::Event(event)).map_err(|_| OwnerGone)
    }

    /// Reports a fault. `Retry` is tried again after a pause; any other fault ends the thread.
    fn fault(&mut self, fault: Fault) -> Result<(), OwnerGone> {
        self.next = Instant::now() + self.pauses.pause();
        match fault {
            Fault::Retry(why) => {
                self.failing = true;
                self.to_owner.send(OwnerMessage::Failed(GroupThread::Offsets, why)).map_err(|_| OwnerGone)
            }
            other => {
                let _owner_may_be_gone = self.to_owner.send(OwnerMessage::Fault(other));
                Err(OwnerGone)
            }
        }
    }

    // ---- The committed offsets of an assignment

    fn assign(&mut self) -> Result<(), OwnerGone> {
        let Some(number) = self.assignment.as_ref().map(|one| one.number) else { return Ok(()) };
        if self.unfetched.is_empty() {
            return Ok(());
        }
        match self.fetch_offsets() {
            Ok((assigned, fault)) => {
                let done: BTreeSet<&TopicPartition> = assigned.iter().map(|one| &one.partition).collect();
                self.unfetched.retain(|one| !done.contains(one));
                if !assigned.is_empty() {
                    self.report_assigned(number, assigned)?;
                }
                fault.map_or(Ok(()), |fault| self.fault(fault))
            }
            Err(fault) => self.fault(fault),
        }
    }

    /// The partitions whose offsets were fetched and, where needed, claimed; and the fault of one of the
    /// others.
    fn fetch_offsets(&mut self) -> Result<(Vec<Assigned>, Option<Fault>), Fault> {
        let mut fault = None;
        let mut held: BTreeMap<TopicPartition, HeldOffset> = BTreeMap::new();
        let answers = self.commits.committed(&mut self.brokers, &self.unfetched)?;
        for (partition, answer) in held_of(&self.group, answers) {
            match answer {
                Ok(one) => drop(held.insert(partition, one)),
                Err(other) => fault = Some(other),
            }
        }
        let generation = self.assignment.as_ref().map_or(-1, |one| one.generation);
        let claims = claims::claims(&mut held, &self.names, generation);
        if !claims.is_empty() {
            for (partition, answer) in self.send_commit(&claims)? {
                if let Err(refusal) = answer {
                    held.remove(&partition);
                    fault = Some(refusal.fault(&format!("claim the offset of {partition}")));
                }
            }
        }
        let mut assigned = Vec::new();
        for (partition, (committed, metadata)) in held {
            if let (Some(offset), OffsetMetadata::Text(text)) = (committed, &metadata) {
                let commit = Commit { partition: partition.clone(), offset, metadata: text.clone() };
                self.held.insert(partition.clone(), commit);
            }
            assigned.push(Assigned { partition, committed, metadata, new: false });
        }
        Ok((assigned, fault))
    }

    // ---- Commits

    /// Commits as the member. If the coordinator no longer knows the member, its thread learns it.
    fn send_commit(&mut self, offsets: &[Commit]) -> Result<Answers<()>, Fault> {
        let Some(assignment) = &self.assignment else { return Ok(Vec::new()) };
        let answers = self.commits.commit(&mut self.brokers, assignment.member(), offsets)?;
        if let Some(code) = answers.iter().find_map(|(_, answer)| membership(answer)) {
            // If this fails, the member thread has ended, and this thread will end, too.
            let _gone = self.member.send(MemberOrder::Refused(assignment.generation, code));
        }
        Ok(answers)
    }

    /// One attempt to commit. What fails is tried again, as long as the assignment lasts.
    fn commit(&mut self) -> Result<(), OwnerGone> {
        let Some(offsets) = self.ordered.take() else { return Ok(()) };
        let answers = match self.send_commit(&offsets) {
            Ok(answers) => answers,
            Err(fault) => {
                self.ordered = Some(offsets);
                return self.fault(fault);
            }
        };
        let mut answered: BTreeMap<TopicPartition, Result<(), Refusal>> = answers.into_iter().collect();
        let (mut done, mut again, mut fault) = (Vec::new(), Vec::new(), None);
        for one in offsets {
            // Without an assignment nothing was sent, and nothing will be.
            match answered.remove(&one.partition) {
                Some(Ok(())) => {
                    self.refused.remove(&one.partition);
                    done.push((one.partition.clone(), one.offset));
                    self.held.insert(one.partition.clone(), one);
                }
                Some(Err(refusal)) if membership(&Err(refusal)).is_none() => {
                    fault = Some((one.partition.clone(), refusal));
                    again.push(one);
                }
                Some(Err(_)) | None => {}
            }
        }
        let Some((partition, refusal)) = fault else { return self.report(GroupEvent::Committed(done)) };
        let fault = refusal.fault(&format!("commit the offset of {partition} to the group '{}'", self.group));
        if done.is_empty() || matches!(fault, Fault::Fatal(_)) {
            self.ordered = Some(again);
            return self.fault(fault);
        }
        // The other offsets are committed. The owner will order the refused ones again.
        if self.refused.insert(partition.clone()) {
            log::warn!(
                "{JOB}: {partition}: {fault}; the offsets of the other partitions are committed, and this \
                 one is tried again"
            );
        }
        self.report(GroupEvent::Committed(done))
    }

    /// Commits offsets again before brokers delete them; see [`claims::to_renew`].
    fn renew(&mut self) -> Result<(), OwnerGone> {
        let partitions: Vec<TopicPartition> = self.held.keys().cloned().collect();
        if partitions.is_empty() || self.assignment.is_none() {
            return Ok(());
        }
        let answers = match self.commits.committed(&mut self.brokers, &partitions) {
            Ok(answers) => held_of(&self.group, answers),
            Err(fault) => return self.fault(fault),
        };
        let ours = claims::to_renew(&self.held, answers);
        if ours.is_empty() {
            return Ok(());
        }
        log::debug!("{JOB}: committing {} offsets again, so that brokers do not delete them", ours.len());
        // A partition that is refused here will be refused, and logged, at its next commit.
        self.send_commit(&ours).map(|_refused| ()).or_else(|fault| self.fault(fault))
    }
}

/// The code of a refusal that concerns the membership, if it is one.
fn membership(answer: &Result<(), Refusal>) -> Option<ErrorCode> {
    let Err(Refusal::Code(code)) = answer else { return None };
    let is_it =
        code.reaction() == Reaction::Membership && verdict(GroupCall::Commit, *code) != Verdict::Retry;
    is_it.then_some(*code)
}
