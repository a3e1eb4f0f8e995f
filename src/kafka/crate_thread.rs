//! The reading thread of [`super::CrateFetch`]: one client, the wanted partitions in
//! turn, and a pause only when none of them had anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use kafka_crate::client::KafkaClient;
use kafka_crate::error::KafkaCode;

use super::crate_client::{Connector, IDLE, Trouble, load_metadata};
use super::crate_fetch::Pulse;
use super::crate_read::{self, Check, FIRST_BYTES, FULL_BYTES, LEAST_BYTES, MOST_BYTES, Read};
use super::{Begin, Cluster, Event, Fetched, Payload};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::record::TopicPartition;

/// The pause when no partition had anything: grows from the first to the second.
const FIRST_NAP: Duration = Duration::from_millis(5);
const LONGEST_NAP: Duration = Duration::from_millis(50);
/// How many records are remembered for comparing the log.
const LANDMARKS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Read this partition from here on.
pub(super) struct Order {
    pub(super) partition: TopicPartition,
    pub(super) begin: Begin,
    pub(super) want: u64,
}

/// One wanted partition.
struct Wanted {
    partition: TopicPartition,
    want: u64,
    /// Where to begin, until that is resolved and the log is checked.
    begin: Option<Begin>,
    /// What the log is compared with: records handed over, oldest first.
    landmarks: Vec<(i64, u32)>,
    at: i64,
    max_bytes: i32,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Whether the comparison found another log; the owner decides what to do.
    parted: bool,
    /// Whether the owner was told of trouble.
    troubled: bool,
}

pub(super) struct Reader {
    connector: Connector,
    /// Closes when the owner has no more use for this thread.
    orders: Receiver<Order>,
    events: Sender<Result<Event, Fault>>,
    pulse: Arc<Pulse>,
    wanted: BTreeMap<TopicPartition, Wanted>,
    client: Option<KafkaClient>,
    backoff: Backoff,
    nap: Duration,
}

/// The owner is gone: the thread ends.
struct Gone;

impl Reader {
    pub(super) fn new(
        cluster: Cluster,
        orders: Receiver<Order>,
        events: Sender<Result<Event, Fault>>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self {
            connector: Connector::new(cluster),
            orders,
            events,
            pulse,
            wanted: BTreeMap::new(),
            client: None,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            nap: FIRST_NAP,
        }
    }

    /// Until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Every wanted partition once, then a pause if none had anything.
    fn round(&mut self) -> Result<(), Gone> {
        self.take_orders(Duration::ZERO)?;
        if self.wanted.is_empty() {
            return self.take_orders(LONGEST_NAP);
        }
        if self.client.is_none() && !self.connect()? {
            return Ok(());
        }
        let mut progress = false;
        for partition in self.wanted.keys().cloned().collect::<Vec<_>>() {
            progress |= self.step(&partition)?;
            self.take_orders(Duration::ZERO)?;
            if self.client.is_none() {
                let pause = self.backoff.pause();
                return self.pause(pause);
            }
        }
        self.backoff.reset();
        if progress {
            self.nap = FIRST_NAP;
            return Ok(());
        }
        self.tell(Event::Idle)?;
        self.nap = (self.nap * 2).min(LONGEST_NAP);
        self.take_orders(self.nap)
    }

    /// Takes what has been ordered, waiting for it if there is time.
    fn take_orders(&mut self, time: Duration) -> Result<(), Gone> {
        self.pulse.beat();
        let mut order = match self.orders.recv_timeout(time) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(Gone),
        };
        while let Some(Order { partition, begin, want }) = order {
            let wanted = Wanted {
                partition: partition.clone(),
                want,
                begin: Some(begin),
                landmarks: Vec::new(),
                at: 0,
                max_bytes: FIRST_BYTES,
                backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                not_before: None,
                parted: false,
                troubled: false,
            };
            self.wanted.insert(partition, wanted);
            order = self.orders.try_recv().ok();
        }
        Ok(())
    }

    fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        let until = Instant::now() + time;
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            self.take_orders(rest.min(Duration::from_secs(1)))?;
        }
        Ok(())
    }

    fn tell(&self, event: Event) -> Result<(), Gone> {
        // The owner may take its time while the disk is full: that is no hang.
        let sent = self.events.send(Ok(event)).map_err(|_| Gone);
        self.pulse.beat();
        sent
    }

    fn connect(&mut self) -> Result<bool, Gone> {
        let mut topics: Vec<String> =
            self.wanted.keys().map(|partition| partition.topic.to_string()).collect();
        topics.dedup();
        let why = match self.connector.connect() {
            Ok(mut client) => {
                client.set_connection_idle_timeout(IDLE);
                let prepared =
                    crate_read::prepare(&mut client).and_then(|()| load_metadata(&mut client, &topics));
                match prepared {
                    Ok(()) => {
                        self.client = Some(client);
                        return Ok(true);
                    }
                    Err(trouble) => trouble.text(),
                }
            }
            Err(Fault::Wait(why)) => why,
            Err(never) => {
                let _sent = self.events.send(Err(never));
                return Err(Gone);
            }
        };
        self.tell(Event::Trouble(None, why))?;
        let pause = self.backoff.pause();
        self.pause(pause)?;
        Ok(false)
    }

    /// One partition's turn. True if it brought something.
    fn step(&mut self, partition: &TopicPartition) -> Result<bool, Gone> {
        let (Some(client), Some(wanted)) = (&mut self.client, self.wanted.get_mut(partition)) else {
            return Ok(false);
        };
        if wanted.parted || wanted.not_before.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        match turn(client, wanted) {
            Ok(Turn::Quiet) if wanted.troubled => {
                wanted.calm();
                self.tell(Event::Well(partition.clone()))?;
                Ok(false)
            }
            Ok(Turn::Quiet) => Ok(false),
            Ok(Turn::Tell(event)) => {
                wanted.calm();
                self.tell(event)?;
                Ok(true)
            }
            Ok(Turn::Stuck(why)) | Err(Trouble::Records(why)) => {
                wanted.trouble();
                self.tell(Event::Trouble(Some(partition.clone()), why))?;
                Ok(false)
            }
            Err(Trouble::Code(code)) => {
                wanted.trouble();
                self.refresh(partition)?;
                let why = Trouble::Code(code).text();
                self.tell(Event::Trouble(Some(partition.clone()), why))?;
                Ok(false)
            }
            Err(Trouble::Client(why)) => {
                // Everything this client holds may be wrong by now.
                self.client = None;
                self.tell(Event::Trouble(None, format!("lost the broker: {why}")))?;
                Ok(false)
            }
        }
    }

    /// Leaders move: after any answer of Kafka's that is an error, ask who leads now.
    fn refresh(&mut self, partition: &TopicPartition) -> Result<(), Gone> {
        let Some(client) = &mut self.client else { return Ok(()) };
        if let Err(Trouble::Client(why)) = load_metadata(client, &[partition.topic.to_string()]) {
            self.client = None;
            self.tell(Event::Trouble(None, format!("lost the broker: {why}")))?;
        }
        Ok(())
    }
}

impl Wanted {
    fn trouble(&mut self) {
        self.troubled = true;
        self.not_before = Some(Instant::now() + self.backoff.pause());
    }

    fn calm(&mut self) {
        self.troubled = false;
        self.not_before = None;
        self.backoff.reset();
    }
}

enum Turn {
    /// Nothing new.
    Quiet,
    /// Something happened.
    Tell(Event),
    /// This partition cannot be read just now, and why.
    Stuck(String),
}

/// What this partition has to tell now.
fn turn(client: &mut KafkaClient, wanted: &mut Wanted) -> Result<Turn, Trouble> {
    if let Some(begin) = wanted.begin.clone() {
        if let Some(told) = begin_at(client, wanted, begin)? {
            return Ok(told);
        }
        wanted.begin = None;
    }
    match crate_read::read(client, &wanted.partition, wanted.at, wanted.max_bytes)? {
        Read::Records(reply, seen) => {
            let lag = u64::try_from(seen.high_watermark - seen.next).unwrap_or(0);
            wanted.max_bytes = next_size(seen.bytes);
            if wanted.landmarks.len() >= LANDMARKS {
                wanted.landmarks.remove(0);
            }
            wanted.landmarks.extend(seen.last);
            Ok(Turn::Tell(hand_over(wanted, seen.next, lag, seen.bytes, Payload::Crate(reply))))
        }
        Read::Nothing => Ok(Turn::Quiet),
        Read::Short(end) if wanted.max_bytes >= MOST_BYTES => Ok(Turn::Stuck(format!(
            "nothing can be read at offset {} in {MOST_BYTES} bytes, and its end is {end}",
            wanted.at
        ))),
        Read::Short(_) => {
            wanted.max_bytes = wanted.max_bytes.saturating_mul(2).min(MOST_BYTES);
            turn(client, wanted)
        }
        Read::AboveEnd(end) => Ok(latch(wanted, end)),
        Read::OutOfRange => out_of_range(client, wanted),
        Read::Leaderless => Err(Trouble::Code(KafkaCode::LeaderNotAvailable)),
    }
}

/// What to ask for after a reply with this many bytes of records.
///
/// Of a compressed reply the crate returns one batch and drops the rest, so asking for
/// much more than one batch has the broker read, convert and send in vain; and a reply
/// that was filled lets the next be twice as large.
fn next_size(came: u64) -> i32 {
    i32::try_from(came.saturating_mul(2)).unwrap_or(i32::MAX).clamp(LEAST_BYTES, FULL_BYTES)
}

/// Resolves where to begin. `Some`: there is something to tell first.
fn begin_at(client: &mut KafkaClient, wanted: &mut Wanted, begin: Begin) -> Result<Option<Turn>, Trouble> {
    let (at, landmarks) = match begin {
        Begin::At(at, landmarks) => (at, landmarks),
        Begin::Earliest | Begin::Latest => {
            let (first, end) = crate_read::bounds(client, &wanted.partition)?;
            wanted.at = if begin == Begin::Earliest { first } else { end };
            wanted.begin = None;
            return Ok(Some(Turn::Tell(Event::Found(wanted.partition.clone(), wanted.at))));
        }
    };
    wanted.at = at;
    let checked = crate_read::check(client, &wanted.partition, at, &landmarks)?;
    wanted.landmarks = landmarks;
    match checked {
        Check::Same => Ok(None),
        Check::Different(next) => {
            wanted.parted = true;
            Ok(Some(Turn::Tell(Event::Different(wanted.partition.clone(), next))))
        }
        Check::Behind(end) => Ok(Some(latch(wanted, end))),
    }
}

/// An end below the position: nothing is read before the log has been compared again,
/// since growth alone would also come from a topic that was made anew.
fn latch(wanted: &mut Wanted, end: i64) -> Turn {
    wanted.begin = Some(Begin::At(wanted.at, std::mem::take(&mut wanted.landmarks)));
    Turn::Stuck(format!("its end {end} is below the position {}", wanted.at))
}

/// Below the log's start: go there, and say what is gone. Above its end: wait.
fn out_of_range(client: &mut KafkaClient, wanted: &mut Wanted) -> Result<Turn, Trouble> {
    let (first, end) = crate_read::bounds(client, &wanted.partition)?;
    if wanted.at >= first {
        return Ok(latch(wanted, end));
    }
    let lag = u64::try_from(end - first).unwrap_or(0);
    Ok(Turn::Tell(hand_over(wanted, first, lag, 0, Payload::Gone)))
}

fn hand_over(wanted: &mut Wanted, next: i64, lag: u64, bytes: u64, payload: Payload) -> Event {
    let from = std::mem::replace(&mut wanted.at, next);
    let (partition, want) = (wanted.partition.clone(), wanted.want);
    Event::Fetched(Fetched { partition, from, next, want, lag, bytes, payload })
}
