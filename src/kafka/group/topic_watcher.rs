//! The thread that asks for the subscribed topics and their partition counts. It is a separate thread,
//! because a broker that hangs must not delay heartbeats or commits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::messages::{GroupThread, MemberOrder, OwnerMessage};
use super::topic_snapshot::{SubscribedTopics, TopicSnapshot};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::metadata::TopicMetadata;
use crate::kafka::protocol::messages::{AllTopics, Metadata};
use crate::threads::OwnerGone;

/// The first and the longest pause before a failed request is repeated.
const WATCHER_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A lower count of topics or partitions is believed only after this many answers in a row: a broker that
/// has just started knows no topics for a while.
const SHRUNK_LOOKS_MIN: u32 = 3;

/// See the module.
pub(super) struct TopicWatcher {
    topics: SubscribedTopics,
    brokers: Brokers,
    every: Duration,
    /// Disconnected when the owner is gone.
    owner: Receiver<()>,
    to_owner: Sender<OwnerMessage>,
    member: Sender<MemberOrder>,
    known: KnownTopics,
    pauses: Backoff,
}

impl TopicWatcher {
    pub(super) fn new(
        topics: SubscribedTopics,
        brokers: Brokers,
        every: Duration,
        owner: Receiver<()>,
        to_owner: Sender<OwnerMessage>,
        member: Sender<MemberOrder>,
    ) -> Self {
        let pauses = Backoff::new(WATCHER_PAUSES.0, WATCHER_PAUSES.1);
        Self { topics, brokers, every, owner, to_owner, member, known: KnownTopics::default(), pauses }
    }

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        while self.look().is_ok() {}
    }

    fn look(&mut self) -> Result<(), OwnerGone> {
        let pause = match self.found() {
            Ok((counts, missing)) => {
                let seen = self.known.take(counts);
                self.member.send(MemberOrder::Topics(seen)).map_err(|_| OwnerGone)?;
                if missing.is_empty() {
                    self.pauses.reset();
                    self.report(OwnerMessage::Recovered(GroupThread::Topics))?;
                    self.every
                } else {
                    self.report(OwnerMessage::Failed(GroupThread::Topics, missing.join("; ")))?;
                    self.pauses.pause()
                }
            }
            Err(Fault::Retry(why)) => {
                self.report(OwnerMessage::Failed(GroupThread::Topics, why))?;
                self.pauses.pause()
            }
            Err(other) => {
                let _owner_may_be_gone = self.to_owner.send(OwnerMessage::Fault(other));
                return Err(OwnerGone);
            }
        };
        match self.owner.recv_deadline(Instant::now() + pause) {
            Err(RecvTimeoutError::Disconnected) => Err(OwnerGone),
            Ok(()) | Err(RecvTimeoutError::Timeout) => Ok(()),
        }
    }

    fn report(&self, message: OwnerMessage) -> Result<(), OwnerGone> {
        self.to_owner.send(message).map_err(|_| OwnerGone)
    }

    /// The partition counts of the topics, and a text for each topic that is missing.
    fn found(&mut self) -> Result<(BTreeMap<String, usize>, Vec<String>), Fault> {
        let topics = match &self.topics {
            SubscribedTopics::Named(topics) => self.brokers.ask(&Metadata { topics })?.topics,
            SubscribedTopics::Like(_) => self.brokers.ask(&AllTopics)?.topics,
        };
        let (mut counts, mut missing) = (BTreeMap::new(), Vec::new());
        for TopicMetadata { code, name, partitions, .. } in topics {
            if !self.topics.contains(&name) {
                continue;
            }
            match code {
                ErrorCode::NONE if !partitions.is_empty() => drop(counts.insert(name, partitions.len())),
                ErrorCode::NONE | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::LEADER_NOT_AVAILABLE => {
                    missing.push(format!(
                        "the topic {name} does not exist yet: create it, or correct kafka['topics']"
                    ));
                }
                code => missing
                    .push(format!("cannot read the metadata of the topic {name}: Kafka answers {code}")),
            }
        }
        if counts.is_empty() && missing.is_empty() {
            missing.push(format!(
                "no topic matches {} yet: create one, or correct kafka['topics']",
                self.topics
            ));
        }
        Ok((counts, missing))
    }
}

/// The known partition counts, and for how many answers in a row each was lower. Pure.
#[derive(Debug, Default)]
struct KnownTopics {
    counts: BTreeMap<String, usize>,
    less: BTreeMap<String, u32>,
}

impl KnownTopics {
    /// Takes an answer. Higher counts are believed at once, lower ones when they stay.
    fn take(&mut self, found: BTreeMap<String, usize>) -> TopicSnapshot {
        let before = std::mem::take(&mut self.counts);
        let mut less = BTreeMap::new();
        self.counts.clone_from(&found);
        for (topic, count) in before {
            if found.get(&topic).copied().unwrap_or(0) >= count {
                continue;
            }
            let times = self.less.get(&topic).copied().unwrap_or(0) + 1;
            if times < SHRUNK_LOOKS_MIN {
                less.insert(topic.clone(), times);
                self.counts.insert(topic, count);
            }
        }
        self.less = less;
        TopicSnapshot { counts: self.counts.clone() }
    }
}

#[cfg(test)]
mod tests;
