//! The thread that is the member: joins, shares out when it leads, and gives a sign of
//! life. Its connection to the coordinator is its own, so that nothing else delays a
//! heartbeat.

mod join;

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::config::MemberConfig;
use super::error_handling::{GroupCall, Verdict, fenced, remedy};
use super::messages::{GroupThread, KeeperOrder, MemberOrder, OwnerMessage};
use super::state::{MemberState, MembershipChange, Phase};
use super::topic_snapshot::TopicSnapshot;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::host;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::connection::Connection;
use crate::kafka::client::coordinator;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::{Heartbeat, LeaveGroup};
use crate::threads::OwnerGone;

/// The pause before what failed is tried again.
const MEMBER_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// And before what somebody has to mend is.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// How long a member that has nothing to do waits for an order.
const ORDER_WAIT_MAX: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct MemberThread {
    config: MemberConfig,
    brokers: Brokers,
    connection: Option<Connection>,
    state: MemberState,
    seen: Option<TopicSnapshot>,
    /// The digest that the present generation was shared out by.
    assigned_digest: Vec<u8>,
    orders: Receiver<MemberOrder>,
    /// Closes when the owner is gone: the other threads give orders, too.
    owner: Receiver<()>,
    /// Came in while an answer was waited for.
    deferred: Vec<MemberOrder>,
    tell: Sender<OwnerMessage>,
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
        tell: Sender<OwnerMessage>,
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
            tell,
            offsets,
            pauses: Backoff::new(MEMBER_PAUSES.0, MEMBER_PAUSES.1),
            next: Instant::now(),
            failing: false,
        }
    }

    /// Until the owner is gone, or the group is left.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for an order or for what is due, and does it.
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
        if let Some(tell) = self.state.at(host::since_boot()) {
            self.pass_on(tell)?;
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
                        "the group '{}': partitions have come or gone; sharing out anew",
                        self.config.group
                    );
                    if let Some(tell) = self.state.revoke() {
                        self.pass_on(tell)?;
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
                    let (_, tell) = self.state.answered(GroupCall::Commit, code, Duration::ZERO);
                    tell.map_or(Ok(()), |tell| self.pass_on(tell))?;
                }
            }
            MemberOrder::Leave(done) => {
                self.leave();
                // Whoever asked may have given up waiting.
                let _given_up = done.send(());
                return Err(OwnerGone);
            }
        }
        Ok(())
    }

    // ---- What the owner hears

    fn tell(&self, message: OwnerMessage) -> Result<(), OwnerGone> {
        self.tell.send(message).map_err(|_| OwnerGone)
    }

    fn pass_on(&mut self, tell: MembershipChange) -> Result<(), OwnerGone> {
        self.next = Instant::now();
        match tell {
            MembershipChange::Revoked { revocation, until } => {
                let left = until.saturating_sub(host::since_boot());
                self.tell(OwnerMessage::Revoked(revocation, Instant::now() + left))
            }
            MembershipChange::Lost { revocation } => {
                log::warn!(
                    "the group '{}' went on without this member: its partitions are lost",
                    self.config.group
                );
                self.tell(OwnerMessage::Lost(revocation))
            }
            MembershipChange::Fenced => {
                self.tell(OwnerMessage::Fenced(fenced(&self.config.instance)))?;
                Err(OwnerGone)
            }
        }
    }

    /// It did not work; it is tried again.
    fn fail(&mut self, fault: Fault, pause: Option<Duration>) -> Result<(), OwnerGone> {
        self.next = Instant::now() + pause.unwrap_or_else(|| self.pauses.pause());
        self.failing = true;
        match fault {
            Fault::Retry(why) => self.tell(OwnerMessage::Failed(GroupThread::Member, why)),
            other => {
                self.tell(OwnerMessage::Fault(other))?;
                Err(OwnerGone)
            }
        }
    }

    fn recovered(&mut self) -> Result<(), OwnerGone> {
        self.pauses.reset();
        if std::mem::take(&mut self.failing) {
            self.tell(OwnerMessage::Recovered(GroupThread::Member))
        } else {
            Ok(())
        }
    }

    /// What an answer asks for beyond what the state has made of it.
    fn act(&mut self, verdict: Verdict, code: ErrorCode) -> Result<(), OwnerGone> {
        match verdict {
            Verdict::Success => self.recovered(),
            Verdict::FindCoordinator => {
                self.connection = None;
                self.retry(code)
            }
            Verdict::Retry => self.retry(code),
            Verdict::Refused => {
                self.fail(Fault::Retry(remedy(code, &self.config.group)), Some(REFUSED_PAUSE))
            }
            Verdict::Fenced => self.pass_on(MembershipChange::Fenced),
            // In words there is nothing to say, but the group must not be run at.
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

    /// Keeps the connection where the request was answered.
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
        let (verdict, tell) = self.state.answered(GroupCall::Heartbeat, code, sent);
        match verdict {
            Verdict::Success | Verdict::Rebalance => self.recovered()?,
            Verdict::Lost { .. } | Verdict::Fenced => {}
            other => return self.act(other, code),
        }
        self.next = began + self.config.pace.heartbeat;
        tell.map_or(Ok(()), |tell| self.pass_on(tell))
    }

    /// Takes leave, so that the others need not wait; one try, on a new connection if
    /// need be.
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
                Ok(code) => return log::debug!("the group '{}' is left: {code}", self.config.group),
                Err(fault) => log::debug!("cannot leave the group '{}': {fault}", self.config.group),
            }
        }
    }
}
