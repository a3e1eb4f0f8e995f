//! The source: joins what the group says (Place), what the journal knows (Ledger) and
//! what the brokers have (Fetch) into tasks.

mod blocked;
mod membership;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::NAME;
use super::formatter::Truncated;
use super::ledgers::Ledgers;
use super::run_error::RunError;
use super::write_gate::WriteGate;
use crate::backoff::Backoff;
use crate::config::StartPolicy;
use crate::error::Fault;
use crate::kafka::{Event, Fetched, Fetcher, GroupClient, Payload, StartOffset};
use crate::logfile::{Landmark, Ledger, Settled};
use crate::pipeline::{self, PolledTask};
use crate::record::TopicPartition;
use crate::report::{Counters, Outage};
use crate::shutdown::Stop;
use membership::PendingRelease;

/// Leaders move and coordinators load: what passes within this time is not news.
const PARTITION_OUTAGE_PATIENCE: Duration = Duration::from_secs(5);
const GROUP_OUTAGE_PATIENCE: Duration = Duration::from_secs(2);
/// How soon the group is listened to again while something waits for its answer.
const GROUP_POLL_INTERVAL: Duration = Duration::from_millis(5);
const GROUP_POLL_INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// What the source is told.
pub(super) enum Feedback {
    /// These positions are durable.
    Settled(Settled),
    /// An outcome did not continue what has landed: fetch from the position again.
    Refused { partition: TopicPartition, assignment: u64, position: i64 },
    /// What was fetched could be used up to here only.
    Truncated { partition: TopicPartition, assignment: u64, position: i64, short: Truncated },
}

/// See the module.
pub(super) struct KafkaSource {
    fetcher: Box<dyn Fetcher>,
    group_client: Box<dyn GroupClient>,
    ledgers: Ledgers,
    start: StartPolicy,
    counters: Arc<Counters>,
    partitions: BTreeMap<TopicPartition, TrackedPartition>,
    assignments: u64,
    /// Logs that are not what they were, and where to go on once nothing is in flight.
    diverged: HashMap<TopicPartition, i64>,
    /// Partitions to be wanted again once nothing is in flight: which want has ended.
    relinquished: HashMap<TopicPartition, u64>,
    /// Partitions that stand still until then, and where.
    refetch_at: HashMap<TopicPartition, (Instant, i64)>,
    /// Partitions whose records could not be read, and from where.
    unreadable: HashMap<TopicPartition, i64>,
    broker_outage: Outage,
    group_outage: Outage,
    gate: WriteGate,
    /// How many tasks were handed out.
    tasks: u64,
    release: Option<PendingRelease>,
    /// Whether the group was left because the disk takes nothing.
    has_left: bool,
    /// Since when the disk takes nothing, and for how long that keeps a member in its group.
    refused_since: Option<Instant>,
    patience: Duration,
    stop: Stop,
}

/// What the source is made of.
pub(super) struct SourceParts {
    pub(super) fetcher: Box<dyn Fetcher>,
    pub(super) group_client: Box<dyn GroupClient>,
    pub(super) ledgers: Ledgers,
    pub(super) start: StartPolicy,
    pub(super) counters: Arc<Counters>,
    pub(super) gate: WriteGate,
    /// See `kafka['full_disk_s']`.
    pub(super) patience: Duration,
    pub(super) stop: Stop,
}

/// One assigned partition.
struct TrackedPartition {
    lane: u32,
    assignment: u64,
    /// The next offset after what was polled.
    polled: i64,
    lag: u64,
    /// Where it is to begin, until that is found.
    unresolved: Option<StartOffset>,
    outage: Outage,
    /// Of records that cannot be read.
    pauses: Backoff,
}

impl KafkaSource {
    pub(super) fn new(from: SourceParts) -> Self {
        let SourceParts { fetcher, group_client, ledgers, start, counters, gate, patience, stop } = from;
        Self {
            fetcher,
            group_client,
            ledgers,
            start,
            counters,
            partitions: BTreeMap::new(),
            assignments: 0,
            diverged: HashMap::new(),
            relinquished: HashMap::new(),
            refetch_at: HashMap::new(),
            unreadable: HashMap::new(),
            broker_outage: Outage::new(format!("{NAME}: Kafka")),
            group_outage: Outage::new(format!("{NAME}: the group")).log_after(GROUP_OUTAGE_PATIENCE),
            gate,
            tasks: 0,
            release: None,
            has_left: false,
            refused_since: None,
            patience,
            stop,
        }
    }

    /// The journal of this partition's file.
    fn ledger(&self, partition: &TopicPartition) -> Result<&Ledger, Fault> {
        self.ledgers.of(partition).ok_or_else(|| Fault::Fatal(format!("{partition}: has no log file")))
    }

    fn fetch_from(&mut self, partition: &TopicPartition, begin: StartOffset) {
        let Some(tracked) = self.partitions.get_mut(partition) else { return };
        self.assignments += 1;
        tracked.assignment = self.assignments;
        tracked.unresolved = None;
        match begin {
            StartOffset::At(position, _) => tracked.polled = position,
            StartOffset::Earliest | StartOffset::Latest => tracked.unresolved = Some(begin.clone()),
        }
        self.relinquished.remove(partition);
        self.refetch_at.remove(partition);
        self.fetcher.assign(partition, begin, self.assignments);
    }

    /// Wants it from here on, after a comparison with what has landed.
    fn refetch_from(&mut self, partition: &TopicPartition, position: i64) {
        let landmarks = self.ledgers.of(partition).map(|ledger| ledger.landmarks(partition));
        self.fetch_from(partition, StartOffset::At(position, landmark_pairs(&landmarks.unwrap_or_default())));
    }

    /// The position of a partition of which nothing is in flight.
    fn idle_at(&self, partition: &TopicPartition) -> Option<i64> {
        let (_, landed) = self.ledgers.of(partition)?.written(partition)?;
        self.partitions.get(partition).filter(|one| one.polled == landed).map(|_| landed)
    }

    /// Goes on in logs that are not what they were, once what was read of the old
    /// ones has landed.
    fn follow_diverged(&mut self) -> Result<(), Fault> {
        let idle = |partition: &&TopicPartition| self.idle_at(partition).is_some();
        let ripe: Vec<TopicPartition> = self.diverged.keys().filter(idle).cloned().collect();
        for partition in ripe {
            if let Some(position) = self.diverged.remove(&partition) {
                self.ledger(&partition)?
                    .set_position(&partition, position)
                    .map_err(|error| journal_fault(&error))?;
                self.gate.close();
                self.fetch_from(&partition, StartOffset::At(position, Vec::new()));
            }
        }
        Ok(())
    }

    /// Wants again what its reader has let go of, once all of it has landed, and what
    /// could not be read and is due.
    fn refetch_relinquished(&mut self) {
        if self.relinquished.is_empty() && self.refetch_at.is_empty() && self.unreadable.is_empty() {
            return;
        }
        self.end_passed_outages();
        for (partition, assignment) in self.relinquished.clone() {
            let Some(tracked) = self.partitions.get(&partition) else { continue };
            if tracked.assignment != assignment {
                self.relinquished.remove(&partition);
            } else if let Some(begin) = tracked.unresolved.clone() {
                self.fetch_from(&partition, begin);
            } else if let Some(position) = self.idle_at(&partition) {
                self.refetch_from(&partition, position);
            }
        }
        self.refetch_unreadable();
    }

    fn take_fetch_event(&mut self, event: Event, items: &mut Vec<PolledTask<Fetched>>) -> Result<(), Fault> {
        match event {
            Event::Nothing => {}
            Event::Idle => self.broker_outage.up(Instant::now(), "back"),
            Event::Fetched(fetched) => {
                self.broker_outage.up(Instant::now(), "back");
                self.take_fetched(fetched, items);
            }
            Event::Recovered(partition) => {
                if !self.unreadable.contains_key(&partition)
                    && let Some(tracked) = self.partitions.get_mut(&partition)
                {
                    tracked.outage.up(Instant::now(), "back");
                }
            }
            Event::Failed(None, why) => {
                self.broker_outage.down(Instant::now(), &why);
                self.partitions.values_mut().for_each(|tracked| tracked.outage.forget_unlogged());
            }
            // While no broker answers, that is the outage.
            Event::Failed(Some(_), _) if self.broker_outage.is_down() => {}
            Event::Failed(Some(partition), why) => {
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.outage.down(Instant::now(), &why);
                }
            }
            Event::Resolved(partition, at) => {
                self.broker_outage.up(Instant::now(), "back");
                if !self.partitions.contains_key(&partition) {
                    return Ok(());
                }
                self.ledger(&partition)?
                    .set_position(&partition, at)
                    .map_err(|error| journal_fault(&error))?;
                self.gate.close();
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.polled = at;
                    tracked.unresolved = None;
                }
            }
            Event::Relinquished(partition, assignment) => {
                if self.partitions.get(&partition).is_some_and(|one| one.assignment == assignment) {
                    self.relinquished.insert(partition, assignment);
                }
            }
            Event::Diverged(partition, _) if !self.partitions.contains_key(&partition) => {}
            Event::Diverged(partition, position) => {
                log::error!(
                    "{NAME}: {partition}: its records are not those that were read before: the topic was made \
                     anew or truncated; going on at offset {position}"
                );
                self.diverged.insert(partition, position);
            }
        }
        Ok(())
    }

    /// For the state line.
    fn update_counters(&self) {
        let lag = self.partitions.values().map(|tracked| tracked.lag).sum();
        let still = self.partitions.values().filter(|tracked| tracked.outage.is_logged()).count();
        self.counters.lag.store(lag, Relaxed);
        self.counters.blocked.store(still as u64, Relaxed);
    }

    fn take_fetched(&mut self, fetched: Fetched, items: &mut Vec<PolledTask<Fetched>>) {
        let Some(tracked) = self.partitions.get_mut(&fetched.partition) else { return };
        if fetched.assignment != tracked.assignment {
            return;
        }
        // A broker that finds a batch by its header does not find one whose header is
        // damaged, and goes on behind it as if compaction had taken it.
        if let Some(at) = self.unreadable.get(&fetched.partition).copied()
            && fetched.from == at
            && fetched.base > at
        {
            let why = format!("the broker leaves out the records from offset {at} to {}", fetched.base - 1);
            return self.take_truncated(fetched.partition, fetched.assignment, at, Truncated::Broken(why));
        }
        // That it can be fetched does not say that it can be read.
        if !self.unreadable.contains_key(&fetched.partition) {
            tracked.outage.up(Instant::now(), "back");
        }
        tracked.polled = fetched.next;
        tracked.lag = fetched.lag;
        if matches!(fetched.payload, Payload::Deleted) {
            let lost = u64::try_from(fetched.next - fetched.from).unwrap_or(0);
            self.counters.lost.fetch_add(lost, Relaxed);
            log::error!(
                "{NAME}: {}: {lost} records from offset {} to {} were deleted at the broker before they could \
                 be read; going on at {}",
                fetched.partition,
                fetched.from,
                fetched.next - 1,
                fetched.next
            );
        }
        if matches!(fetched.payload, Payload::Absent) {
            log::warn!(
                "{NAME}: {}: nothing can be read from offset {} to {}: compacted away, or larger than this client \
                 takes; going on at {}",
                fetched.partition,
                fetched.from,
                fetched.next - 1,
                fetched.next
            );
        }
        self.tasks += 1;
        items.push(PolledTask { lane: tracked.lane, bytes: fetched.bytes, task: fetched });
    }
}

impl pipeline::Source for KafkaSource {
    type Task = Fetched;
    type Feedback = Feedback;
    type Error = RunError;

    fn poll(&mut self, until: Instant, items: &mut Vec<PolledTask<Fetched>>) -> Result<(), RunError> {
        self.take_group_events()?;
        self.try_release()?;
        self.refused_since = None;
        self.follow_diverged()?;
        self.refetch_relinquished();
        // What is held back until the group has answered shall not wait for records.
        let until = until.min(Instant::now() + self.group_poll_interval());
        let event = self.fetcher.next(until)?;
        self.take_fetch_event(event, items)?;
        self.update_counters();
        Ok(())
    }

    fn idle(&mut self) -> Result<(), RunError> {
        self.take_group_events()?;
        self.try_release()?;
        self.watch_disk()
    }

    fn feedback(&mut self, note: Feedback) {
        match note {
            Feedback::Settled(Settled { commits }) => {
                self.ledgers.commit(commits, &mut *self.group_client);
            }
            Feedback::Refused { partition, assignment, position } => {
                // Only the first refusal of a want counts: what was fetched after it
                // is refused as well, and is on its way again already.
                if self.partitions.get(&partition).is_some_and(|tracked| tracked.assignment == assignment) {
                    self.refetch_from(&partition, position);
                }
            }
            Feedback::Truncated { partition, assignment, position, short } => {
                self.take_truncated(partition, assignment, position, short);
            }
        }
    }

    fn finish(&mut self, until: Instant) {
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
    }
}

fn journal_fault(error: &std::io::Error) -> Fault {
    Fault::Retry(format!("cannot write the journal: {error}"))
}
