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
use super::write_gate::WriteGate;
use crate::backoff::Backoff;
use crate::config::StartPolicy;
use crate::error::Fault;
use crate::kafka::{Event, Fetched, Fetcher, GroupClient, Payload, StartOffset};
use crate::logfile::{Landmark, Ledger, Settled};
use crate::pipeline::{self, Item};
use crate::record::TopicPartition;
use crate::report::{Counters, Outage};
use crate::shutdown::Stop;
use membership::LettingGo;

/// Leaders move and coordinators load: what passes within this time is not news.
const PATIENCE: Duration = Duration::from_secs(5);
const GROUP_PATIENCE: Duration = Duration::from_secs(2);
/// How soon the group is listened to again while something waits for its answer.
const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

/// What the source is told.
pub(super) enum Feedback {
    /// These positions are durable.
    Settled(Settled),
    /// An outcome did not continue what has landed: fetch from the position again.
    Refused { partition: TopicPartition, want: u64, position: i64 },
    /// What was fetched could be used up to here only.
    Truncated { partition: TopicPartition, want: u64, position: i64, short: Truncated },
}

/// See the module.
pub(super) struct KafkaSource {
    fetch: Box<dyn Fetcher>,
    place: Box<dyn GroupClient>,
    ledgers: Ledgers,
    start: StartPolicy,
    counters: Arc<Counters>,
    partitions: BTreeMap<TopicPartition, Tracked>,
    wants: u64,
    /// Logs that are not what they were, and where to go on once nothing is in flight.
    parted: HashMap<TopicPartition, i64>,
    /// Partitions to be wanted again once nothing is in flight: which want has ended.
    again: HashMap<TopicPartition, u64>,
    /// Partitions that stand still until then, and where.
    later: HashMap<TopicPartition, (Instant, i64)>,
    /// Partitions whose records could not be read, and from where.
    broken: HashMap<TopicPartition, i64>,
    brokers: Outage,
    group: Outage,
    flow: WriteGate,
    /// How many tasks were handed out.
    handed: u64,
    letting_go: Option<LettingGo>,
    /// Since when the disk takes nothing, and for how long that keeps a member in its group.
    refused_since: Option<Instant>,
    patience: Duration,
    stop: Stop,
}

/// What the source is made of.
pub(super) struct From {
    pub(super) fetch: Box<dyn Fetcher>,
    pub(super) place: Box<dyn GroupClient>,
    pub(super) ledgers: Ledgers,
    pub(super) start: StartPolicy,
    pub(super) counters: Arc<Counters>,
    pub(super) flow: WriteGate,
    /// See `kafka['full_disk_s']`.
    pub(super) patience: Duration,
    pub(super) stop: Stop,
}

/// One assigned partition.
struct Tracked {
    lane: u32,
    want: u64,
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
    pub(super) fn new(from: From) -> Self {
        let From { fetch, place, ledgers, start, counters, flow, patience, stop } = from;
        Self {
            fetch,
            place,
            ledgers,
            start,
            counters,
            partitions: BTreeMap::new(),
            wants: 0,
            parted: HashMap::new(),
            again: HashMap::new(),
            later: HashMap::new(),
            broken: HashMap::new(),
            brokers: Outage::new(format!("{NAME}: Kafka")),
            group: Outage::new(format!("{NAME}: the group")).log_after(GROUP_PATIENCE),
            flow,
            handed: 0,
            letting_go: None,
            refused_since: None,
            patience,
            stop,
        }
    }

    /// The journal of this partition's file.
    fn ledger(&self, partition: &TopicPartition) -> Result<&Ledger, Fault> {
        self.ledgers.of(partition).ok_or_else(|| Fault::Fatal(format!("{partition}: has no log file")))
    }

    fn want(&mut self, partition: &TopicPartition, begin: StartOffset) {
        let Some(tracked) = self.partitions.get_mut(partition) else { return };
        self.wants += 1;
        tracked.want = self.wants;
        tracked.unresolved = None;
        match begin {
            StartOffset::At(position, _) => tracked.polled = position,
            StartOffset::Earliest | StartOffset::Latest => tracked.unresolved = Some(begin.clone()),
        }
        self.again.remove(partition);
        self.later.remove(partition);
        self.fetch.want(partition, begin, self.wants);
    }

    /// Wants it from here on, after a comparison with what has landed.
    fn want_from(&mut self, partition: &TopicPartition, position: i64) {
        let landmarks = self.ledgers.of(partition).map(|ledger| ledger.landmarks(partition));
        self.want(partition, StartOffset::At(position, marks(&landmarks.unwrap_or_default())));
    }

    /// The position of a partition of which nothing is in flight.
    fn idle_at(&self, partition: &TopicPartition) -> Option<i64> {
        let (_, landed) = self.ledgers.of(partition)?.landed(partition)?;
        self.partitions.get(partition).filter(|one| one.polled == landed).map(|_| landed)
    }

    /// Goes on in logs that are not what they were, once what was read of the old
    /// ones has landed.
    fn join_parted(&mut self) -> Result<(), Fault> {
        let idle = |partition: &&TopicPartition| self.idle_at(partition).is_some();
        let ripe: Vec<TopicPartition> = self.parted.keys().filter(idle).cloned().collect();
        for partition in ripe {
            if let Some(position) = self.parted.remove(&partition) {
                self.ledger(&partition)?
                    .place(&partition, position)
                    .map_err(|error| journal_fault(&error))?;
                self.flow.close();
                self.want(&partition, StartOffset::At(position, Vec::new()));
            }
        }
        Ok(())
    }

    /// Wants again what its reader has let go of, once all of it has landed, and what
    /// could not be read and is due.
    fn want_again(&mut self) {
        if self.again.is_empty() && self.later.is_empty() && self.broken.is_empty() {
            return;
        }
        self.mend_broken();
        for (partition, want) in self.again.clone() {
            let Some(tracked) = self.partitions.get(&partition) else { continue };
            if tracked.want != want {
                self.again.remove(&partition);
            } else if let Some(begin) = tracked.unresolved.clone() {
                self.want(&partition, begin);
            } else if let Some(position) = self.idle_at(&partition) {
                self.want_from(&partition, position);
            }
        }
        self.want_broken();
    }

    fn hear_brokers(&mut self, event: Event, items: &mut Vec<Item<Fetched>>) -> Result<(), Fault> {
        match event {
            Event::Nothing => {}
            Event::Idle => self.brokers.up(Instant::now(), "back"),
            Event::Fetched(fetched) => {
                self.brokers.up(Instant::now(), "back");
                self.take(fetched, items);
            }
            Event::Recovered(partition) => {
                if !self.broken.contains_key(&partition)
                    && let Some(tracked) = self.partitions.get_mut(&partition)
                {
                    tracked.outage.up(Instant::now(), "back");
                }
            }
            Event::Failed(None, why) => {
                self.brokers.down(Instant::now(), &why);
                self.partitions.values_mut().for_each(|tracked| tracked.outage.forget_unlogged());
            }
            // While no broker answers, that is the outage.
            Event::Failed(Some(_), _) if self.brokers.is_down() => {}
            Event::Failed(Some(partition), why) => {
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.outage.down(Instant::now(), &why);
                }
            }
            Event::Resolved(partition, at) => {
                self.brokers.up(Instant::now(), "back");
                if !self.partitions.contains_key(&partition) {
                    return Ok(());
                }
                self.ledger(&partition)?.place(&partition, at).map_err(|error| journal_fault(&error))?;
                self.flow.close();
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.polled = at;
                    tracked.unresolved = None;
                }
            }
            Event::Relinquished(partition, want) => {
                if self.partitions.get(&partition).is_some_and(|one| one.want == want) {
                    self.again.insert(partition, want);
                }
            }
            Event::Diverged(partition, _) if !self.partitions.contains_key(&partition) => {}
            Event::Diverged(partition, position) => {
                log::error!(
                    "{NAME}: {partition}: its records are not those that were read before: the topic was made \
                     anew or truncated; going on at offset {position}"
                );
                self.parted.insert(partition, position);
            }
        }
        Ok(())
    }

    /// For the state line.
    fn show(&self) {
        let lag = self.partitions.values().map(|tracked| tracked.lag).sum();
        let still = self.partitions.values().filter(|tracked| tracked.outage.is_logged()).count();
        self.counters.lag.store(lag, Relaxed);
        self.counters.blocked.store(still as u64, Relaxed);
    }

    fn take(&mut self, fetched: Fetched, items: &mut Vec<Item<Fetched>>) {
        let Some(tracked) = self.partitions.get_mut(&fetched.partition) else { return };
        if fetched.want != tracked.want {
            return;
        }
        // A broker that finds a batch by its header does not find one whose header is
        // damaged, and goes on behind it as if compaction had taken it.
        if let Some(at) = self.broken.get(&fetched.partition).copied()
            && fetched.from == at
            && fetched.begins > at
        {
            let why = format!("the broker leaves out the records from offset {at} to {}", fetched.begins - 1);
            return self.fall_short(fetched.partition, fetched.want, at, Truncated::Broken(why));
        }
        // That it can be fetched does not say that it can be read.
        if !self.broken.contains_key(&fetched.partition) {
            tracked.outage.up(Instant::now(), "back");
        }
        tracked.polled = fetched.next;
        tracked.lag = fetched.lag;
        if matches!(fetched.payload, Payload::Gone) {
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
        self.handed += 1;
        items.push(Item { lane: tracked.lane, bytes: fetched.bytes, task: fetched });
    }
}

impl pipeline::Source for KafkaSource {
    type Task = Fetched;
    type Feedback = Feedback;

    fn poll(&mut self, until: Instant, items: &mut Vec<Item<Fetched>>) -> Result<(), Fault> {
        self.hear_group()?;
        self.let_go()?;
        self.refused_since = None;
        self.join_parted()?;
        self.want_again();
        // What is held back until the group has answered shall not wait for records.
        let until = until.min(Instant::now() + self.hears_again());
        let event = self.fetch.next(until)?;
        self.hear_brokers(event, items)?;
        self.show();
        Ok(())
    }

    fn idle(&mut self) -> Result<(), Fault> {
        self.hear_group()?;
        self.let_go()?;
        self.watch_disk()
    }

    fn feedback(&mut self, note: Feedback) {
        match note {
            Feedback::Settled(Settled { commits }) => {
                self.ledgers.commit(commits, &mut *self.place);
            }
            Feedback::Refused { partition, want, position } => {
                // Only the first refusal of a want counts: what was fetched after it
                // is refused as well, and is on its way again already.
                if self.partitions.get(&partition).is_some_and(|tracked| tracked.want == want) {
                    self.want_from(&partition, position);
                }
            }
            Feedback::Truncated { partition, want, position, short } => {
                self.fall_short(partition, want, position, short);
            }
        }
    }

    fn finish(&mut self, until: Instant) {
        self.commit_the_rest(until);
        self.depart(until);
    }
}

fn marks(landmarks: &[Landmark]) -> Vec<(i64, u32)> {
    landmarks.iter().map(|one| (one.offset, one.fingerprint)).collect()
}

fn shown(begin: &StartOffset) -> String {
    match begin {
        StartOffset::At(offset, _) => format!("offset {offset}"),
        StartOffset::Earliest => "its first record".to_owned(),
        StartOffset::Latest => "its end".to_owned(),
    }
}

fn journal_fault(error: &std::io::Error) -> Fault {
    Fault::Retry(format!("cannot write the journal: {error}"))
}
