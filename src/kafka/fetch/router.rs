//! The thread that knows who leads which partition: it gives each wanted one to the
//! thread that reads its leader, and looks for another leader when that one fails.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::broker_reader::{self, Common, Reader};
use super::fetcher::Pace;
use crate::backoff::Backoff;
use crate::kafka::client::brokers::{Brokers, Spoken};
use crate::kafka::client::connection::Address;
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::frame::Frames;
use crate::kafka::protocol::messages::Metadata;
use crate::kafka::seam::{Event, StartOffset};
use crate::record::TopicPartition;
use crate::threads;

/// A partition that has not failed for so long begins with short pauses again.
const WELL: Duration = Duration::from_secs(30);
/// Reply buffers that are kept for later.
const FRAMES: usize = 16;

/// What the owner orders.
pub(super) enum Order {
    /// Read this partition from here on; replaces an earlier order about it.
    Want { partition: TopicPartition, begin: StartOffset, want: u64 },
    /// Read it no more.
    Forget(TopicPartition),
}

/// What a reader reports: it has let go of a partition, whose leader may be another.
pub(super) struct Lost {
    pub(super) partition: TopicPartition,
    pub(super) want: u64,
}

/// The owner is gone: the thread ends.
pub(super) struct Gone;

/// Where a partition is read.
struct Placed {
    at: Address,
    epoch: i32,
    want: u64,
}

/// A partition that is to be given to its leader's reader.
struct Waiting {
    begin: StartOffset,
    want: u64,
}

/// See the module.
pub(super) struct Leaders {
    /// What every reader gets.
    common: Common,
    brokers: Brokers,
    orders: Receiver<Order>,
    lost: Receiver<Lost>,
    readers: BTreeMap<Address, Sender<broker_reader::Order>>,
    waiting: BTreeMap<TopicPartition, Waiting>,
    placed: BTreeMap<TopicPartition, Placed>,
    /// Leaders as they were last heard of: where, and which epoch.
    known: HashMap<TopicPartition, (Address, i32)>,
    /// Topics whose leaders must be asked for before anything is given out.
    stale: BTreeSet<Arc<str>>,
    failures: HashMap<TopicPartition, Failures>,
    asks: Backoff,
    ask_not_before: Instant,
    refresh_at: Instant,
}

/// How a partition has failed of late.
struct Failures {
    backoff: Backoff,
    last: Instant,
    /// It is not given out before.
    not_before: Instant,
}

impl Leaders {
    pub(super) fn new(
        cluster: Cluster,
        pace: Pace,
        orders: Receiver<Order>,
        events: Sender<Vec<Event>>,
        spoken: Spoken,
    ) -> Self {
        let (report, lost) = unbounded();
        let brokers = Brokers::new(&cluster.brokers, &cluster.client_id, pace.limits).sharing(&spoken);
        let now = Instant::now();
        Self {
            common: Common {
                cluster,
                pace,
                events,
                report,
                frames: Frames::new(FRAMES),
                reading: Arc::default(),
                spoken,
            },
            brokers,
            orders,
            lost,
            readers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            placed: BTreeMap::new(),
            known: HashMap::new(),
            stale: BTreeSet::new(),
            failures: HashMap::new(),
            asks: Backoff::new(pace.pauses.0, pace.pauses.1),
            ask_not_before: now,
            refresh_at: now + pace.refresh,
        }
    }

    /// Until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Waits for something to do, and does it.
    fn round(&mut self) -> Result<(), Gone> {
        let due = self.next_due().saturating_duration_since(Instant::now());
        let mut order = None;
        select! {
            recv(self.orders) -> one => order = Some(one.map_err(|_| Gone)?),
            recv(self.lost) -> lost => if let Ok(lost) = lost { self.hear(lost) },
            default(due) => {}
        }
        // An order may follow from what was lost: that counts first, or it would be
        // given to the same leader again at once.
        while let Ok(lost) = self.lost.try_recv() {
            self.hear(lost);
        }
        while let Some(one) = order {
            self.obey(one);
            order = self.orders.try_recv().ok();
        }
        if Instant::now() >= self.refresh_at {
            self.refresh()?;
        }
        self.give_out()
    }

    fn next_due(&self) -> Instant {
        let due = |partition: &TopicPartition| {
            let own =
                self.failures.get(partition).map_or(self.ask_not_before, |failures| failures.not_before);
            own.max(self.ask_not_before)
        };
        self.waiting.keys().map(due).chain([self.refresh_at]).min().unwrap_or(self.refresh_at)
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Want { partition, begin, want } => {
                self.release(&partition, false);
                self.waiting.insert(partition, Waiting { begin, want });
            }
            Order::Forget(partition) => {
                self.waiting.remove(&partition);
                self.failures.remove(&partition);
                self.release(&partition, false);
            }
        }
    }

    /// Takes a partition back from its reader, which tells the owner of it if that is
    /// to want it again.
    fn release(&mut self, partition: &TopicPartition, again: bool) {
        if let Some(placed) = self.placed.remove(partition)
            && let Some(reader) = self.readers.get(&placed.at)
        {
            let order =
                broker_reader::Order::Release { partition: partition.clone(), want: placed.want, again };
            // A reader that has ended reads nothing.
            let _ended = reader.send(order);
        }
    }

    /// The owner has been told by the reader, and will want it again.
    fn hear(&mut self, Lost { partition, want }: Lost) {
        if self.placed.get(&partition).is_none_or(|placed| placed.want != want) {
            return;
        }
        self.placed.remove(&partition);
        self.stale.insert(Arc::clone(&partition.topic));
        self.fail(&partition);
    }

    fn fail(&mut self, partition: &TopicPartition) {
        let now = Instant::now();
        let new = || Failures {
            backoff: Backoff::new(self.common.pace.pauses.0, self.common.pace.pauses.1),
            last: now,
            not_before: now,
        };
        let failures = self.failures.entry(partition.clone()).or_insert_with(new);
        if failures.last.elapsed() > WELL {
            failures.backoff.reset();
        }
        failures.last = now;
        failures.not_before = now + failures.backoff.pause();
    }

    /// Gives partitions that are due to their leaders' readers.
    fn give_out(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        let is_due = |partition: &TopicPartition| {
            now >= self.ask_not_before
                && self.failures.get(partition).is_none_or(|failures| now >= failures.not_before)
        };
        let due: Vec<TopicPartition> = self.waiting.keys().filter(|one| is_due(one)).cloned().collect();
        if due.is_empty() {
            return Ok(());
        }
        let unknown =
            due.iter().filter(|one| !self.known.contains_key(*one) || self.stale.contains(&one.topic));
        let topics: BTreeSet<Arc<str>> = unknown.map(|one| Arc::clone(&one.topic)).collect();
        let mut told = Vec::new();
        if !topics.is_empty() {
            match self.ask(&topics) {
                Ok(troubles) => told.extend(troubles),
                Err(why) => return self.tell(vec![Event::Failed(None, why)]),
            }
        }
        for partition in due {
            match self.known.get(&partition).cloned() {
                Some((address, epoch)) => {
                    if let Err(why) = self.give(&partition, address, epoch) {
                        self.fail(&partition);
                        told.push(Event::Failed(Some(partition), why));
                    }
                }
                None => {
                    self.fail(&partition);
                    told.push(Event::Failed(Some(partition), "nobody leads it".to_owned()));
                }
            }
        }
        if told.is_empty() { Ok(()) } else { self.tell(told) }
    }

    fn tell(&self, events: Vec<Event>) -> Result<(), Gone> {
        self.common.events.send(events).map_err(|_| Gone)
    }

    /// Asks who leads these topics' partitions. What is wrong with a topic is told of
    /// those of its partitions that are waited for.
    ///
    /// # Errors
    /// Why no broker can be asked.
    fn ask(&mut self, topics: &BTreeSet<Arc<str>>) -> Result<Vec<Event>, String> {
        let names: Vec<String> = topics.iter().map(|topic| (**topic).to_owned()).collect();
        let metadata = match self.brokers.ask(&Metadata { topics: &names }) {
            Ok(metadata) => metadata,
            Err(fault) => {
                self.ask_not_before = Instant::now() + self.asks.pause();
                return Err(fault.to_string());
            }
        };
        self.asks.reset();
        let nodes: HashMap<i32, Address> = metadata
            .brokers
            .iter()
            .filter_map(|one| Some((one.node, Address::new(&one.host, one.port)?)))
            .collect();
        self.known.retain(|partition, _| !topics.contains(&partition.topic));
        let mut told = Vec::new();
        for topic in metadata.topics {
            let Some(name) = topics.get(topic.name.as_str()) else { continue };
            for one in topic.partitions {
                if let Some(address) = nodes.get(&one.leader) {
                    let partition = TopicPartition::new(Arc::clone(name), one.number);
                    self.known.insert(partition, (address.clone(), one.epoch));
                }
            }
            if topic.code.is_none() {
                self.stale.remove(name);
            } else {
                let of_it = self.waiting.keys().filter(|one| one.topic == *name);
                told.extend(of_it.map(|one| {
                    Event::Failed(Some(one.clone()), format!("its topic: Kafka answers {}", topic.code))
                }));
            }
        }
        Ok(told)
    }

    /// Gives a partition to a broker's reader, starting one if there is none.
    fn give(&mut self, partition: &TopicPartition, at: Address, epoch: i32) -> Result<(), String> {
        let Some(Waiting { begin, want }) = self.waiting.remove(partition) else { return Ok(()) };
        self.placed.insert(partition.clone(), Placed { at: at.clone(), epoch, want });
        let order = broker_reader::Order::Read { partition: partition.clone(), begin, want, epoch };
        let order = match self.readers.get(&at) {
            Some(reader) => match reader.send(order) {
                Ok(()) => return Ok(()),
                // It has ended by a panic; a new one takes over.
                Err(returned) => returned.into_inner(),
            },
            None => order,
        };
        let (orders, to_do) = unbounded();
        // The receiver is right here.
        let _sent = orders.send(order);
        let reader = Reader::new(at.clone(), self.common.clone(), to_do);
        threads::spawn("kafka-fetch", move || reader.run())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        self.readers.insert(at, orders);
        Ok(())
    }

    /// Asks for all leaders again: one that was cut off from the others does not know
    /// that it leads no more.
    fn refresh(&mut self) -> Result<(), Gone> {
        self.refresh_at = Instant::now() + self.common.pace.refresh;
        let topics: BTreeSet<Arc<str>> = self.placed.keys().map(|one| Arc::clone(&one.topic)).collect();
        if topics.is_empty() {
            return Ok(());
        }
        match self.ask(&topics) {
            Ok(told) if told.is_empty() => {}
            Ok(told) => self.tell(told)?,
            // What is read goes on; who leads it is asked for again in time.
            Err(_) => {
                self.refresh_at = self.ask_not_before;
                return Ok(());
            }
        }
        let moved = |(partition, placed): (&TopicPartition, &Placed)| {
            let now = self.known.get(partition)?;
            (now.0 != placed.at || now.1 != placed.epoch).then(|| partition.clone())
        };
        let moved: Vec<TopicPartition> = self.placed.iter().filter_map(moved).collect();
        moved.iter().for_each(|partition| self.release(partition, true));
        Ok(())
    }
}
