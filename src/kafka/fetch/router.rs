//! The thread that knows the leader of each partition. It gives each assigned partition to the reader of
//! its leader, and finds the new leader when the old one fails.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::broker_reader::{BrokerReader, ReaderContext};
use super::config::FetchConfig;
use super::leaders::{KnownLeaders, Leader};
use super::messages::{LedTopic, PartitionRelinquished, ReaderOrder, RouterOrder};
use crate::backoff::Backoff;
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::frame::FramePool;
use crate::kafka::protocol::messages::metadata::BrokerMetadata;
use crate::kafka::protocol::messages::{ClusterMetadata, Metadata};
use crate::kafka::seam::{Event, ExpectedLog, FailedPartition, FailureKind, StartOffset};
use crate::record::TopicPartition;
use crate::threads::{self, OwnerGone};

/// After so long without a failure the pauses of a partition are short again.
const FAILURE_MEMORY: Duration = Duration::from_secs(30);
/// What the first broker says is compared with what another one says after this time.
const FIRST_REFRESH: Duration = Duration::from_secs(2);
/// How many unused reply buffers are kept.
const FRAMES_KEPT_MAX: usize = 16;

/// Why a partition without a leader cannot be read.
const NO_LEADER: &str = "no broker leads the partition: start one that has a replica of it";

/// The reader that a partition was given to.
struct Placement {
    leader: Leader,
    assignment: u64,
}

/// A partition that waits to be given to the reader of its leader.
struct UnplacedPartition {
    start: StartOffset,
    assignment: u64,
    /// The log that the start belongs to.
    expected: ExpectedLog,
}

/// The state of the router thread.
pub(super) struct PartitionRouter {
    /// A clone of this context goes to each reader.
    context: ReaderContext,
    brokers: Brokers,
    orders: Receiver<RouterOrder>,
    relinquished: Receiver<PartitionRelinquished>,
    readers: BTreeMap<BrokerAddress, Sender<ReaderOrder>>,
    unplaced: BTreeMap<TopicPartition, UnplacedPartition>,
    placed: BTreeMap<TopicPartition, Placement>,
    leaders: KnownLeaders,
    /// Topics whose leaders must be asked for before a partition is given to a reader.
    stale: BTreeSet<Arc<str>>,
    failures: HashMap<TopicPartition, PartitionFailures>,
    ask_pauses: Backoff,
    ask_not_before: Instant,
    /// Whether the owner knows that the leaders cannot be looked up.
    is_lost: bool,
    refresh_at: Instant,
}

/// The recent failures of a partition.
struct PartitionFailures {
    backoff: Backoff,
    last: Instant,
    /// The partition is not given to a reader before this time.
    not_before: Instant,
}

impl PartitionRouter {
    pub(super) fn new(
        cluster: Cluster,
        config: FetchConfig,
        orders: Receiver<RouterOrder>,
        events: Sender<Vec<Event>>,
    ) -> Self {
        let (report, relinquished) = unbounded();
        let dialer = cluster.dialer().with_limits(config.limits);
        let brokers = Brokers::new(&cluster.brokers, dialer.clone());
        let now = Instant::now();
        Self {
            context: ReaderContext {
                cluster,
                config,
                events,
                report,
                frames: FramePool::new(FRAMES_KEPT_MAX),
                reading: Arc::default(),
                dialer,
            },
            brokers,
            orders,
            relinquished,
            readers: BTreeMap::new(),
            unplaced: BTreeMap::new(),
            placed: BTreeMap::new(),
            leaders: KnownLeaders::default(),
            stale: BTreeSet::new(),
            failures: HashMap::new(),
            ask_pauses: Backoff::new(config.retry_pauses.0, config.retry_pauses.1),
            ask_not_before: now,
            is_lost: false,
            refresh_at: now + config.refresh_interval.min(FIRST_REFRESH),
        }
    }

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for an order, a report or due work, and carries it out.
    fn round(&mut self) -> Result<(), OwnerGone> {
        let due = self.next_due().saturating_duration_since(Instant::now());
        let mut order = None;
        select! {
            recv(self.orders) -> one => order = Some(one.map_err(|_| OwnerGone)?),
            recv(self.relinquished) -> one => if let Ok(one) = one { self.note_relinquished(one) },
            default(due) => {}
        }
        // The owner may have assigned a relinquished partition again already. The report of the
        // reader counts first, or the partition would go to the same leader again at once.
        while let Ok(relinquished) = self.relinquished.try_recv() {
            self.note_relinquished(relinquished);
        }
        while let Some(one) = order {
            self.carry_out(one);
            order = self.orders.try_recv().ok();
        }
        if Instant::now() >= self.refresh_at {
            self.refresh()?;
        }
        self.place_due()
    }

    fn next_due(&self) -> Instant {
        let due = |partition: &TopicPartition| {
            let own =
                self.failures.get(partition).map_or(self.ask_not_before, |failures| failures.not_before);
            own.max(self.ask_not_before)
        };
        self.unplaced.keys().map(due).chain([self.refresh_at]).min().unwrap_or(self.refresh_at)
    }

    fn carry_out(&mut self, order: RouterOrder) {
        match order {
            RouterOrder::Assign { partition, start, assignment, expected } => {
                self.release(&partition, false);
                self.unplaced.insert(partition, UnplacedPartition { start, assignment, expected });
            }
            RouterOrder::Unassign(partition) => {
                self.unplaced.remove(&partition);
                self.failures.remove(&partition);
                self.release(&partition, false);
            }
        }
    }

    /// Takes a partition back from its reader. With `reassign` the reader tells the owner to assign
    /// it again.
    fn release(&mut self, partition: &TopicPartition, reassign: bool) {
        if let Some(placed) = self.placed.remove(partition)
            && let Some(reader) = self.readers.get(&placed.leader.address)
        {
            let order = ReaderOrder::Release {
                partition: partition.clone(),
                assignment: placed.assignment,
                reassign,
            };
            // If this fails, the reader has ended and reads nothing.
            let _ended = reader.send(order);
        }
    }

    /// Notes that a reader has relinquished a partition. The owner has the reader's event and will
    /// assign the partition again.
    fn note_relinquished(&mut self, PartitionRelinquished { partition, assignment }: PartitionRelinquished) {
        if self.placed.get(&partition).is_none_or(|placed| placed.assignment != assignment) {
            return;
        }
        self.placed.remove(&partition);
        self.stale.insert(Arc::clone(&partition.topic));
        self.note_failure(&partition);
    }

    fn note_failure(&mut self, partition: &TopicPartition) {
        let now = Instant::now();
        let new = || PartitionFailures {
            backoff: Backoff::new(self.context.config.retry_pauses.0, self.context.config.retry_pauses.1),
            last: now,
            not_before: now,
        };
        let failures = self.failures.entry(partition.clone()).or_insert_with(new);
        if failures.last.elapsed() > FAILURE_MEMORY {
            failures.backoff.reset();
        }
        failures.last = now;
        failures.not_before = now + failures.backoff.pause();
    }

    /// Gives the partitions that are due to the readers of their leaders.
    fn place_due(&mut self) -> Result<(), OwnerGone> {
        let now = Instant::now();
        let is_due = |partition: &TopicPartition| {
            now >= self.ask_not_before
                && self.failures.get(partition).is_none_or(|failures| now >= failures.not_before)
        };
        let due: Vec<TopicPartition> = self.unplaced.keys().filter(|one| is_due(one)).cloned().collect();
        if due.is_empty() {
            return Ok(());
        }
        let unknown =
            due.iter().filter(|one| self.leaders.of(one).is_none() || self.stale.contains(&one.topic));
        let topics: BTreeSet<Arc<str>> = unknown.map(|one| Arc::clone(&one.topic)).collect();
        let mut events = Vec::new();
        if !topics.is_empty() {
            match self.ask_leaders(&topics) {
                Ok(troubles) => events.extend(troubles),
                Err(why) => return self.report_lost(why),
            }
        }
        for partition in due {
            match self.leaders.of(&partition).cloned() {
                Some(leader) => {
                    let broker = leader.address.to_string();
                    if let Err(why) = self.place(&partition, leader) {
                        self.note_failure(&partition);
                        events.push(failed(&partition, Some(broker.into()), (FailureKind::Partition, why)));
                    }
                }
                None => {
                    self.note_failure(&partition);
                    events.push(failed(&partition, None, (FailureKind::NoLeader, NO_LEADER.to_owned())));
                }
            }
        }
        if events.is_empty() { Ok(()) } else { self.send(events) }
    }

    fn send(&self, events: Vec<Event>) -> Result<(), OwnerGone> {
        self.context.events.send(events).map_err(|_| OwnerGone)
    }

    /// Tells the owner that no broker answers. As long as readers go on, that is not the end of all reading.
    fn report_lost(&mut self, why: String) -> Result<(), OwnerGone> {
        if self.context.reading.load(SeqCst) == 0 {
            return self.send(vec![Event::Failed(why)]);
        }
        self.is_lost = true;
        self.send(vec![Event::LookUpFailed(why)])
    }

    /// Asks another broker than the last time for the leaders of these topics: one that is cut off from its
    /// cluster believes what was true before. Returns an event for each waiting partition of a topic that has
    /// an error.
    ///
    /// # Errors
    /// Why no broker can be asked.
    fn ask_leaders(&mut self, topics: &BTreeSet<Arc<str>>) -> Result<Vec<Event>, String> {
        let names: Vec<String> = topics.iter().map(|topic| (**topic).to_owned()).collect();
        let metadata = match self.brokers.ask_another(&Metadata { topics: &names }) {
            Ok(metadata) => metadata,
            Err(fault) => {
                self.ask_not_before = Instant::now() + self.ask_pauses.pause();
                return Err(fault.to_string());
            }
        };
        self.ask_pauses.reset();
        let mut events = Vec::new();
        if std::mem::take(&mut self.is_lost) {
            events.push(Event::LookUpRecovered);
        }
        let Some(said_by) = self.brokers.answered_last().cloned() else { return Ok(events) };
        let placed = |partition: &TopicPartition| self.placed.contains_key(partition);
        self.leaders.take(&metadata, topics, &said_by, &placed);
        for topic in &metadata.topics {
            let Some(name) = topics.get(topic.name.as_str()) else { continue };
            if topic.code.is_none() {
                self.stale.remove(name);
            } else {
                let of_it = self.unplaced.keys().filter(|one| one.topic == *name);
                let why = format!("its topic: Kafka answers {}", topic.code);
                events.extend(of_it.map(|one| failed(one, None, (FailureKind::Partition, why.clone()))));
            }
        }
        self.end_unused_readers(&metadata);
        Ok(events)
    }

    /// Lets the readers of addresses end that no broker has any more.
    fn end_unused_readers(&mut self, metadata: &ClusterMetadata) {
        let address = |one: &BrokerMetadata| BrokerAddress::new(&one.host, one.port);
        let present: BTreeSet<BrokerAddress> = metadata.brokers.iter().filter_map(address).collect();
        let used: BTreeSet<&BrokerAddress> =
            self.placed.values().map(|placed| &placed.leader.address).collect();
        self.readers.retain(|address, _| present.contains(address) || used.contains(address));
    }

    /// Gives a partition to the reader of a broker, and starts that reader if there is none.
    fn place(&mut self, partition: &TopicPartition, leader: Leader) -> Result<(), String> {
        let Some(UnplacedPartition { start, assignment, expected }) = self.unplaced.remove(partition) else {
            return Ok(());
        };
        let Leader { address: at, epoch, topic } = leader.clone();
        self.placed.insert(partition.clone(), Placement { leader, assignment });
        let leader = LedTopic { epoch, topic, expected };
        let order = ReaderOrder::Read { partition: partition.clone(), start, assignment, leader };
        let order = match self.readers.get(&at) {
            Some(reader) => match reader.send(order) {
                Ok(()) => return Ok(()),
                // The reader ended by a panic. A new one replaces it.
                Err(returned) => returned.into_inner(),
            },
            None => order,
        };
        let (orders, to_do) = unbounded();
        // This cannot fail, because the receiver still exists.
        let _sent = orders.send(order);
        let reader = BrokerReader::new(at.clone(), self.context.clone(), to_do);
        threads::spawn("kafka-fetch", move || reader.run()).map_err(|error| error.to_string())?;
        self.readers.insert(at, orders);
        Ok(())
    }

    /// Asks for all leaders again, each time another broker. A leader that was cut off from the other brokers
    /// does not know that another broker leads now.
    fn refresh(&mut self) -> Result<(), OwnerGone> {
        self.refresh_at = Instant::now() + self.context.config.refresh_interval;
        let topics: BTreeSet<Arc<str>> = self.placed.keys().map(|one| Arc::clone(&one.topic)).collect();
        if topics.is_empty() {
            return Ok(());
        }
        match self.ask_leaders(&topics) {
            Ok(events) if events.is_empty() => {}
            Ok(events) => self.send(events)?,
            // Reading goes on; the leaders are asked for again later.
            Err(_) => {
                self.refresh_at = self.ask_not_before;
                return Ok(());
            }
        }
        self.brokers.try_one_untried();
        self.leaders.forget_doubts_but(&topics);
        if self.leaders.has_doubts() {
            // Another broker says soon which of two is right.
            self.refresh_at = Instant::now() + self.context.config.doubt_interval;
        }
        let moved = |(partition, placed): (&TopicPartition, &Placement)| {
            let now = self.leaders.of(partition)?;
            (*now != placed.leader).then(|| partition.clone())
        };
        let moved: Vec<TopicPartition> = self.placed.iter().filter_map(moved).collect();
        moved.iter().for_each(|partition| self.release(partition, true));
        Ok(())
    }
}

/// The event that a partition cannot be read.
fn failed(partition: &TopicPartition, broker: Option<Arc<str>>, (kind, why): (FailureKind, String)) -> Event {
    Event::PartitionFailed(FailedPartition { partition: partition.clone(), broker, kind, why, lag: None })
}
