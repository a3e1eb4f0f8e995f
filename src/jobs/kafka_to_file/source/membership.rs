//! The source as a member of its group: it takes assignments, and it releases partitions. A release waits
//! until everything in flight is written, settled and committed. Only records of lost partitions are
//! dropped at once.

use std::ops::Range;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::{
    GROUP_POLL_INTERVAL, GROUP_POLL_INTERVAL_MAX, KafkaSource, NAME, RunError, TrackedPartition,
    journal_fault, landmark_pairs, start_text,
};
use crate::config::StartPolicy;
use crate::error::Fault;
use crate::kafka::{Assigned, GroupEvent, StartOffset};
use crate::logfile::MemberIdentity;
use crate::plural::counted;
use crate::record::TopicPartition;

/// The pause before a commit that did not succeed is tried again.
const COMMIT_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// At a stop, offsets that the group refuses are committed again for so long.
const LAST_COMMITS_TIME: Duration = Duration::from_secs(2);
/// Outcomes that are not settled this long before the group's time limit are dropped, so that the
/// release reaches the group in time.
const RELEASE_MARGIN: Duration = Duration::from_secs(1);

/// All partitions are to be released.
pub(super) struct PendingRelease {
    /// Until then the partitions belong to this member; `None`: they do not belong to it any more.
    until: Option<Instant>,
    /// When the next commit may be ordered.
    commit_at: Instant,
}

impl KafkaSource {
    /// Takes every event that the group client has.
    pub(super) fn take_group_events(&mut self) -> Result<(), RunError> {
        loop {
            match self.group_client.next()? {
                GroupEvent::Unchanged => return Ok(()),
                GroupEvent::Failed(why) => {
                    // While no broker answers, the outage of all brokers is logged, and explains the
                    // group's outage.
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
                    self.ledger.record_committed(&offsets);
                }
                GroupEvent::Refused(partitions) => self.ledger.whole().record_refused(&partitions),
                GroupEvent::Revoked(until) => self.begin_release(Some(until)),
                GroupEvent::Lost => self.begin_release(None),
                GroupEvent::Named { id, silent } => {
                    // The member identity only makes a restart faster, so a failure here is not an outage.
                    if let Err(error) = self.ledger.record_member(MemberIdentity { id, silent }) {
                        log::debug!("{NAME}: cannot journal the member's name: {error}");
                    }
                }
                GroupEvent::Fenced(why) => return Err(RunError::Fenced(why)),
            }
        }
    }

    fn assign(&mut self, assigned: &[Assigned]) -> Result<(), Fault> {
        // If the topic of a partition without a position is read already, the partition is new, and starts
        // at its first record. So this looks for such topics before any partition of the assignment gets a
        // position.
        let read_already = |one: &Assigned| {
            let topic = &one.partition.topic;
            let in_group = |other: &Assigned| other.partition.topic == *topic && other.committed.is_some();
            one.new
                || self.ledger.of(&one.partition).is_some_and(|ledger| ledger.knows_topic(topic))
                || assigned.iter().any(in_group)
        };
        let new: Vec<bool> = assigned.iter().map(read_already).collect();
        let ledger = self.ledger.whole().clone();
        let each = || {
            self.record_cluster()?;
            assigned.iter().zip(new).try_for_each(|(one, new)| self.begin_partition(one, new))
        };
        ledger.sync_once(each).map_err(|error| journal_fault(&error))??;
        // The group may not hold the positions at which these partitions begin.
        self.gate.close();
        self.begin_backlog(assigned);
        Ok(())
    }

    /// Decides where an assigned partition begins, and has it fetched from there. `new`: all of its records
    /// are to be read.
    fn begin_partition(&mut self, one: &Assigned, new: bool) -> Result<(), Fault> {
        let resumed = self
            .ledger_of(&one.partition)?
            .resume(&one.partition, one.committed, &one.metadata)
            .map_err(|error| journal_fault(&error))?;
        self.count_skipped(&one.partition, &resumed.skipped);
        let begin = match resumed.position {
            Some(position) => StartOffset::At(position, landmark_pairs(&resumed.landmarks)),
            None if new => StartOffset::Earliest,
            None => match self.start {
                StartPolicy::Earliest => StartOffset::Earliest,
                StartPolicy::Latest => StartOffset::Latest,
                StartPolicy::Since(moment) => StartOffset::Since(moment.millis_now()),
            },
        };
        log::debug!("{NAME}: {} begins at {}", one.partition, start_text(&begin));
        self.watermarks.assign(&one.partition);
        let lane = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        let tracked = TrackedPartition::new(lane, resumed.position.unwrap_or(-1));
        self.partitions.insert(one.partition.clone(), tracked);
        self.fetch_from(&one.partition, begin);
        Ok(())
    }

    /// Logs and counts offsets that were not read and never will be.
    fn count_skipped(&self, partition: &TopicPartition, skipped: &Range<i64>) {
        if skipped.is_empty() {
            return;
        }
        let count = u64::try_from(skipped.end - skipped.start).unwrap_or(0);
        self.counters.skipped.fetch_add(count, Relaxed);
        log::warn!(
            "{NAME}: {partition}: skipped offset {} to {} ({}), because the group's offset was set behind \
             these: this pandad has not read them",
            skipped.start,
            skipped.end - 1,
            counted(count, "offset")
        );
    }

    /// Begins the log line about the assignment. `assigned` are the partitions that are new in it.
    fn begin_backlog(&mut self, assigned: &[Assigned]) {
        let before = self.backlog.take();
        let is_known = |partition: &TopicPartition| {
            before.as_ref().is_none_or(|before| !before.awaits(partition))
                && assigned.iter().all(|one| one.partition != *partition)
        };
        let all = self.partitions.iter();
        let all = all.map(|(partition, tracked)| (partition, tracked.lag.filter(|_| is_known(partition))));
        // If the job is restarted again and again, this line is logged only once.
        let down = self.counters.health.is_down();
        let level = if down { log::Level::Debug } else { log::Level::Info };
        self.backlog = Some(Backlog::new(all, level, Instant::now()));
        self.log_backlog(false);
    }

    fn begin_release(&mut self, until: Option<Instant>) {
        for partition in self.partitions.keys() {
            self.fetcher.unassign(partition);
        }
        self.log_backlog(true);
        self.partitions.clear();
        self.outages.clear();
        self.watermarks.release_all();
        self.update_counters();
        if until.is_none() {
            // From here on the sink drops the outcomes in flight.
            self.ledger.release_all();
        }
        self.release = Some(PendingRelease { until, commit_at: Instant::now() });
    }

    /// Releases the partitions as soon as nothing of them is in flight and the group holds
    /// their positions.
    pub(super) fn try_release(&mut self) -> Result<(), Fault> {
        let Some(state) = &mut self.release else { return Ok(()) };
        if state.until.is_some_and(|until| Instant::now() + RELEASE_MARGIN >= until) {
            log::warn!(
                "{NAME}: the group rebalances, and this member cannot settle its records in flight in time: \
                 it drops these records, and the next member with their partitions reads them again"
            );
            state.until = None;
            self.ledger.release_all();
        }
        let is_ours = state.until.is_some();
        if self.gate.done_count() < self.tasks || !self.ledger.has_settled() {
            if !self.counters.disk_refuses.load(SeqCst) && !self.waits_for_refused_write() {
                return Ok(());
            }
            // A part of a write may be in the file. When the run restarts, recovery cuts it.
            return Err(Fault::Retry(
                "the group rebalances, and the disk does not accept the records in flight".to_owned(),
            ));
        }
        // A commit that the settle thread handed over may not have arrived here yet.
        if is_ours && self.ledger.is_behind() {
            if self.ledger.is_committing() || Instant::now() < state.commit_at {
                return Ok(());
            }
            state.commit_at = Instant::now() + COMMIT_RETRY_PAUSE;
            let commits = self.ledger.take_commits().map_err(|error| journal_fault(&error))?;
            self.ledger.commit(commits, &mut *self.group_client);
            return Ok(());
        }
        self.ledger.release_all();
        self.release = None;
        self.group_client.confirm_release();
        Ok(())
    }

    /// Whether nothing is in flight but what one of several files refuses. Until then the files that accept
    /// writes are given the time to settle: a restart would have their records read again.
    fn waits_for_refused_write(&self) -> bool {
        let refused = self.gate.refused_count();
        refused > 0
            && self.gate.done_count() + refused >= self.tasks
            && self.ledger.has_settled_but(&self.refusing)
    }

    /// Makes a member leave its partitions to others if its disk has accepted no writes for too long.
    pub(super) fn watch_disk(&mut self) -> Result<(), RunError> {
        if !self.counters.disk_refuses.load(SeqCst) {
            self.refused_since = None;
            return Ok(());
        }
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        if !self.gate.is_shared() || since.elapsed() < self.full_disk_patience {
            return Ok(());
        }
        if std::mem::replace(&mut self.has_left, true) {
            return Err(RunError::LeftGroup);
        }
        let seconds = self.full_disk_patience.as_secs();
        log::warn!(
            "{NAME}: the disk has accepted no writes for {seconds} s: pandad leaves the group, so that \
             other members take over, and joins again when the disk accepts writes"
        );
        Err(RunError::LeftGroup)
    }

    /// The longest time until the group client's events must be taken again.
    pub(super) fn group_poll_interval(&self) -> Duration {
        if !self.gate.is_shared() {
            return GROUP_POLL_INTERVAL_MAX;
        }
        match self.release.is_some() || self.ledger.is_behind() {
            true => GROUP_POLL_INTERVAL,
            // An assignment may come at any moment.
            false if self.partitions.is_empty() => GROUP_POLL_INTERVAL * 4,
            false => GROUP_POLL_INTERVAL_MAX,
        }
    }

    /// Commits settled positions, as many as the time allows. The next start finds the others in the
    /// journal; another member that gets the partition writes the lines again.
    pub(super) fn commit_remaining(&mut self, until: Instant) {
        let mut refused_since = None;
        self.ledger.whole().end_refusal_pauses();
        while Instant::now() < until {
            if let Some(offsets) = self.group_client.finish_commit(until) {
                let refused = self.ledger.record_committed(&offsets);
                if !refused.is_empty() {
                    if refused_since.get_or_insert_with(Instant::now).elapsed() >= LAST_COMMITS_TIME {
                        // What is refused for good holds up no stop.
                        self.ledger.whole().record_refused(&refused);
                    }
                    // A pause keeps the coordinator from being flooded.
                    std::thread::sleep(GROUP_POLL_INTERVAL * 10);
                }
            }
            if self.ledger.is_committing() {
                continue;
            }
            match self.ledger.take_commits() {
                Ok(commits) if commits.is_empty() => return,
                Ok(commits) => self.ledger.commit(commits, &mut *self.group_client),
                Err(error) => {
                    log::warn!(
                        "{NAME}: cannot write the last commit to the journal: {error}; nothing is lost, \
                         because the journal has the position"
                    );
                    return;
                }
            }
        }
    }

    /// Leaves the group, unless this run only ends to be restarted at once.
    pub(super) fn leave_group(&mut self, until: Instant) {
        if self.stop.is_requested() || self.has_left {
            self.group_client.leave_group(until);
        }
    }
}
