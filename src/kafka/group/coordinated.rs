//! [`GroupClient`] as a member of a consumer group: Kafka assigns the partitions to the members. Three
//! threads send all requests, and no call waits for them.
//!
//! The protocol is the classic one that all brokers from 0.9 to 4.x support (JoinGroup, SyncGroup,
//! Heartbeat; KIP-62), with eager `range`: before a member joins a new generation, it releases all its
//! partitions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};

use super::config::MemberConfig;
use super::kafka_offsets::KafkaOffsets;
use super::member::MemberThread;
use super::messages::{GroupThread, KeeperOrder, MemberOrder, OwnerMessage};
use super::offset_keeper::{KeeperChannels, OffsetKeeper};
use super::offset_manager::OffsetManager;
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

/// A commit that takes longer is reported as a failure.
pub(super) const SLOW_COMMIT_AFTER: Duration = Duration::from_secs(15);

/// See the module.
pub struct Coordinated {
    failing: BTreeSet<GroupThread>,
    lease: Lease,
    member: Sender<MemberOrder>,
    offsets: Sender<KeeperOrder>,
    /// The threads end when this value, and with it this sender, is dropped.
    _owner: Sender<()>,
    messages: Receiver<OwnerMessage>,
    committing: Option<Instant>,
    /// The number of the last revocation.
    revocation: u64,
}

impl Coordinated {
    /// Starts the threads, which join the group. `names` gives the epoch that goes into
    /// the token of each claim.
    ///
    /// # Errors
    /// `Retry`: a thread cannot be started.
    pub fn new(cluster: &Cluster, config: MemberConfig, names: ClaimNamer) -> Result<Self, Fault> {
        let lease = Lease::expired();
        let (member, orders) = unbounded();
        let (offsets, keeper_orders) = unbounded();
        let (owner, owned) = bounded(0);
        let (to_owner, messages) = unbounded();
        let slow = cluster.limits();
        let brokers = Brokers::new(&cluster.brokers, cluster.dialer());
        // A coordinator that hangs must be noticed well within the session timeout.
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
            to_owner.clone(),
            member.clone(),
        );
        let (owned_too, to_owner_too, member_too) = (owned.clone(), to_owner.clone(), member.clone());
        let channels = KeeperChannels {
            orders: keeper_orders,
            owner: owned_too,
            to_owner: to_owner_too,
            member: member_too,
        };
        let store = KafkaOffsets::over(brokers.with_own_connections(slow), &config.group);
        let manager = OffsetManager::new(Box::new(store), names, config.pace.renew, Instant::now());
        let keeper = OffsetKeeper::new(manager, channels);
        let times = MemberTimeouts { session: config.session, rebalance: config.pace.rebalance };
        let (instance, id) = (config.instance.clone(), config.id.clone().unwrap_or_default());
        let state = MemberState::new(times, lease.clone(), instance, id);
        let thread = MemberThread::new(
            config,
            brokers.with_own_connections(quick),
            state,
            orders,
            owned,
            to_owner,
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

    /// Takes a message of a thread, and gives the event for the owner, if any.
    ///
    /// # Errors
    /// The fault that ended a thread.
    fn event_of(&mut self, message: OwnerMessage) -> Result<Option<GroupEvent>, Fault> {
        Ok(Some(match message {
            OwnerMessage::Failed(part, why) => {
                self.failing.insert(part);
                GroupEvent::Failed(why)
            }
            OwnerMessage::Recovered(part) => {
                // The group counts as reached only when none of its threads fails.
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
            // The partitions were revoked before their offsets were known.
            OwnerMessage::Assigned(..) => return Ok(None),
            OwnerMessage::Named(id, silent) => GroupEvent::Named { id, silent },
            OwnerMessage::Fenced(why) => GroupEvent::Fenced(why),
            OwnerMessage::Fault(fault) => return Err(fault),
        }))
    }
}

/// Why a commit without an answer is a failure.
pub(super) fn slow_commit() -> String {
    let seconds = SLOW_COMMIT_AFTER.as_secs();
    format!("the coordinator has not answered a commit for more than {seconds} s: look at the brokers")
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    Ok(threads::spawn(name, body).map(drop)?)
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
                    return Ok(if is_slow {
                        GroupEvent::Failed(slow_commit())
                    } else {
                        GroupEvent::Unchanged
                    });
                }
                Err(TryRecvError::Disconnected) => {
                    return Err(Fault::Retry(
                        "internal error: the threads of the group have ended".to_owned(),
                    ));
                }
            }
        }
    }

    fn commit(&mut self, offsets: Vec<Commit>) {
        self.committing = Some(Instant::now());
        // If this fails, the threads have ended; `next` reports that.
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
        // If no answer comes, the coordinator removes the member after the session timeout.
        let _left = left.recv_deadline(until);
        self.lease.end();
    }
}

#[cfg(test)]
mod tests;
