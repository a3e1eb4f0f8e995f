//! The source: the group assigns partitions, the journal knows their positions, and the brokers send
//! the records of which tasks are made.

mod backlog;
mod fetched;
mod file_refusals;
mod membership;
mod outages;
mod partition;
mod parts;
mod start_log;
mod sweep_pace;
mod topics;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::NAME;
use super::formatter::{Truncated, UnreadableBatch};
use super::run_error::RunError;
use super::shared_ledger::SharedLedger;
use super::watermarks::Watermarks;
use super::write_gate::WriteGate;
use crate::config::StartPolicy;
use crate::error::Fault;
use crate::kafka::{
    Event, FailedPartition, Fetched, Fetcher, GroupClient, ResolvedStart, StartBasis, StartOffset,
};
use crate::logfile::{Landmark, Ledger, Settled};
use crate::moment::in_utc;
use crate::pipeline::{self, PolledTask};
use crate::record::TopicPartition;
use crate::report::{Counters, Outage};
use crate::shutdown::Stop;
use backlog::Backlog;
use membership::PendingRelease;
use outages::{OutageCause, PartitionOutages};
use partition::{NextFetch, TrackedPartition};
pub(super) use parts::SourceParts;
use sweep_pace::SweepPace;

/// The longest wait for records while the source waits for an answer of the group.
const GROUP_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The longest wait for records while the source does not wait for the group.
const GROUP_POLL_INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// What the sink and the settle thread report to the source.
pub(super) enum Feedback {
    /// These positions are durable.
    Settled(Settled),
    /// An outcome did not begin at the written position: fetch from the position again.
    Refused { partition: TopicPartition, assignment: u64, position: i64 },
    /// The outcome ends at this position, although more was fetched.
    Truncated { partition: TopicPartition, assignment: u64, position: i64, truncated: Truncated },
    /// This file accepts no writes, and other files of the job do. What comes for it is dropped.
    FileRefuses(usize),
    /// It accepts writes again.
    FileAccepts(usize),
}

/// See the module.
pub(super) struct KafkaSource {
    fetcher: Box<dyn Fetcher>,
    group_client: Box<dyn GroupClient>,
    ledger: SharedLedger,
    /// The id of the cluster that is read, if it is known.
    cluster_id: Box<dyn Fn() -> Option<String> + Send>,
    start: StartPolicy,
    /// The path of the .inv, for the commands that log lines name.
    inv: String,
    counters: Arc<Counters>,
    partitions: BTreeMap<TopicPartition, TrackedPartition>,
    /// How many assignments the fetcher was given. Each has the number that this counter had then.
    assignments: u64,
    broker_outage: Outage,
    /// No broker says who leads, while others are read.
    look_up_outage: Outage,
    group_outage: Outage,
    outages: PartitionOutages,
    sweep_pace: SweepPace,
    /// The topics whose begin without timestamps was logged.
    starts_logged: BTreeSet<(Arc<str>, StartBasis)>,
    /// The assignment that was not logged yet.
    backlog: Option<Backlog>,
    gate: WriteGate,
    watermarks: Watermarks,
    /// How many tasks were handed to the workers.
    tasks: u64,
    release: Option<PendingRelease>,
    /// Whether the member has left its group because the disk accepts no writes.
    has_left: bool,
    /// Since when the disk accepts no writes.
    refused_since: Option<Instant>,
    /// How long a member stays in its group while its disk accepts no writes.
    full_disk_patience: Duration,
    /// The files that accept no writes while others do.
    refusing: BTreeSet<usize>,
    /// Says whether a file is open that was not when the run began.
    is_file_back: Box<dyn Fn() -> bool + Send>,
    stop: Stop,
}

impl KafkaSource {
    /// The journal of this partition's file.
    fn ledger_of(&self, partition: &TopicPartition) -> Result<&Ledger, Fault> {
        self.ledger.of(partition).ok_or_else(|| Fault::Fatal(format!("{partition}: has no log file")))
    }

    /// Assigns the partition to the fetcher, under a new number.
    fn fetch_from(&mut self, partition: &TopicPartition, start: StartOffset) {
        let Some(tracked) = self.partitions.get_mut(partition) else { return };
        self.assignments += 1;
        tracked.begin(&start, self.assignments);
        if self.ledger.is_any_of(partition, &self.refusing) {
            // It is assigned when its file accepts writes again.
            return tracked.relinquish();
        }
        self.fetcher.expect(partition, self.known_log(partition));
        self.fetcher.assign(partition, start, self.assignments);
    }

    /// Assigns the partition from this position on. The fetcher first compares the log with the records
    /// that were written last.
    fn resume_from(&mut self, partition: &TopicPartition, position: i64) {
        let landmarks = self.ledger.of(partition).map(|ledger| ledger.landmarks(partition));
        self.fetch_from(partition, StartOffset::At(position, landmark_pairs(&landmarks.unwrap_or_default())));
    }

    /// The position up to which the partition was written; `None` if it is not assigned to this pandad.
    fn written(&self, partition: &TopicPartition) -> Option<i64> {
        self.ledger.of(partition)?.written(partition).map(|(_, position)| position)
    }

    /// Fetches partitions whose waiting is over. Ends the outage of a partition when records after the
    /// unreadable ones are written.
    fn fetch_waiting(&mut self) -> Result<(), Fault> {
        let waiting = self.partitions.iter().filter(|(_, tracked)| tracked.is_waiting());
        let waiting: Vec<TopicPartition> = waiting.map(|(partition, _)| partition.clone()).collect();
        let now = Instant::now();
        for partition in waiting {
            if self.is_refused(&partition) {
                continue;
            }
            let written = self.written(&partition);
            let Some(tracked) = self.partitions.get_mut(&partition) else { continue };
            if tracked.end_unreadable(written) {
                self.outages.end(now, &partition);
            }
            match tracked.next_fetch(written, now) {
                None => {}
                Some(NextFetch::Resolve(start)) => self.fetch_from(&partition, start),
                Some(NextFetch::Resume(position)) => self.resume_from(&partition, position),
                Some(NextFetch::FollowDivergence(position)) => {
                    self.follow_divergence(&partition, position)?
                }
            }
        }
        Ok(())
    }

    /// Goes on in a log that is not the one that was read. No record of the old log is in flight.
    fn follow_divergence(&mut self, partition: &TopicPartition, position: i64) -> Result<(), Fault> {
        self.set_position(partition, position)?;
        let topic = self.partitions.get(partition).and_then(|tracked| tracked.topic);
        self.record_topic(partition, topic)?;
        if let Some(tracked) = self.partitions.get_mut(partition) {
            // The unreadable records were records of the old log.
            if tracked.end_unreadable(None) {
                self.outages.end(Instant::now(), partition);
            }
        }
        self.fetch_from(partition, StartOffset::At(position, Vec::new()));
        Ok(())
    }

    /// Takes where partitions start that nobody had a position of. All of these positions are durable by one
    /// sync of the journal.
    fn take_starts(&mut self, starts: Vec<ResolvedStart>) -> Result<(), Fault> {
        // An answer to an earlier assignment may come after the partition got a position.
        let is_present = |one: &ResolvedStart| {
            self.partitions.get(&one.partition).is_some_and(|tracked| tracked.assignment == one.assignment)
        };
        let starts: Vec<ResolvedStart> = starts.into_iter().filter(is_present).collect();
        let ledger = self.ledger.whole().clone();
        let set = ledger.sync_once(|| {
            starts.iter().try_for_each(|one| {
                self.log_start(&one.partition, one.offset, one.basis);
                self.set_position(&one.partition, one.offset)?;
                self.record_topic(&one.partition, one.topic)
            })
        });
        set.map_err(|error| journal_fault(&error))??;
        for one in starts {
            if let Some(tracked) = self.partitions.get_mut(&one.partition) {
                tracked.resolve(one.offset);
            }
        }
        Ok(())
    }

    /// Sets the position at which the partition goes on, whatever was written of it.
    fn set_position(&mut self, partition: &TopicPartition, position: i64) -> Result<(), Fault> {
        self.ledger_of(partition)?
            .set_position(partition, position)
            .map_err(|error| journal_fault(&error))?;
        // The group may not hold this position yet.
        self.gate.close();
        Ok(())
    }

    fn take_fetch_event(&mut self, event: Event, tasks: &mut Vec<PolledTask<Fetched>>) -> Result<(), Fault> {
        match event {
            Event::Nothing => {}
            Event::Idle => self.broker_outage.up(Instant::now(), "back"),
            Event::Fetched(fetched) => {
                self.broker_outage.up(Instant::now(), "back");
                self.record_epochs(&fetched)?;
                self.take_fetched(fetched, tasks);
            }
            Event::Recovered { partition, assignment, lag } => {
                self.take_recovered(&partition, assignment, lag);
            }
            Event::Failed(why) => {
                let remedy = "look at the brokers, the network and broker_list";
                self.broker_outage.down(Instant::now(), &format!("{why}: {remedy}"));
                self.outages.forget_unlogged();
                self.partitions.values_mut().for_each(|tracked| tracked.lag = None);
                self.watermarks.forget_ends();
            }
            Event::Lag { partition, assignment, lag } => self.take_lag(&partition, assignment, lag),
            Event::LookUpFailed(why) => {
                let remedy = "partitions whose leader moves are not read meanwhile: look at the brokers";
                self.look_up_outage.down(Instant::now(), &format!("{why}; {remedy}"));
            }
            Event::LookUpRecovered => self.look_up_outage.up(Instant::now(), "back"),
            // While no broker answers, only the outage of all brokers is logged.
            Event::PartitionFailed(_) if self.broker_outage.is_down() => {}
            Event::PartitionFailed(FailedPartition { partition, broker, kind, why, lag }) => {
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.lag = lag;
                    if lag.is_none() {
                        self.watermarks.forget_end(&partition);
                    }
                    let broker = broker.or_else(|| tracked.broker.clone());
                    let cause = OutageCause { broker, kind, why };
                    self.outages.begin(Instant::now(), &partition, tracked.polled, cause);
                }
            }
            Event::Resolved(starts) => {
                self.broker_outage.up(Instant::now(), "back");
                self.take_starts(starts)?;
            }
            Event::Relinquished(partition, assignment) => {
                if let Some(tracked) = self.tracked(&partition, assignment) {
                    tracked.relinquish();
                }
            }
            Event::Diverged { partition, assignment, next, why, topic } => {
                self.take_divergence(&partition, assignment, next, (why, topic));
            }
            Event::Identified { partition, assignment, topic } => {
                self.take_identified(&partition, assignment, topic)?;
            }
        }
        Ok(())
    }

    /// The partition, if it is still fetched under this assignment.
    fn tracked(&mut self, partition: &TopicPartition, assignment: u64) -> Option<&mut TrackedPartition> {
        self.partitions.get_mut(partition).filter(|tracked| tracked.assignment == assignment)
    }
}

impl pipeline::Source for KafkaSource {
    type Task = Fetched;
    type Feedback = Feedback;
    type Error = RunError;

    fn poll(&mut self, until: Instant, tasks: &mut Vec<PolledTask<Fetched>>) -> Result<(), RunError> {
        self.take_group_events()?;
        self.try_release()?;
        self.end_for_opened_file()?;
        self.refused_since = None;
        let began = Instant::now();
        let due = self.sweep_pace.due_after(began);
        if due.is_none() {
            self.fetch_waiting()?;
        }
        let now = Instant::now();
        // A message of the group must not wait for records.
        let until = until.min(now + self.group_poll_interval()).min(due.unwrap_or(until));
        let event = self.fetcher.next(until)?;
        self.take_fetch_event(event, tasks)?;
        self.outages.log_due(Instant::now());
        self.log_backlog(false);
        if due.is_none() {
            self.update_counters();
            self.sweep_pace.record(self.partitions.len(), Instant::now(), now - began);
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<(), RunError> {
        self.take_group_events()?;
        self.try_release()?;
        self.end_for_opened_file()?;
        self.log_backlog(false);
        self.watch_disk()
    }

    fn feedback(&mut self, feedback: Feedback) {
        match feedback {
            Feedback::Settled(Settled { commits }) => {
                self.ledger.commit(commits, &mut *self.group_client);
            }
            Feedback::Refused { partition, assignment, position } => {
                self.take_refused(&partition, assignment, position);
            }
            Feedback::Truncated { partition, assignment, position, truncated } => {
                self.take_truncated(&partition, assignment, position, truncated);
            }
            Feedback::FileRefuses(file) => self.begin_file_refusal(file),
            Feedback::FileAccepts(file) => self.end_file_refusal(file),
        }
    }

    fn finish(&mut self, until: Instant) {
        self.update_counters();
        self.commit_remaining(until);
        self.leave_group(until);
    }
}

fn landmark_pairs(landmarks: &[Landmark]) -> Vec<(i64, u32)> {
    landmarks.iter().map(|one| (one.offset, one.fingerprint)).collect()
}

fn start_text(begin: &StartOffset) -> String {
    match begin {
        StartOffset::At(offset, _) => format!("offset {offset}"),
        StartOffset::Earliest => "its first record".to_owned(),
        StartOffset::Latest => "its end".to_owned(),
        StartOffset::Since(millis) => format!("its first record since {}", in_utc(*millis)),
    }
}

fn journal_fault(error: &std::io::Error) -> Fault {
    Fault::Retry(format!("cannot write the journal: {error}"))
}
