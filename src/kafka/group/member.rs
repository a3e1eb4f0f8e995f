//! The member's thread: joins, assigns partitions if it leads the group, and sends heartbeats. It has
//! its own connection to the coordinator, so that nothing else delays a heartbeat.

mod join;

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::config::MemberConfig;
use super::error_handling::{GroupCall, Verdict, fenced};
use super::messages::{GroupThread, KeeperOrder, MemberOrder, OwnerMessage};
use super::state::{MemberState, MembershipChange, Phase};
use super::topic_snapshot::TopicSnapshot;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::host;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::connection::Connection;
use crate::kafka::client::coordinator;
use crate::kafka::client::dialer::JOB;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::{Heartbeat, LeaveGroup};
use crate::threads::OwnerGone;

/// The first and the longest pause before a failed request is repeated.
const MEMBER_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The pause after a refusal that only a changed setting can end.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// How long a member without work waits for an order.
const ORDER_WAIT_MAX: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct MemberThread {
    config: MemberConfig,
    brokers: Brokers,
    connection: Option<Connection>,
    state: MemberState,
    seen: Option<TopicSnapshot>,
    /// The digest of the topics from which the leader made the present assignment.
    assigned_digest: Vec<u8>,
    orders: Receiver<MemberOrder>,
    /// Disconnected when the owner is gone. `orders` stays connected then: the other threads also send
    /// there.
    owner: Receiver<()>,
    /// Orders that came while the thread waited for an answer.
    deferred: Vec<MemberOrder>,
    to_owner: Sender<OwnerMessage>,
    offsets: Sender<KeeperOrder>,
    pauses: Backoff,
    next: Instant,
    failing: bool,
}

impl MemberThread {
    pub(super) fn new(
        config: MemberConfig,
        brokers: Brokers,
        state: MemberState,
        orders: Receiver<MemberOrder>,
        owner: Receiver<()>,
        to_owner: Sender<OwnerMessage>,
        offsets: Sender<KeeperOrder>,
    ) -> Self {
        Self {
            config,
            brokers,
            connection: None,
            state,
            seen: None,
            assigned_digest: Vec::new(),
            orders,
            owner,
            deferred: Vec::new(),
            to_owner,
            offsets,
            pauses: Backoff::new(MEMBER_PAUSES.0, MEMBER_PAUSES.1),
            next: Instant::now(),
            failing: false,
        }
    }

    /// Runs until the owner is gone, or the member has left the group.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for an order or for due work, and does it.
    fn round(&mut self) -> Result<(), OwnerGone> {
        for order in std::mem::take(&mut self.deferred) {
            self.handle(order)?;
        }
        let left = self.next.saturating_duration_since(Instant::now());
        select! {
            recv(self.orders) -> order => return order.map_or(Err(OwnerGone), |order| self.handle(order)),
            recv(self.owner) -> _ => return Err(OwnerGone),
            default(left) => {}
        }
        if let Some(change) = self.state.at(host::since_boot()) {
            self.pass_on(change)?;
        }
        match self.state.phase() {
            Phase::Out if self.seen.is_some() => self.join(),
            Phase::In | Phase::Releasing { lost: false } => self.heartbeat(),
            Phase::Out | Phase::Releasing { lost: true } | Phase::Down => {
                self.next = Instant::now() + ORDER_WAIT_MAX;
                Ok(())
            }
        }
    }

    fn handle(&mut self, order: MemberOrder) -> Result<(), OwnerGone> {
        match order {
            MemberOrder::Topics(seen) => {
                let first = self.seen.is_none();
                self.seen = Some(seen);
                if first {
                    self.next = Instant::now();
                }
                let now = self.subscription().user_data;
                if self.state.phase() == Phase::In && now != self.assigned_digest {
                    log::info!(
                        "{JOB}: group '{}': topics or partitions were added or removed; \
                         rejoining for a new assignment",
                        self.config.group
                    );
                    if let Some(change) = self.state.revoke() {
                        self.pass_on(change)?;
                    }
                }
            }
            MemberOrder::Released(revocation) => {
                if self.state.confirm_release(revocation) {
                    self.next = Instant::now();
                }
            }
            MemberOrder::Refused(generation, code) => {
                if generation == self.state.generation() {
                    let (_, change) = self.state.answered(GroupCall::Commit, code, Duration::ZERO);
                    change.map_or(Ok(()), |change| self.pass_on(change))?;
                }
            }
            MemberOrder::Leave(done) => {
                self.leave();
                // If this fails, the owner does not wait any more.
                let _given_up = done.send(());
                return Err(OwnerGone);
            }
        }
        Ok(())
    }

    // ---- Messages to the owner

    fn report(&self, message: OwnerMessage) -> Result<(), OwnerGone> {
        self.to_owner.send(message).map_err(|_| OwnerGone)
    }

    fn pass_on(&mut self, change: MembershipChange) -> Result<(), OwnerGone> {
        self.next = Instant::now();
        match change {
            MembershipChange::Revoked { revocation, until } => {
                let left = until.saturating_sub(host::since_boot());
                self.report(OwnerMessage::Revoked(revocation, Instant::now() + left))
            }
            MembershipChange::Lost { revocation } => {
                log::warn!(
                    "{JOB}: group '{}': the group went on without this member, and other members read its \
                     partitions now; if this happens often, look at load, disk and network, or raise \
                     kafka['session_ms']",
                    self.config.group
                );
                self.report(OwnerMessage::Lost(revocation))
            }
            MembershipChange::Fenced => {
                self.report(OwnerMessage::Fenced(fenced(&self.config.instance)))?;
                Err(OwnerGone)
            }
        }
    }

    /// Reports a fault, and tries again after `pause` or the next pause of the backoff.
    fn fail(&mut self, fault: Fault, pause: Option<Duration>) -> Result<(), OwnerGone> {
        self.next = Instant::now() + pause.unwrap_or_else(|| self.pauses.pause());
        self.failing = true;
        match fault {
            Fault::Retry(why) => self.report(OwnerMessage::Failed(GroupThread::Member, why)),
            other => {
                self.report(OwnerMessage::Fault(other))?;
                Err(OwnerGone)
            }
        }
    }

    /// Reports that the coordinator answers again, if a fault was reported before.
    fn recovered(&mut self) -> Result<(), OwnerGone> {
        self.pauses.reset();
        if std::mem::take(&mut self.failing) {
            self.report(OwnerMessage::Recovered(GroupThread::Member))
        } else {
            Ok(())
        }
    }

    /// Does what a verdict asks for, apart from the change of the state.
    fn act(&mut self, verdict: Verdict, code: ErrorCode) -> Result<(), OwnerGone> {
        match verdict {
            Verdict::Success => self.recovered(),
            Verdict::FindCoordinator => {
                self.connection = None;
                self.retry(code)
            }
            Verdict::Retry => self.retry(code),
            Verdict::Refused => {
                let why = format!("the group '{}' refuses this member: {code}", self.config.group);
                self.fail(Fault::Retry(why), Some(REFUSED_PAUSE))
            }
            Verdict::Fenced => self.pass_on(MembershipChange::Fenced),
            // Nothing to report; the pause keeps the thread from sending one request right after the other.
            Verdict::Rebalance | Verdict::Lost { .. } | Verdict::TakeId => {
                self.next = Instant::now() + self.pauses.pause();
                Ok(())
            }
        }
    }

    fn retry(&mut self, code: ErrorCode) -> Result<(), OwnerGone> {
        let group = &self.config.group;
        self.fail(Fault::Retry(format!("the coordinator of the group '{group}' answers {code}")), None)
    }

    // ---- The coordinator

    fn connected(&mut self) -> Result<Connection, Fault> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => coordinator::find(&mut self.brokers, &self.config.group),
        }
    }

    /// Keeps the connection if the request was answered; otherwise avoids its broker for a while.
    fn keep<T>(&mut self, connection: Connection, answer: Result<T, Fault>) -> Result<T, Fault> {
        match answer {
            Ok(answer) => {
                self.brokers.confirm(&connection);
                self.connection = Some(connection);
                Ok(answer)
            }
            Err(fault) => {
                self.brokers.avoid(connection.address());
                Err(fault)
            }
        }
    }

    fn heartbeat(&mut self) -> Result<(), OwnerGone> {
        let sent = host::since_boot();
        let began = Instant::now();
        let answer = self.connected().and_then(|mut connection| {
            let request = Heartbeat { group: &self.config.group, member: self.state.member() };
            let answer = connection.ask(&request);
            self.keep(connection, answer)
        });
        let code = match answer {
            Ok(code) => code,
            Err(fault) => return self.fail(fault, None),
        };
        let (verdict, change) = self.state.answered(GroupCall::Heartbeat, code, sent);
        match verdict {
            Verdict::Success | Verdict::Rebalance => self.recovered()?,
            Verdict::Lost { .. } | Verdict::Fenced => {}
            other => return self.act(other, code),
        }
        self.next = began + self.config.pace.heartbeat;
        change.map_or(Ok(()), |change| self.pass_on(change))
    }

    /// Leaves the group, so that others get the partitions at once. A second attempt uses a new
    /// connection.
    fn leave(&mut self) {
        if self.state.id().is_empty() || self.state.phase() == Phase::Down {
            return;
        }
        for _ in 0..2 {
            let answer = self.connected().and_then(|mut connection| {
                let (member, instance) = (self.state.id(), self.state.instance());
                let answer = connection.ask(&LeaveGroup { group: &self.config.group, member, instance });
                self.keep(connection, answer)
            });
            match answer {
                Ok(code) => {
                    return log::debug!(
                        "{JOB}: group '{}': left, the coordinator answers {code}",
                        self.config.group
                    );
                }
                Err(fault) => log::debug!("{JOB}: group '{}': cannot leave: {fault}", self.config.group),
            }
        }
    }
}

#[cfg(test)]
mod tests;
