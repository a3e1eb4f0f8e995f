//! The thread that keeps a member's offsets: asks where its share is to be read from,
//! commits as the member, and commits again what the brokers would otherwise forget.
//! Its connection is its own: no heartbeat waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::claims;
use super::error_handling::{GroupCall, Verdict, verdict};
use super::kafka_offsets::held_of;
use super::messages::{GroupThread, KeeperOrder, MemberAssignment, MemberOrder, OwnerMessage};
use super::offset_store::{ClaimNamer, HeldOffset};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::group_offsets::{Answers, GroupOffsets};
use crate::kafka::protocol::error_code::{ErrorCode, Remedy};
use crate::kafka::protocol::refusal::Refusal;
use crate::kafka::seam::{Assigned, GroupEvent};
use crate::record::{Commit, OffsetMetadata, TopicPartition};
use crate::threads::OwnerGone;

/// The pause before what failed is tried again.
const KEEPER_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whom it hears, and whom it tells.
pub(super) struct KeeperChannels {
    pub(super) orders: Receiver<KeeperOrder>,
    /// Closes when the owner is gone.
    pub(super) owner: Receiver<()>,
    pub(super) tell: Sender<OwnerMessage>,
    pub(super) member: Sender<MemberOrder>,
}

/// See the module.
pub(super) struct OffsetKeeper {
    group: String,
    names: ClaimNamer,
    brokers: Brokers,
    commits: GroupOffsets,
    orders: Receiver<KeeperOrder>,
    /// Closes when the owner is gone: the member asks, too.
    owner: Receiver<()>,
    tell: Sender<OwnerMessage>,
    member: Sender<MemberOrder>,
    assignment: Option<MemberAssignment>,
    /// Partitions of the share whose offsets are still to be asked for.
    unfetched: Vec<TopicPartition>,
    /// What is to be committed, until the coordinator agrees.
    ordered: Option<Vec<Commit>>,
    /// What the group was last known to hold by our own commits.
    held: BTreeMap<TopicPartition, Commit>,
    /// Partitions whose commits are refused while others' are not.
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
        let KeeperChannels { orders, owner, tell, member } = channels;
        Self {
            group: group.to_owned(),
            names,
            brokers,
            commits: GroupOffsets::new(group),
            orders,
            owner,
            tell,
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

    /// Until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for what is asked or due, and does it.
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
                // Whoever ordered it is owed an answer.
                if self.ordered.take().is_some() {
                    self.tell(GroupEvent::Committed(Vec::new()))
                } else {
                    Ok(())
                }
            }
        }
    }

    fn report_assigned(&mut self, number: u64, assigned: Vec<Assigned>) -> Result<(), OwnerGone> {
        self.recovered()?;
        self.tell.send(OwnerMessage::Assigned(number, assigned)).map_err(|_| OwnerGone)
    }

    /// It was answered.
    fn recovered(&mut self) -> Result<(), OwnerGone> {
        let message = OwnerMessage::Recovered(GroupThread::Offsets);
        if std::mem::take(&mut self.failing) {
            self.tell.send(message).map_err(|_| OwnerGone)
        } else {
            Ok(())
        }
    }

    fn tell(&mut self, event: GroupEvent) -> Result<(), OwnerGone> {
        self.recovered()?;
        self.tell.send(OwnerMessage::Event(event)).map_err(|_| OwnerGone)
    }

    /// It is tried again, unless that cannot help.
    fn fault(&mut self, fault: Fault) -> Result<(), OwnerGone> {
        self.next = Instant::now() + self.pauses.pause();
        match fault {
            Fault::Retry(why) => {
                self.failing = true;
                self.tell.send(OwnerMessage::Failed(GroupThread::Offsets, why)).map_err(|_| OwnerGone)
            }
            other => {
                let _owner_may_be_gone = self.tell.send(OwnerMessage::Fault(other));
                Err(OwnerGone)
            }
        }
    }

    // ---- Where the share begins

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

    /// Those whose offsets the group tells, and the fault of one of the rest.
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

    /// Commits as the member that we are; the member hears it if it is none any more.
    fn send_commit(&mut self, offsets: &[Commit]) -> Result<Answers<()>, Fault> {
        let Some(assignment) = &self.assignment else { return Ok(Vec::new()) };
        let answers = self.commits.commit(&mut self.brokers, assignment.member(), offsets)?;
        if let Some(code) = answers.iter().find_map(|(_, answer)| membership(answer)) {
            // If it has ended, so do we.
            let _gone = self.member.send(MemberOrder::Refused(assignment.generation, code));
        }
        Ok(answers)
    }

    /// One try. What fails is tried again, as long as we are the member that may.
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
            // Without a share nobody was asked, and nobody will be.
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
        let Some((partition, refusal)) = fault else { return self.tell(GroupEvent::Committed(done)) };
        let fault = refusal.fault(&format!("commit the offset of {partition} to the group '{}'", self.group));
        if done.is_empty() || matches!(fault, Fault::Fatal(_)) {
            self.ordered = Some(again);
            return self.fault(fault);
        }
        // The others have what they asked for; the owner will order the rest again.
        if self.refused.insert(partition) {
            log::warn!("{fault}; the other partitions' offsets are committed, it is tried again");
        }
        self.tell(GroupEvent::Committed(done))
    }

    /// So that they are not forgotten.
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
        log::debug!("committing {} offsets again, so that they are not forgotten", ours.len());
        // A partition that is refused now is so at its next commit, too.
        self.send_commit(&ours).map(|_refused| ()).or_else(|fault| self.fault(fault))
    }
}

/// The code by which a commit was refused to this member, if it was that.
fn membership(answer: &Result<(), Refusal>) -> Option<ErrorCode> {
    let Err(Refusal::Code(code)) = answer else { return None };
    let is_it = code.remedy() == Remedy::Membership && verdict(GroupCall::Commit, *code) != Verdict::Retry;
    is_it.then_some(*code)
}
