//! A member of a consumer group: Kafka shares the partitions out among its members and
//! moves them when one dies. This is the owner's side, a [`GroupClient`]; what takes time is
//! done in three threads, which nobody waits for.
//!
//! The protocol is the one that all brokers from 0.9 to 4.x speak (KIP-62 and before:
//! JoinGroup, SyncGroup, Heartbeat), shared out eagerly by `range`: before a member joins
//! a new generation it lets go of all it had.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};

use super::config::MemberConfig;
use super::member::MemberThread;
use super::messages::{GroupThread, KeeperOrder, MemberOrder, OwnerMessage};
use super::offset_keeper::{KeeperChannels, OffsetKeeper};
use super::offset_store::ClaimNamer;
use super::state::{MemberState, MemberTimeouts};
use super::topic_watcher::TopicWatcher;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::connection::ConnectionLimits;
use crate::kafka::cluster::Cluster;
use crate::kafka::lease::Lease;
use crate::kafka::seam::{GroupClient, GroupEvent};
use crate::record::{Commit, TopicPartition};
use crate::threads;

/// A commit that takes longer is talked about.
const SLOW_COMMIT_AFTER: Duration = Duration::from_secs(15);

/// See the module.
pub struct Coordinated {
    failing: BTreeSet<GroupThread>,
    lease: Lease,
    member: Sender<MemberOrder>,
    offsets: Sender<KeeperOrder>,
    /// Closes with this value, and so ends the threads.
    _owner: Sender<()>,
    messages: Receiver<OwnerMessage>,
    committing: Option<Instant>,
    /// What the member was last asked to let go by.
    revocation: u64,
}

impl Coordinated {
    /// Begins to join the group.
    ///
    /// # Errors
    /// `Retry`: no thread can be had.
    pub fn new(cluster: &Cluster, config: MemberConfig, names: ClaimNamer) -> Result<Self, Fault> {
        let lease = Lease::expired();
        let (member, orders) = unbounded();
        let (offsets, keeper_orders) = unbounded();
        let (owner, owned) = bounded(0);
        let (tell, messages) = unbounded();
        let slow = cluster.limits();
        let brokers = Brokers::new(&cluster.brokers, &cluster.client_id, slow);
        // A coordinator that hangs must be found out well within the session.
        let third = config.session / 3;
        let quick = ConnectionLimits {
            connect_timeout: slow.connect_timeout.min(third),
            answer_timeout: slow.answer_timeout.min(third),
            ..slow
        };
        let watcher = TopicWatcher::new(
            config.topics.clone(),
            brokers.with_own_connections(slow),
            config.pace.look,
            owned.clone(),
            tell.clone(),
            member.clone(),
        );
        let (owned_too, tell_too, member_too) = (owned.clone(), tell.clone(), member.clone());
        let channels =
            KeeperChannels { orders: keeper_orders, owner: owned_too, tell: tell_too, member: member_too };
        let keeper = OffsetKeeper::new(
            &config.group,
            names,
            brokers.with_own_connections(slow),
            config.pace.renew,
            channels,
        );
        let times = MemberTimeouts { session: config.session, rebalance: config.pace.rebalance };
        let (instance, id) = (config.instance.clone(), config.id.clone().unwrap_or_default());
        let state = MemberState::new(times, lease.clone(), instance, id);
        let thread = MemberThread::new(
            config,
            brokers.with_own_connections(quick),
            state,
            orders,
            owned,
            tell,
            offsets.clone(),
        );
        start("kafka-topics", move || watcher.run())?;
        start("kafka-group", move || keeper.run())?;
        start("kafka-member", move || thread.run())?;
        Ok(Self {
            lease,
            member,
            offsets,
            _owner: owner,
            messages,
            committing: None,
            revocation: 0,
            failing: BTreeSet::new(),
        })
    }

    /// What is the owner's to know of it, if anything.
    fn event_of(&mut self, message: OwnerMessage) -> Result<Option<GroupEvent>, Fault> {
        Ok(Some(match message {
            OwnerMessage::Failed(part, why) => {
                self.failing.insert(part);
                GroupEvent::Failed(why)
            }
            OwnerMessage::Recovered(part) => {
                // The group is reached when nobody is in trouble any more.
                self.failing.remove(&part);
                return Ok(self.failing.is_empty().then_some(GroupEvent::Reached));
            }
            OwnerMessage::Event(event) => {
                if matches!(event, GroupEvent::Committed(_)) {
                    self.committing = None;
                }
                event
            }
            OwnerMessage::Revoked(revocation, until) => {
                self.revocation = revocation;
                GroupEvent::Revoked(until)
            }
            OwnerMessage::Lost(revocation) => {
                self.revocation = revocation;
                GroupEvent::Lost
            }
            OwnerMessage::Assigned(revocation, assigned) if revocation == self.revocation => {
                GroupEvent::Assigned(assigned)
            }
            // Found out too late: it was to be let go before it came.
            OwnerMessage::Assigned(..) => return Ok(None),
            OwnerMessage::Named(id, silent) => GroupEvent::Named { id, silent },
            OwnerMessage::Fenced(why) => GroupEvent::Fenced(why),
            OwnerMessage::Fault(fault) => return Err(fault),
        }))
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    threads::spawn(name, body)
        .map(drop)
        .map_err(|error| Fault::Retry(format!("cannot start a thread: {error}")))
}

impl GroupClient for Coordinated {
    fn next(&mut self) -> Result<GroupEvent, Fault> {
        loop {
            match self.messages.try_recv() {
                Ok(message) => {
                    if let Some(event) = self.event_of(message)? {
                        return Ok(event);
                    }
                }
                Err(TryRecvError::Empty) => {
                    let is_slow = self.committing.is_some_and(|since| since.elapsed() > SLOW_COMMIT_AFTER);
                    let why = "the group's coordinator does not answer a commit";
                    return Ok(if is_slow {
                        GroupEvent::Failed(why.to_owned())
                    } else {
                        GroupEvent::Unchanged
                    });
                }
                Err(TryRecvError::Disconnected) => {
                    return Err(Fault::Retry("the group's threads ended".to_owned()));
                }
            }
        }
    }

    fn commit(&mut self, offsets: Vec<Commit>) {
        self.committing = Some(Instant::now());
        // Threads that have ended are found out by `next`.
        let _ended = self.offsets.send(KeeperOrder::Commit(offsets));
    }

    fn confirm_release(&mut self) {
        let _ended = self.offsets.send(KeeperOrder::Released);
        let _ended = self.member.send(MemberOrder::Released(self.revocation));
    }

    fn lease(&self) -> Lease {
        self.lease.clone()
    }

    fn finish_commit(&mut self, until: Instant) -> Option<Vec<(TopicPartition, i64)>> {
        self.committing?;
        loop {
            let message = self.messages.recv_deadline(until).ok()?;
            if let Ok(Some(GroupEvent::Committed(offsets))) = self.event_of(message) {
                return Some(offsets);
            }
        }
    }

    fn leave_group(&mut self, until: Instant) {
        let (done, left) = bounded(1);
        let _ended = self.member.send(MemberOrder::Leave(done));
        // Whatever comes of it: after the session's time the others know.
        let _left = left.recv_deadline(until);
        self.lease.end();
    }
}
