//! The thread for a member's offsets: drives an [`OffsetManager`] by the orders of the member's thread
//! and the owner. It has its own connection, so that no heartbeat waits for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::messages::{GroupThread, KeeperOrder, MemberAssignment, MemberOrder, OwnerMessage};
use super::offset_manager::{CommitOutcome, OffsetManager};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::seam::{Assigned, GroupEvent};
use crate::record::{Commit, TopicPartition};
use crate::threads::OwnerGone;

/// The first and the longest pause before a failed request is repeated.
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
    offsets: OffsetManager,
    orders: Receiver<KeeperOrder>,
    /// Disconnected when the owner is gone. `orders` stays connected then: the member thread also sends
    /// there.
    owner: Receiver<()>,
    to_owner: Sender<OwnerMessage>,
    member: Sender<MemberOrder>,
    /// The number of the last assignment.
    number: u64,
    /// The partitions of the assignment whose committed offsets are not known yet.
    unfetched: Vec<TopicPartition>,
    /// The offsets to commit, until the coordinator has accepted them.
    ordered: Option<Vec<Commit>>,
    failing: bool,
    pauses: Backoff,
    next: Instant,
}

impl OffsetKeeper {
    pub(super) fn new(offsets: OffsetManager, channels: KeeperChannels) -> Self {
        let KeeperChannels { orders, owner, to_owner, member } = channels;
        Self {
            offsets,
            orders,
            owner,
            to_owner,
            member,
            number: 0,
            unfetched: Vec::new(),
            ordered: None,
            failing: false,
            pauses: Backoff::new(KEEPER_PAUSES.0, KEEPER_PAUSES.1),
            next: Instant::now(),
        }
    }

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for an order or for due work, and does it.
    fn round(&mut self) -> Result<(), OwnerGone> {
        let is_busy = !self.unfetched.is_empty() || self.ordered.is_some();
        let renew_at = self.offsets.renew_at();
        let due = if is_busy { self.next.min(renew_at) } else { renew_at };
        select! {
            recv(self.orders) -> order => return order.map_or(Err(OwnerGone), |order| self.take(order)),
            recv(self.owner) -> _ => return Err(OwnerGone),
            default(due.saturating_duration_since(Instant::now())) => {}
        }
        if Instant::now() >= self.next {
            self.assign()?;
            self.commit()?;
        }
        if Instant::now() >= self.offsets.renew_at() { self.renew() } else { Ok(()) }
    }

    fn take(&mut self, order: KeeperOrder) -> Result<(), OwnerGone> {
        self.pauses.reset();
        self.next = Instant::now();
        match order {
            KeeperOrder::Assign(assignment) => {
                let MemberAssignment { number, committer, partitions } = assignment;
                self.offsets.begin(committer);
                self.number = number;
                self.unfetched = partitions;
                if self.unfetched.is_empty() { self.report_assigned(number, Vec::new()) } else { Ok(()) }
            }
            KeeperOrder::Commit(offsets) => {
                self.ordered = Some(offsets);
                Ok(())
            }
            KeeperOrder::Released => {
                self.unfetched.clear();
                self.offsets.end();
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

    /// Reports that the coordinator answers again, if a fault was reported before.
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

    /// If the coordinator has refused the member itself, the member's thread is told.
    fn pass_on_refusal(&mut self) {
        if let Some((generation, code)) = self.offsets.take_refused_member() {
            // If the member's thread has ended, this thread will end, too.
            let _gone = self.member.send(MemberOrder::Refused(generation, code));
        }
    }

    /// One attempt to fetch the offsets of the assignment that are not known yet.
    fn assign(&mut self) -> Result<(), OwnerGone> {
        if self.unfetched.is_empty() {
            return Ok(());
        }
        let answer = self.offsets.assign(&self.unfetched);
        self.pass_on_refusal();
        match answer {
            Ok((assigned, fault)) => {
                let done: BTreeSet<&TopicPartition> = assigned.iter().map(|one| &one.partition).collect();
                self.unfetched.retain(|one| !done.contains(one));
                if !assigned.is_empty() {
                    self.report_assigned(self.number, assigned)?;
                }
                fault.map_or(Ok(()), |fault| self.fault(fault))
            }
            Err(fault) => self.fault(fault),
        }
    }

    /// One attempt to commit. What fails is tried again, as long as the assignment lasts.
    fn commit(&mut self) -> Result<(), OwnerGone> {
        let Some(offsets) = self.ordered.take() else { return Ok(()) };
        let outcome = self.offsets.commit(offsets, Instant::now());
        self.pass_on_refusal();
        match outcome {
            CommitOutcome::Committed { offsets, refused } => {
                if !refused.is_empty() {
                    self.report(GroupEvent::Refused(refused))?;
                }
                self.report(GroupEvent::Committed(offsets))
            }
            CommitOutcome::Failed { fault, again } => {
                self.ordered = Some(again);
                self.fault(fault)
            }
        }
    }

    fn renew(&mut self) -> Result<(), OwnerGone> {
        let answer = self.offsets.renew_if_due(Instant::now());
        self.pass_on_refusal();
        match answer {
            Ok(true) => self.recovered(),
            Ok(false) => Ok(()),
            Err(fault) => self.fault(fault),
        }
    }
}

#[cfg(test)]
mod tests;
