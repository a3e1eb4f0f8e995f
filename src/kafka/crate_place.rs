//! [`Place`] by the `kafka` crate, alone: every partition of the topics is ours, and
//! the group's offsets are kept in Kafka or in ZooKeeper, without metadata.
//!
//! Commits run in a thread of their own, because the loop in the crate's commit ends
//! only when the coordinator agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};
use kafka_crate::client::{CommitOffset, FetchGroupOffset, GroupOffsetStorage, KafkaClient};
use kafka_crate::error::KafkaCode;

use super::crate_client::{Client, Connector, Trouble};
use super::{Assigned, Cluster, Place, PlaceEvent};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::record::TopicPartition;
use crate::threads;

/// How often the topics are looked at for new partitions.
const REFRESH: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The pause in the crate's own commit loop. It has none once its attempts are used
/// up, so they are set to never be.
const COMMIT_PAUSE: Duration = Duration::from_secs(1);
/// How often the group's offsets are asked for in one call of the crate.
const ATTEMPTS: u32 = 10;
/// A commit that takes longer is talked about.
const SLOW: Duration = Duration::from_secs(15);
/// How often ZooKeeper is asked again when it knows of no offset at all: a broker that has just
/// started says so, too.
const ASK_AGAIN: u32 = 3;

/// Where the group's offsets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In Kafka (OffsetCommit v1).
    Kafka,
    /// In ZooKeeper (OffsetCommit v0).
    ZooKeeper,
}

/// See the module.
pub struct CratePlace {
    orders: Sender<Vec<(TopicPartition, i64)>>,
    events: Receiver<Result<PlaceEvent, Fault>>,
    committing: Option<Instant>,
}

impl CratePlace {
    /// Begins to look for the topics' partitions.
    ///
    /// # Errors
    /// `Wait`: no thread can be had.
    pub fn new(cluster: Cluster, group: &str, topics: &[String], storage: Storage) -> Result<Self, Fault> {
        let (orders, to_commit) = unbounded();
        let (to_tell, events) = unbounded();
        let thread = Thread {
            connector: Connector::new(cluster, 0),
            group: group.to_owned(),
            topics: topics.to_vec(),
            storage,
            orders: to_commit,
            events: to_tell,
            assigned: BTreeMap::new(),
            client: None,
            pending: None,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        };
        threads::spawn("kafka-group", move || thread.run())
            .map_err(|error| Fault::Wait(format!("cannot start a thread: {error}")))?;
        Ok(Self { orders, events, committing: None })
    }
}

impl Place for CratePlace {
    fn next(&mut self) -> Result<PlaceEvent, Fault> {
        match self.events.try_recv() {
            Ok(event) => {
                let event = event?;
                if matches!(event, PlaceEvent::Committed(_)) {
                    self.committing = None;
                }
                Ok(event)
            }
            Err(TryRecvError::Empty) => match self.committing {
                Some(since) if since.elapsed() > SLOW => {
                    Ok(PlaceEvent::Trouble("the group's coordinator does not answer a commit".to_owned()))
                }
                _ => Ok(PlaceEvent::Unchanged),
            },
            Err(TryRecvError::Disconnected) => Err(Fault::Wait("the group's thread ended".to_owned())),
        }
    }

    fn commit(&mut self, offsets: Vec<(TopicPartition, i64)>) {
        self.committing = Some(Instant::now());
        // A thread that has ended is found out by `next`.
        let _ended = self.orders.send(offsets);
    }

    fn leave(&mut self, until: Instant) -> Option<Vec<(TopicPartition, i64)>> {
        self.committing?;
        loop {
            match self.events.recv_deadline(until) {
                Ok(Ok(PlaceEvent::Committed(offsets))) => {
                    self.committing = None;
                    return Some(offsets);
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

struct Thread {
    connector: Connector,
    group: String,
    topics: Vec<String>,
    storage: Storage,
    /// Closes when the owner has no more use for this thread.
    orders: Receiver<Vec<(TopicPartition, i64)>>,
    events: Sender<Result<PlaceEvent, Fault>>,
    /// How many partitions of each topic are assigned.
    assigned: BTreeMap<String, usize>,
    client: Option<Client>,
    /// What is to be committed, until the group has it.
    pending: Option<Vec<(TopicPartition, i64)>>,
    backoff: Backoff,
}

/// The owner is gone: the thread ends.
struct Gone;

impl Thread {
    /// Looks for partitions and commits, each at its own pace: a commit that is refused
    /// must not keep new partitions from being found.
    fn run(mut self) {
        let mut look_at = Instant::now();
        let mut commit_at = Instant::now();
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let next = if self.pending.is_some() { look_at.min(commit_at) } else { look_at };
            match self.orders.recv_deadline(next) {
                Ok(offsets) => {
                    self.pending = Some(offsets);
                    commit_at = Instant::now();
                    backoff.reset();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= commit_at
                && let Some(offsets) = self.pending.take()
            {
                let Ok(done) = self.commit(&offsets) else { return };
                if !done {
                    self.pending = Some(offsets);
                    commit_at = Instant::now() + backoff.pause();
                }
            }
            if Instant::now() >= look_at {
                let looked = self.look();
                let complete = matches!(looked, Ok(true));
                if let Err(failure) = looked
                    && self.trouble(&failure).is_err()
                {
                    return;
                }
                let pause = if complete { REFRESH } else { self.backoff.pause() };
                look_at = Instant::now() + pause;
            }
        }
    }

    fn tell(&self, event: PlaceEvent) -> Result<(), Gone> {
        self.events.send(Ok(event)).map_err(|_| Gone)
    }

    /// Tells, and throws the client away where it may not be used again.
    fn trouble(&mut self, trouble: &Failure) -> Result<(), Gone> {
        match trouble {
            Failure::Gone => Err(Gone),
            Failure::Never(fault) => {
                let _owner_may_be_gone = self.events.send(Err(fault.clone()));
                Err(Gone)
            }
            Failure::Connect(why) => self.tell(PlaceEvent::Trouble(why.clone())),
            Failure::Kafka(trouble) => {
                self.client = None;
                let why = match trouble {
                    Trouble::Code(KafkaCode::UnknownMemberId) => format!(
                        "the group '{}' has live members, so an offset cannot be committed to it from \
                         outside: stop the other consumers or use another kafka['group']",
                        self.group
                    ),
                    other => other.text(),
                };
                self.tell(PlaceEvent::Trouble(why))
            }
        }
    }

    fn connected(&mut self) -> Result<&mut Client, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let mut client = self.connector.connect(|| {}).map_err(|fault| match fault {
                    never @ Fault::Never(_) => Failure::Never(never),
                    other => Failure::Connect(other.to_string()),
                })?;
                let storage = match self.storage {
                    Storage::Kafka => GroupOffsetStorage::Kafka,
                    Storage::ZooKeeper => GroupOffsetStorage::Zookeeper,
                };
                let set = |kafka: &mut KafkaClient| {
                    kafka.set_group_offset_storage(Some(storage));
                    Ok(())
                };
                client.call(set).map_err(Failure::Kafka)?;
                client.load_metadata(&self.topics).map_err(Failure::Kafka)?;
                self.connector.confirm();
                client
            }
        };
        Ok(self.client.insert(client))
    }

    /// Looks for partitions that are not assigned yet. True if every topic is there.
    fn look(&mut self) -> Result<bool, Failure> {
        let topics = self.topics.clone();
        let client = self.connected()?;
        client.load_metadata(&topics).map_err(Failure::Kafka)?;
        let count = |topic: String| (client.partitions(&topic), topic);
        let counts: Vec<(usize, String)> = topics.into_iter().map(count).collect();
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for (count, topic) in counts {
            let known = self.assigned.get(&topic).copied().unwrap_or(0);
            if count == 0 {
                missing.push(topic);
                continue;
            }
            found.extend((known..count).map(|number| {
                (TopicPartition::new(topic.as_str(), i32::try_from(number).unwrap_or(i32::MAX)), known > 0)
            }));
        }
        if !found.is_empty() {
            self.assign(found)?;
        }
        if !missing.is_empty() {
            let why = format!("the topic {} is not there yet", missing.join(", "));
            self.tell(PlaceEvent::Trouble(why)).map_err(|Gone| Failure::Gone)?;
            return Ok(false);
        }
        self.backoff.reset();
        self.tell(PlaceEvent::Reached).map_err(|Gone| Failure::Gone)?;
        Ok(true)
    }

    fn assign(&mut self, found: Vec<(TopicPartition, bool)>) -> Result<(), Failure> {
        let committed = self.committed(&found)?;
        let assigned = found.into_iter().map(|(partition, new)| Assigned {
            committed: committed.get(&partition).copied(),
            metadata: String::new(),
            partition,
            new,
        });
        let assigned: Vec<Assigned> = assigned.collect();
        for one in &assigned {
            *self.assigned.entry(one.partition.topic.to_string()).or_default() += 1;
        }
        self.tell(PlaceEvent::Assigned(assigned)).map_err(|Gone| Failure::Gone)
    }

    /// The group's offsets of these partitions; those that it has none of are left out.
    fn committed(
        &mut self,
        found: &[(TopicPartition, bool)],
    ) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
        let (group, storage) = (self.group.clone(), self.storage);
        let client = self.connected()?;
        for attempt in 1.. {
            let asked = found
                .iter()
                .map(|(partition, _)| FetchGroupOffset::new(&partition.topic, partition.partition));
            let asked: Vec<FetchGroupOffset<'_>> = asked.collect();
            let ask = |kafka: &mut KafkaClient| {
                kafka.set_retry_max_attempts(ATTEMPTS);
                kafka.set_retry_backoff_time(COMMIT_PAUSE);
                kafka.fetch_group_offsets(&group, &asked)
            };
            let answered = client.call(ask).map_err(Failure::Kafka)?;
            let mut offsets = BTreeMap::new();
            let mut seen = BTreeSet::new();
            for (topic, partitions) in answered {
                for one in partitions {
                    let partition = TopicPartition::new(topic.as_str(), one.partition);
                    seen.insert(partition.clone());
                    if one.offset >= 0 {
                        offsets.insert(partition, one.offset);
                    }
                }
            }
            if let Some((partition, _)) = found.iter().find(|(partition, _)| !seen.contains(partition)) {
                let why = format!("the group's offset of {partition} was asked for and not answered");
                return Err(Failure::Kafka(Trouble::Client(why)));
            }
            if offsets.is_empty() && storage == Storage::ZooKeeper && attempt < ASK_AGAIN {
                std::thread::sleep(FIRST_PAUSE);
                continue;
            }
            return Ok(offsets);
        }
        Ok(BTreeMap::new())
    }

    /// One try. True if the group holds these offsets now.
    fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<bool, Gone> {
        match self.try_commit(offsets) {
            Ok(()) => {
                self.tell(PlaceEvent::Committed(offsets.to_vec()))?;
                Ok(true)
            }
            Err(failure) => {
                self.trouble(&failure)?;
                Ok(false)
            }
        }
    }

    fn try_commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), Failure> {
        let group = self.group.clone();
        let client = self.connected()?;
        let offsets = offsets
            .iter()
            .map(|(partition, offset)| CommitOffset::new(&partition.topic, partition.partition, *offset));
        let offsets: Vec<CommitOffset<'_>> = offsets.collect();
        let commit = |kafka: &mut KafkaClient| {
            kafka.set_retry_max_attempts(u32::MAX);
            kafka.set_retry_backoff_time(COMMIT_PAUSE);
            kafka.commit_offsets(&group, &offsets)
        };
        client.call(commit).map_err(Failure::Kafka)
    }
}

enum Failure {
    Gone,
    Never(Fault),
    Connect(String),
    Kafka(Trouble),
}
