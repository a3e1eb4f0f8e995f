//! The source: joins what the group says (Place), what the journal knows (Ledger) and
//! what the brokers have (Fetch) into tasks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::NAME;
use super::files::Ledgers;
use crate::config::Start;
use crate::error::Fault;
use crate::kafka::{Assigned, Begin, Event, Fetch, Fetched, Payload, Place, PlaceEvent};
use crate::logfile::{Landmark, Ledger, Settled};
use crate::pipeline::{self, Item};
use crate::record::TopicPartition;
use crate::report::{Counters, Outage};

/// Leaders move and coordinators load: what passes within this time is not news.
const PATIENCE: Duration = Duration::from_secs(5);
const GROUP_PATIENCE: Duration = Duration::from_secs(2);

/// What the source is told.
pub(super) enum Note {
    /// These positions are durable.
    Settled(Settled),
    /// An outcome did not continue what has landed: fetch from the position again.
    Refused { partition: TopicPartition, want: u64, position: i64 },
}

/// See the module.
pub(super) struct Records {
    fetch: Box<dyn Fetch>,
    place: Box<dyn Place>,
    ledgers: Ledgers,
    start: Start,
    counters: Arc<Counters>,
    partitions: BTreeMap<TopicPartition, Tracked>,
    wants: u64,
    /// Logs that are not what they were, and where to go on once nothing is in flight.
    parted: HashMap<TopicPartition, i64>,
    brokers: Outage,
    group: Outage,
}

/// One assigned partition.
struct Tracked {
    lane: u32,
    want: u64,
    /// The next offset after what was polled.
    polled: i64,
    lag: u64,
    outage: Outage,
}

impl Records {
    pub(super) fn new(
        fetch: Box<dyn Fetch>,
        place: Box<dyn Place>,
        ledgers: Ledgers,
        start: Start,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            fetch,
            place,
            ledgers,
            start,
            counters,
            partitions: BTreeMap::new(),
            wants: 0,
            parted: HashMap::new(),
            brokers: Outage::new(format!("{NAME}: Kafka")),
            group: Outage::new(format!("{NAME}: the group")).patient(GROUP_PATIENCE),
        }
    }

    /// The journal of this partition's file.
    fn ledger(&self, partition: &TopicPartition) -> Result<&Ledger, Fault> {
        self.ledgers.of(partition).ok_or_else(|| Fault::Never(format!("{partition}: has no log file")))
    }

    /// What the group has to say, all of it.
    fn hear_group(&mut self) -> Result<(), Fault> {
        loop {
            match self.place.next()? {
                PlaceEvent::Unchanged => return Ok(()),
                PlaceEvent::Trouble(why) => {
                    // While no broker answers, that is the outage.
                    if self.brokers.lasts().is_none() {
                        self.group.down(&why);
                    }
                    return Ok(());
                }
                PlaceEvent::Reached => self.group.up("back"),
                PlaceEvent::Assigned(assigned) => {
                    self.group.up("back");
                    self.assign(&assigned)?;
                }
                PlaceEvent::Committed(offsets) => {
                    self.group.up("back");
                    self.ledgers.committed(&offsets, &mut *self.place);
                }
            }
        }
    }

    fn assign(&mut self, assigned: &[Assigned]) -> Result<(), Fault> {
        // Asked before any of them gets a position: a partition of a topic that is
        // read already is new, and new partitions start at their first record.
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
                Some(position) => Begin::At(position, marks(&resumed.landmarks)),
                None if new || self.start == Start::Earliest => Begin::Earliest,
                None => Begin::Latest,
            };
            // A run that is tried again and again says so once.
            let down = self.counters.standing.is_down();
            let level = if down { log::Level::Debug } else { log::Level::Info };
            log::log!(level, "{NAME}: {} begins at {}", one.partition, shown(&begin));
            let lane = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
            let outage = Outage::new(format!("{NAME}: {}", one.partition)).patient(PATIENCE);
            let polled = resumed.position.unwrap_or(-1);
            let tracked = Tracked { lane, want: 0, polled, lag: 0, outage };
            self.partitions.insert(one.partition.clone(), tracked);
            self.want(&one.partition, begin);
        }
        Ok(())
    }

    fn want(&mut self, partition: &TopicPartition, begin: Begin) {
        let Some(tracked) = self.partitions.get_mut(partition) else { return };
        self.wants += 1;
        tracked.want = self.wants;
        if let Begin::At(position, _) = begin {
            tracked.polled = position;
        }
        self.fetch.want(partition, begin, self.wants);
    }

    /// Goes on in logs that are not what they were, once what was read of the old
    /// ones has landed.
    fn join_parted(&mut self) -> Result<(), Fault> {
        let landed = |partition: &TopicPartition| {
            self.ledgers.of(partition).and_then(|ledger| ledger.landed(partition)).map(|(_, at)| at)
        };
        let idle = |partition: &TopicPartition| {
            self.partitions.get(partition).is_some_and(|one| landed(partition) == Some(one.polled))
        };
        let ripe: Vec<TopicPartition> = self.parted.keys().filter(|one| idle(one)).cloned().collect();
        for partition in ripe {
            if let Some(position) = self.parted.remove(&partition) {
                self.ledger(&partition)?
                    .place(&partition, position)
                    .map_err(|error| journal_fault(&error))?;
                self.want(&partition, Begin::At(position, Vec::new()));
            }
        }
        Ok(())
    }

    fn hear_brokers(&mut self, event: Event, items: &mut Vec<Item<Fetched>>) -> Result<(), Fault> {
        match event {
            Event::Nothing => {}
            Event::Idle => self.brokers.up("back"),
            Event::Fetched(fetched) => {
                self.brokers.up("back");
                self.take(fetched, items);
            }
            Event::Well(partition) => {
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.outage.up("back");
                }
            }
            Event::Trouble(None, why) => self.brokers.down(&why),
            Event::Trouble(Some(partition), why) => {
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.outage.down(&why);
                }
            }
            Event::Found(partition, at) => {
                self.brokers.up("back");
                self.ledger(&partition)?.place(&partition, at).map_err(|error| journal_fault(&error))?;
                if let Some(tracked) = self.partitions.get_mut(&partition) {
                    tracked.polled = at;
                }
            }
            Event::Different(partition, position) => {
                log::error!(
                    "{NAME}: {partition}: its records are not those that were read before: the topic was made \
                     anew or truncated; going on at offset {position}"
                );
                self.parted.insert(partition, position);
            }
        }
        Ok(())
    }

    fn take(&mut self, fetched: Fetched, items: &mut Vec<Item<Fetched>>) {
        let Some(tracked) = self.partitions.get_mut(&fetched.partition) else { return };
        if fetched.want != tracked.want {
            return;
        }
        tracked.outage.up("back");
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
        items.push(Item { lane: tracked.lane, bytes: fetched.bytes, task: fetched });
        let lag = self.partitions.values().map(|tracked| tracked.lag).sum();
        self.counters.lag.store(lag, Relaxed);
    }
}

impl pipeline::Source for Records {
    type Task = Fetched;
    type Note = Note;

    fn poll(&mut self, until: Instant, items: &mut Vec<Item<Fetched>>) -> Result<(), Fault> {
        self.hear_group()?;
        self.join_parted()?;
        let event = self.fetch.next(until)?;
        self.hear_brokers(event, items)
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Settled(Settled { commits }) => {
                self.ledgers.commit(commits, &mut *self.place);
            }
            Note::Refused { partition, want, position } => {
                // Only the first refusal of a want counts: what was fetched after it
                // is refused as well, and is on its way again already.
                if self.partitions.get(&partition).is_some_and(|tracked| tracked.want == want) {
                    let landmarks = self.ledgers.of(&partition).map(|ledger| ledger.landmarks(&partition));
                    let landmarks = marks(&landmarks.unwrap_or_default());
                    self.want(&partition, Begin::At(position, landmarks));
                }
            }
        }
    }

    /// Commits what has settled, as far as the time allows: what is not committed is
    /// in the journal.
    fn finish(&mut self, until: Instant) {
        while Instant::now() < until {
            if let Some(offsets) = self.place.leave(until) {
                self.ledgers.committed(&offsets, &mut *self.place);
            }
            if self.ledgers.is_committing() {
                continue;
            }
            match self.ledgers.take_commits() {
                Ok(commits) if commits.is_empty() => return,
                Ok(commits) => self.ledgers.commit(commits, &mut *self.place),
                Err(error) => {
                    log::warn!(
                        "{NAME}: cannot journal the last commit: {error}; the journal knows the position"
                    );
                    return;
                }
            }
        }
    }
}

fn marks(landmarks: &[Landmark]) -> Vec<(i64, u32)> {
    landmarks.iter().map(|one| (one.offset, one.fingerprint)).collect()
}

fn shown(begin: &Begin) -> String {
    match begin {
        Begin::At(offset, _) => format!("offset {offset}"),
        Begin::Earliest => "its first record".to_owned(),
        Begin::Latest => "its end".to_owned(),
    }
}

fn journal_fault(error: &std::io::Error) -> Fault {
    Fault::Wait(format!("cannot write the journal: {error}"))
}
