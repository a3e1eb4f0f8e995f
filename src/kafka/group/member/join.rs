//! Joining the next generation of a group: the subscription, the assignments if this member leads, and
//! its own assignment.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::{MemberThread, REFUSED_PAUSE};
use crate::error::Fault;
use crate::host;
use crate::kafka::client::connection::Connection;
use crate::kafka::client::dialer::JOB;
use crate::kafka::group::error_handling::Verdict;
use crate::kafka::group::messages::{KeeperOrder, MemberAssignment, MemberOrder, OwnerMessage};
use crate::kafka::group::offset_manager::Committer;
use crate::kafka::group::protocol::{Assignment, PROTOCOL_TYPE, RANGE_ASSIGNOR, Subscription};
use crate::kafka::group::range::{RangeMember, assign_ranges};
use crate::kafka::group::topic_snapshot::{SubscribedTopics, TopicSnapshot, is_digest};
use crate::kafka::protocol::messages::join_group::{GroupMember, Joined};
use crate::kafka::protocol::messages::sync_group::Synced;
use crate::kafka::protocol::messages::{JoinGroup, Metadata, SyncGroup};
use crate::kafka::protocol::versions::Versions;
use crate::plural::counted;
use crate::threads::OwnerGone;

impl MemberThread {
    /// The topics that this member subscribes to, and a digest of their partition counts.
    pub(super) fn subscription(&self) -> Subscription {
        let counts = self.seen.as_ref().map(|seen| &seen.counts);
        let topics: Vec<String> = match &self.config.topics {
            SubscribedTopics::Named(names) => names.clone(),
            like @ SubscribedTopics::Like(_) => {
                let known = counts.into_iter().flat_map(|counts| counts.keys());
                known.filter(|name| like.contains(name)).cloned().collect()
            }
        };
        let user_data = self.seen.as_ref().map(|seen| seen.digest(&topics)).unwrap_or_default();
        Subscription { topics, user_data }
    }

    /// Joins the next generation and takes its assignment.
    pub(super) fn join(&mut self) -> Result<(), OwnerGone> {
        let subscription = self.subscription();
        let Ok(metadata) = subscription.encode() else {
            return self.fail(
                Fault::Fatal(
                    "the name of a topic is longer than the protocol allows: correct kafka['topics']"
                        .to_owned(),
                ),
                None,
            );
        };
        let before = self.state.id().to_owned();
        let joined = match self.join_group(&metadata) {
            Ok(joined) => joined,
            Err(fault) => return self.fail_unless_leaving(fault),
        };
        let verdict = self.state.joined(&joined);
        if self.state.id() != before && !self.state.id().is_empty() {
            let versions = self.connection.as_ref().map(Connection::versions);
            let silent = versions == Some(&Versions::Silent);
            self.report(OwnerMessage::Named(self.state.id().to_owned(), silent))?;
        }
        match verdict {
            Verdict::Success => {}
            Verdict::TakeId => {
                self.next = Instant::now();
                return Ok(());
            }
            other => return self.act(other, joined.code),
        }
        let sent = host::since_boot();
        let synced = self.assignments(&joined).and_then(|all| self.sync_group(&all));
        let (code, assignment) = match synced {
            Ok(synced) => (synced.code, synced.assignment),
            Err(fault) => return self.fail_unless_leaving(fault),
        };
        match self.state.synced(code, sent) {
            Verdict::Success => self.take(&assignment, subscription),
            other => self.act(other, code),
        }
    }

    fn fail_unless_leaving(&mut self, fault: Fault) -> Result<(), OwnerGone> {
        let leaving = self.deferred.iter().any(|order| matches!(order, MemberOrder::Leave(_)));
        if leaving { Ok(()) } else { self.fail(fault, None) }
    }

    /// Sends JoinGroup. The answer may take as long as other members need to release their partitions.
    fn join_group(&mut self, metadata: &[u8]) -> Result<Joined, Fault> {
        let mut connection = self.connected()?;
        let version = connection.versions().choose::<JoinGroup<'_>>();
        self.state.set_join_version(
            version.map_err(|why| Fault::Fatal(format!("{}: {why}", connection.address())))?,
        );
        let request = JoinGroup {
            group: &self.config.group,
            session_ms: millis(self.config.session),
            rebalance_ms: millis(self.config.pace.rebalance),
            member: self.state.id(),
            instance: self.state.instance(),
            kind: PROTOCOL_TYPE,
            protocols: &[(RANGE_ASSIGNOR, metadata)],
        };
        let (owner, orders, deferred) = (&self.owner, &self.orders, &mut self.deferred);
        let patience = self.config.pace.rebalance;
        let answer = connection.ask_patiently(&request, patience, || keep_waiting(owner, orders, deferred));
        self.keep(connection, answer)
    }

    fn sync_group(&mut self, assignments: &[(String, Vec<u8>)]) -> Result<Synced, Fault> {
        let mut connection = self.connected()?;
        let request = SyncGroup { group: &self.config.group, member: self.state.member(), assignments };
        let (owner, orders, deferred) = (&self.owner, &self.orders, &mut self.deferred);
        let patience = self.config.session;
        let answer = connection.ask_patiently(&request, patience, || keep_waiting(owner, orders, deferred));
        self.keep(connection, answer)
    }

    /// The assignment of each member, encoded, if this one leads the group; nothing otherwise.
    fn assignments(&mut self, joined: &Joined) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        if joined.leader != joined.member {
            return Ok(Vec::new());
        }
        let members: Vec<RangeMember> =
            joined.members.iter().map(|one| range_member(&self.config.group, one)).collect();
        let mut topics: Vec<String> = members.iter().flat_map(|one| one.topics.iter().cloned()).collect();
        topics.sort();
        topics.dedup();
        let seen = self.topic_counts(&topics)?;
        let mut ranges = assign_ranges(&members, &seen.counts);
        let assignments = members.iter().map(|one| {
            let partitions = ranges.remove(&one.id).unwrap_or_default();
            let assignment = Assignment { partitions, user_data: seen.digest(&one.topics) };
            let bytes = assignment.encode();
            bytes.map(|bytes| (one.id.clone(), bytes)).map_err(|_| {
                Fault::Retry("the assignment of a member is longer than the protocol allows".to_owned())
            })
        });
        log::info!(
            "{JOB}: group '{}': this member leads the group and assigns the partitions to {}",
            self.config.group,
            counted(members.len(), "member")
        );
        assignments.collect()
    }

    /// The partition counts of the topics of all members; this member may subscribe to only some of them.
    fn topic_counts(&mut self, topics: &[String]) -> Result<TopicSnapshot, Fault> {
        let mut seen = TopicSnapshot::default();
        if topics.is_empty() {
            return Ok(seen);
        }
        for topic in self.brokers.ask(&Metadata { topics })?.topics {
            seen.counts.insert(topic.name, topic.partitions.len());
        }
        // A broker that has just started may know fewer partitions than were seen before.
        for (topic, count) in self.seen.iter().flat_map(|known| &known.counts) {
            if let Some(there) = seen.counts.get_mut(topic) {
                *there = (*there).max(*count);
            }
        }
        Ok(seen)
    }

    fn take(&mut self, assignment: &[u8], subscription: Subscription) -> Result<(), OwnerGone> {
        let assignment = match Assignment::decode(assignment) {
            Ok(assignment) => assignment,
            Err(why) => {
                let why = format!(
                    "the leader of the group '{}' sent an assignment that cannot be read: {why}",
                    self.config.group
                );
                return self.fail(Fault::Retry(why), Some(REFUSED_PAUSE));
            }
        };
        let Assignment { mut partitions, user_data } = assignment;
        partitions.retain(|one| self.config.topics.contains(&one.topic));
        // A leader that is no pandad sends no digest.
        self.assigned_digest = if is_digest(&user_data) { user_data } else { subscription.user_data };
        log::info!(
            "{JOB}: group '{}': this member has {} in generation {} (member id {})",
            self.config.group,
            counted(partitions.len(), "partition"),
            self.state.generation(),
            self.state.id()
        );
        self.next = Instant::now() + self.config.pace.heartbeat;
        self.recovered()?;
        let committer = Committer {
            generation: self.state.generation(),
            id: self.state.id().to_owned(),
            instance: self.state.instance().map(str::to_owned),
        };
        let assignment = MemberAssignment { number: self.state.revocation(), committer, partitions };
        // If this fails, the offset keeper has ended, and this thread will end, too.
        self.offsets.send(KeeperOrder::Assign(assignment)).map_err(|_| OwnerGone)
    }
}

/// Defers the orders that come while the thread waits for an answer. False if it must not wait longer:
/// the owner is gone or wants to leave the group.
fn keep_waiting(
    owner: &Receiver<()>,
    orders: &Receiver<MemberOrder>,
    deferred: &mut Vec<MemberOrder>,
) -> bool {
    deferred.extend(orders.try_iter());
    let is_gone = owner.try_recv() == Err(TryRecvError::Disconnected);
    !is_gone && !deferred.iter().any(|order| matches!(order, MemberOrder::Leave(_)))
}

fn range_member(group: &str, member: &GroupMember) -> RangeMember {
    let topics = match Subscription::decode(&member.metadata) {
        Ok(subscription) => subscription.topics,
        Err(why) => {
            log::warn!(
                "{JOB}: group '{group}': cannot read the subscription of the member {} ({why}): that member \
                 gets no partitions; let it use the 'range' assignor, or another group",
                member.id
            );
            Vec::new()
        }
    };
    RangeMember { id: member.id.clone(), instance: member.instance.clone(), topics }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
