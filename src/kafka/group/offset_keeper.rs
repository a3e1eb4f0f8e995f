//! The thread for a member's offsets: fetches the committed offsets of an assignment, commits, and
//! commits again before brokers delete them. It has its own connection, so that no heartbeat waits
//! for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::claims;
use super::config::JOB;
use super::messages::{GroupThread, KeeperOrder, MemberAssignment, MemberOrder, OwnerMessage};
use super::offset_store::{ClaimNamer, HeldOffset, OffsetStore, RefusedCommit};
use crate::backoff::Backoff;
use crate::error::Fault;
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
    store: Box<dyn OffsetStore>,
    names: ClaimNamer,
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
        store: Box<dyn OffsetStore>,
        names: ClaimNamer,
        renew: Duration,
        channels: KeeperChannels,
    ) -> Self {
        let KeeperChannels { orders, owner, to_owner, member } = channels;
        Self {
            store,
            names,
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
                // The owner waits for the answer to its commit.
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
        for (partition, answer) in self.store.committed(&self.unfetched)? {
            match answer {
                Ok(one) => drop(held.insert(partition, one)),
                Err(other) => fault = Some(other),
            }
        }
        let generation = self.assignment.as_ref().map_or(-1, |one| one.generation);
        let claims = claims::claims(&mut held, &self.names, generation);
        if !claims.is_empty() {
            for refused in self.send_commit(&claims)? {
                held.remove(&refused.partition);
                fault = Some(refused.fault);
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
    fn send_commit(&mut self, offsets: &[Commit]) -> Result<Vec<RefusedCommit>, Fault> {
        let Some(assignment) = &self.assignment else { return Ok(Vec::new()) };
        let refused = self.store.commit(assignment.member(), offsets)?;
        if let Some(code) = refused.iter().find_map(|one| one.membership) {
            // If that thread has ended, this one will, too.
            let _gone = self.member.send(MemberOrder::Refused(assignment.generation, code));
        }
        Ok(refused)
    }

    /// One attempt to commit. What fails is tried again, as long as the assignment lasts.
    fn commit(&mut self) -> Result<(), OwnerGone> {
        let Some(offsets) = self.ordered.take() else { return Ok(()) };
        if self.assignment.is_none() {
            // Nothing is sent, and nothing will be.
            return self.report(GroupEvent::Committed(Vec::new()));
        }
        let refused = match self.send_commit(&offsets) {
            Ok(refused) => refused,
            Err(fault) => {
                self.ordered = Some(offsets);
                return self.fault(fault);
            }
        };
        let mut refused: BTreeMap<TopicPartition, RefusedCommit> =
            refused.into_iter().map(|one| (one.partition.clone(), one)).collect();
        let (mut done, mut again, mut fault) = (Vec::new(), Vec::new(), None);
        for one in offsets {
            match refused.remove(&one.partition) {
                None => {
                    self.refused.remove(&one.partition);
                    done.push((one.partition.clone(), one.offset));
                    self.held.insert(one.partition.clone(), one);
                }
                Some(RefusedCommit { fault: why, membership: None, .. }) => {
                    // A fatal refusal must not be hidden by another one.
                    if !matches!(fault, Some((_, Fault::Fatal(_)))) {
                        fault = Some((one.partition.clone(), why));
                    }
                    again.push(one);
                }
                Some(_) => {}
            }
        }
        let Some((partition, fault)) = fault else { return self.report(GroupEvent::Committed(done)) };
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
        let answers = match self.store.committed(&partitions) {
            Ok(answers) => answers,
            Err(fault) => return self.fault(fault),
        };
        let ours = claims::to_renew(&self.held, answers);
        if ours.is_empty() {
            return self.recovered();
        }
        log::debug!("{JOB}: committing {} offsets again, so that brokers do not delete them", ours.len());
        // A partition that is refused here will be refused, and logged, at its next commit.
        match self.send_commit(&ours) {
            Ok(_refused) => self.recovered(),
            Err(fault) => self.fault(fault),
        }
    }
}

#[cfg(test)]
mod tests;
