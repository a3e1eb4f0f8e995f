//! The thread of [`super::standalone::Standalone`]: asks for partitions, and drives an [`OffsetManager`].
//! Each of these has its own interval: a refused commit must not keep new partitions from being found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::offset_manager::{CommitOutcome, Committer, OffsetManager};
use super::offset_store::{ClaimNamer, OffsetStore};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::seam::{Assigned, GroupEvent};
use crate::record::{Commit, TopicPartition};
use crate::threads::OwnerGone;

/// How often the thread does its work.
#[derive(Debug, Clone, Copy)]
pub(in crate::kafka) struct StandaloneIntervals {
    /// Between two requests for the topics' partitions.
    pub(super) look: Duration,
    /// After this time offsets that have not changed are committed again. Brokers before Kafka 2.0 delete
    /// an offset one day after its last commit, later ones after seven days (`offsets.retention.minutes`).
    pub(super) renew: Duration,
    /// The first and the longest pause before a failed request is repeated.
    pub(super) pauses: (Duration, Duration),
}

impl Default for StandaloneIntervals {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(10),
            renew: Duration::from_secs(6 * 3600),
            pauses: (Duration::from_millis(200), Duration::from_secs(10)),
        }
    }
}

/// See the module.
pub(super) struct StandaloneThread {
    offsets: OffsetManager,
    topics: Vec<String>,
    pace: StandaloneIntervals,
    /// Disconnected when the owner is gone.
    orders: Receiver<Vec<Commit>>,
    events: Sender<Result<GroupEvent, Fault>>,
    assigned: BTreeSet<TopicPartition>,
    /// The partitions that each topic had when it was first seen.
    first: BTreeMap<String, BTreeSet<i32>>,
    ordered: CommitOrder,
    looks: Backoff,
    commits: Backoff,
    look_at: Instant,
}

/// The state of the owner's order to commit.
enum CommitOrder {
    /// There is none.
    Nothing,
    /// These offsets are to be committed at this time.
    Try(Instant, Vec<Commit>),
    /// These offsets are committed and others were refused. The owner is told at this time, and then orders
    /// the refused ones again.
    Report(Instant, Vec<(TopicPartition, i64)>),
}

impl StandaloneThread {
    pub(super) fn new(
        store: Box<dyn OffsetStore>,
        topics: &[String],
        names: ClaimNamer,
        pace: StandaloneIntervals,
        orders: Receiver<Vec<Commit>>,
        events: Sender<Result<GroupEvent, Fault>>,
    ) -> Self {
        let mut offsets = OffsetManager::new(store, names, pace.renew, Instant::now());
        offsets.begin(Committer::standalone());
        Self {
            offsets,
            topics: topics.to_vec(),
            pace,
            orders,
            events,
            assigned: BTreeSet::new(),
            first: BTreeMap::new(),
            ordered: CommitOrder::Nothing,
            looks: Backoff::new(pace.pauses.0, pace.pauses.1),
            commits: Backoff::new(pace.pauses.0, pace.pauses.1),
            look_at: Instant::now(),
        }
    }

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for an order or for due work, and does it.
    fn round(&mut self) -> Result<(), OwnerGone> {
        let mut due = self.look_at.min(self.offsets.renew_at());
        if let CommitOrder::Try(at, _) | CommitOrder::Report(at, _) = self.ordered {
            due = due.min(at);
        }
        match self.orders.recv_deadline(due) {
            Ok(offsets) => {
                self.ordered = CommitOrder::Try(Instant::now(), offsets);
                self.commits.reset();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(OwnerGone),
        }
        let now = Instant::now();
        match std::mem::replace(&mut self.ordered, CommitOrder::Nothing) {
            CommitOrder::Try(at, offsets) if now >= at => self.commit(offsets)?,
            CommitOrder::Report(at, done) if now >= at => self.report(GroupEvent::Committed(done))?,
            later => self.ordered = later,
        }
        if now >= self.look_at {
            let complete = self.look()?;
            let pause = if complete { self.pace.look } else { self.looks.pause() };
            self.look_at = Instant::now() + pause;
        }
        match self.offsets.renew_if_due(now) {
            Ok(_) => Ok(()),
            Err(fault) => self.fault(fault),
        }
    }

    fn report(&self, event: GroupEvent) -> Result<(), OwnerGone> {
        self.events.send(Ok(event)).map_err(|_| OwnerGone)
    }

    /// Reports a fault. `Fatal` ends the thread; anything else is tried again.
    fn fault(&self, fault: Fault) -> Result<(), OwnerGone> {
        match fault {
            Fault::Fatal(_) => {
                let _owner_may_be_gone = self.events.send(Err(fault));
                Err(OwnerGone)
            }
            other => self.report(GroupEvent::Failed(other.to_string())),
        }
    }

    // ---- Partitions

    /// Assigns partitions that are not assigned yet. True if every topic exists and every partition is
    /// assigned.
    fn look(&mut self) -> Result<bool, OwnerGone> {
        let topics = match self.offsets.partitions(&self.topics) {
            Ok(topics) => topics,
            Err(fault) => return self.fault(fault).map(|()| false),
        };
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for (topic, numbers) in self.topics.iter().zip(topics) {
            match numbers {
                Ok(numbers) if numbers.is_empty() => {
                    missing.push(format!(
                        "the topic {topic} does not exist yet: create it, or correct kafka['topics']"
                    ));
                }
                Ok(numbers) => {
                    self.first.entry(topic.clone()).or_insert_with(|| numbers.iter().copied().collect());
                    found.extend(numbers.into_iter().map(|one| TopicPartition::new(topic.as_str(), one)));
                }
                Err(why) => missing.push(why),
            }
        }
        found.retain(|one| !self.assigned.contains(one));
        if !found.is_empty() {
            match self.assign(&found) {
                Ok(None) => {}
                Ok(Some(fault)) | Err(fault) => return self.fault(fault).map(|()| false),
            }
        }
        if !missing.is_empty() {
            return self.report(GroupEvent::Failed(missing.join("; "))).map(|()| false);
        }
        self.looks.reset();
        self.report(GroupEvent::Reached).map(|()| true)
    }

    /// Assigns the partitions whose offsets were fetched and, where needed, claimed. Gives the fault of
    /// one of the others.
    fn assign(&mut self, found: &[TopicPartition]) -> Result<Option<Fault>, Fault> {
        let (mut assigned, fault) = self.offsets.assign(found)?;
        for Assigned { partition, new, .. } in &mut assigned {
            let first = self.first.get(&*partition.topic);
            *new = first.is_some_and(|first| !first.contains(&partition.partition));
            self.assigned.insert(partition.clone());
        }
        if !assigned.is_empty() {
            // If this fails, the owner is gone, which the wait for the next order notices.
            let _gone = self.report(GroupEvent::Assigned(assigned));
        }
        Ok(fault)
    }

    // ---- Commits

    /// One attempt to commit. If every offset is refused, all are tried again. If some are refused, the
    /// owner is told a little later which ones were committed.
    fn commit(&mut self, offsets: Vec<Commit>) -> Result<(), OwnerGone> {
        match self.offsets.commit(offsets, Instant::now()) {
            CommitOutcome::Committed { offsets, refused } if refused.is_empty() => {
                self.report(GroupEvent::Committed(offsets))
            }
            CommitOutcome::Committed { offsets, .. } => {
                // The owner orders the refused offsets again as soon as it is told of the committed ones.
                self.ordered = CommitOrder::Report(Instant::now() + self.pace.pauses.1 / 2, offsets);
                Ok(())
            }
            CommitOutcome::Failed { fault, again } => {
                self.fault(fault)?;
                self.ordered = CommitOrder::Try(Instant::now() + self.commits.pause(), again);
                Ok(())
            }
        }
    }
}
