//! The source as a member of its group: it assigns, revokes and commits as the group says. A
//! partition is released when everything of it is written, settled and committed, or dropped
//! because it is not ours any more.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::blocked::pauses;
use super::{
    GROUP_POLL_INTERVAL, GROUP_POLL_INTERVAL_MAX, KafkaSource, NAME, PARTITION_OUTAGE_PATIENCE, RunError,
    TrackedPartition, journal_fault, landmark_pairs, start_text,
};
use crate::config::StartPolicy;
use crate::error::Fault;
use crate::kafka::{Assigned, GroupEvent, StartOffset};
use crate::logfile::MemberIdentity;
use crate::report::Outage;

/// The pause after a commit that did not succeed.
const COMMIT_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// What is not written this long before the group's time limit will not be.
const RELEASE_MARGIN: Duration = Duration::from_secs(1);

/// Partitions that the group has revoked and this member has not released yet.
pub(super) struct PendingRelease {
    /// Until when the partitions are ours. `None` if they are others' already.
    until: Option<Instant>,
    commit_at: Instant,
}

impl KafkaSource {
    /// Handles everything that the group reports.
    pub(super) fn take_group_events(&mut self) -> Result<(), RunError> {
        loop {
            match self.group_client.next()? {
                GroupEvent::Unchanged => return Ok(()),
                GroupEvent::Failed(why) => {
                    // While no broker answers, that outage is the one to log.
                    if !self.broker_outage.is_down() {
                        self.group_outage.down(Instant::now(), &why);
                    }
                    return Ok(());
                }
                GroupEvent::Reached => self.group_outage.up(Instant::now(), "back"),
                GroupEvent::Assigned(assigned) => {
                    self.group_outage.up(Instant::now(), "back");
                    self.assign(&assigned)?;
                }
                GroupEvent::Committed(offsets) => {
                    if !offsets.is_empty() {
                        self.group_outage.up(Instant::now(), "back");
                    }
                    self.ledgers.record_committed(&offsets, &mut *self.group_client);
                }
                GroupEvent::Revoked(until) => self.begin_release(Some(until)),
                GroupEvent::Lost => self.begin_release(None),
                GroupEvent::Named { id, silent } => {
                    // Without the name, a restart merely takes longer.
                    if let Err(error) = self.ledgers.record_member(&MemberIdentity { id, silent }) {
                        log::debug!("{NAME}: cannot journal the member's name: {error}");
                    }
                }
                GroupEvent::Fenced(why) => return Err(RunError::Fenced(why)),
            }
        }
    }

    fn assign(&mut self, assigned: &[Assigned]) -> Result<(), Fault> {
        // Decided before any of the partitions gets a position: a new partition of a topic that is
        // read already starts at its first record.
        let read_already = |one: &Assigned| {
            let topic = &one.partition.topic;
            let in_group = |other: &Assigned| other.partition.topic == *topic && other.committed.is_some();
            one.new
                || self.ledgers.of(&one.partition).is_some_and(|ledger| ledger.knows_topic(topic))
                || assigned.iter().any(in_group)
        };
        let new: Vec<bool> = assigned.iter().map(read_already).collect();
        for (one, new) in assigned.iter().zip(new) {
            let resumed = self
                .ledger(&one.partition)?
                .resume(&one.partition, one.committed, &one.metadata)
                .map_err(|error| journal_fault(&error))?;
            let begin = match resumed.position {
                Some(position) => StartOffset::At(position, landmark_pairs(&resumed.landmarks)),
                None if new || self.start == StartPolicy::Earliest => StartOffset::Earliest,
                None => StartOffset::Latest,
            };
            // A run that fails and is tried again logs this once.
            let down = self.counters.health.is_down();
            let level = if down { log::Level::Debug } else { log::Level::Info };
            log::log!(level, "{NAME}: {} begins at {}", one.partition, start_text(&begin));
            let lane = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
            let outage =
                Outage::new(format!("{NAME}: {}", one.partition)).log_after(PARTITION_OUTAGE_PATIENCE);
            let polled = resumed.position.unwrap_or(-1);
            let pauses = pauses();
            let tracked =
                TrackedPartition { lane, assignment: 0, polled, lag: 0, unresolved: None, outage, pauses };
            self.partitions.insert(one.partition.clone(), tracked);
            self.fetch_from(&one.partition, begin);
        }
        // The group may not hold the positions at which these partitions begin.
        self.gate.close();
        Ok(())
    }

    fn begin_release(&mut self, until: Option<Instant>) {
        for partition in self.partitions.keys() {
            self.fetcher.unassign(partition);
        }
        self.partitions.clear();
        self.diverged.clear();
        self.relinquished.clear();
        self.refetch_at.clear();
        self.unreadable.clear();
        self.update_counters();
        if until.is_none() {
            // From here on the sink drops what it gets of these partitions.
            self.ledgers.release_all();
        }
        self.release = Some(PendingRelease { until, commit_at: Instant::now() });
    }

    /// Releases the revoked partitions as soon as nothing of them is in flight.
    pub(super) fn try_release(&mut self) -> Result<(), Fault> {
        let Some(state) = &mut self.release else { return Ok(()) };
        if state.until.is_some_and(|until| Instant::now() + RELEASE_MARGIN >= until) {
            log::warn!(
                "{NAME}: the group waits no longer for the rebalance: records in flight are dropped, and whoever gets \
                 their partitions reads them"
            );
            state.until = None;
            self.ledgers.release_all();
        }
        let is_ours = state.until.is_some();
        if self.gate.done_count() < self.tasks || !self.ledgers.have_settled() {
            if !self.counters.disk_refuses.load(SeqCst) {
                return Ok(());
            }
            // Some lines of an unfinished write may be in the file. The restart cuts them.
            return Err(Fault::Retry(
                "the group rebalances, and the disk refuses the records in flight".to_owned(),
            ));
        }
        // A commit that was handed out may not have reached the group client yet.
        if is_ours && self.ledgers.is_behind() {
            if self.ledgers.is_committing() || Instant::now() < state.commit_at {
                return Ok(());
            }
            state.commit_at = Instant::now() + COMMIT_RETRY_PAUSE;
            let commits = self.ledgers.take_commits().map_err(|error| journal_fault(&error))?;
            self.ledgers.commit(commits, &mut *self.group_client);
            return Ok(());
        }
        self.ledgers.release_all();
        self.release = None;
        self.group_client.confirm_release();
        Ok(())
    }

    /// Leaves the group if the disk has refused every write for too long, so that other members
    /// take over.
    pub(super) fn watch_disk(&mut self) -> Result<(), RunError> {
        if !self.counters.disk_refuses.load(SeqCst) {
            self.refused_since = None;
            return Ok(());
        }
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        if !self.gate.is_shared() || since.elapsed() < self.patience {
            return Ok(());
        }
        self.has_left = true;
        let seconds = self.patience.as_secs();
        log::warn!(
            "{NAME}: the disk has refused every write for {seconds} s: leaving the group, so that others take over"
        );
        Err(RunError::LeftGroup)
    }

    /// How soon the group is to be polled again.
    pub(super) fn group_poll_interval(&self) -> Duration {
        if !self.gate.is_shared() {
            return GROUP_POLL_INTERVAL_MAX;
        }
        match self.release.is_some() || self.ledgers.is_behind() {
            true => GROUP_POLL_INTERVAL,
            // An assignment may come at any moment.
            false if self.partitions.is_empty() => GROUP_POLL_INTERVAL * 4,
            false => GROUP_POLL_INTERVAL_MAX,
        }
    }

    /// Commits what has settled, as far as the time allows. The journal holds the positions that
    /// are not committed.
    pub(super) fn commit_remaining(&mut self, until: Instant) {
        while Instant::now() < until {
            if let Some(offsets) = self.group_client.finish_commit(until) {
                self.ledgers.record_committed(&offsets, &mut *self.group_client);
                if offsets.is_empty() {
                    // The group has refused; it must not be asked again at once.
                    std::thread::sleep(GROUP_POLL_INTERVAL * 10);
                }
            }
            if self.ledgers.is_committing() {
                continue;
            }
            match self.ledgers.take_commits() {
                Ok(commits) if commits.is_empty() => return,
                Ok(commits) => self.ledgers.commit(commits, &mut *self.group_client),
                Err(error) => {
                    log::warn!(
                        "{NAME}: cannot journal the last commit: {error}; it is not sent, and the journal has the position"
                    );
                    return;
                }
            }
        }
    }

    /// Leaves the group, if this pandad stays away for longer than a restart takes.
    pub(super) fn leave_group(&mut self, until: Instant) {
        if self.stop.is_requested() || self.has_left {
            self.group_client.leave_group(until);
        }
    }
}
