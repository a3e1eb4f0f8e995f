//! The thread that reads one broker: all partitions that it leads, one request after
//! the other. While what came is handed on, the broker is at work on the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::begin::{Leader, Unknown};
use super::brokers::Spoken;
use super::connection::{Address, Connection, Sent};
use super::fetch::Pace;
use super::frame::{Frame, Frames};
use super::leaders::{Gone, Lost};
use super::messages::fetch::{Fetched, Wanted};
use super::messages::list_offsets::End;
use super::messages::{Fetch, Isolation};
use super::records::Scratch;
use super::slot::{Meaning, Slot, Todo};
use super::versions::Versions;
use crate::error::Fault;
use crate::kafka::same_log::Check;
use crate::kafka::{Begin, Cluster, Event, Payload};
use crate::record::TopicPartition;
use crate::threads;

/// However many brokers are read, one reply may hold so many bytes.
const LEAST_REPLY: usize = 256 * 1024;
/// So many bytes of one partition are always asked for.
const LEAST_BYTES: usize = 64 * 1024;
/// So many partitions are asked for at once, those that come next the next time.
const MOST_PARTITIONS: usize = 1000;
/// A broker that brings nothing and does not wait is not asked more often than this.
const LONGEST_NAP: Duration = Duration::from_millis(500);
const FIRST_NAP: Duration = Duration::from_millis(1);

/// What it is told to do.
pub(super) enum Order {
    /// Read this partition, which the broker leads.
    Read { partition: TopicPartition, begin: Begin, want: u64, epoch: i32 },
    /// Let go of it; `again`: and have the owner want it again.
    Release { partition: TopicPartition, want: u64, again: bool },
}

/// Why it does not go on with what it has.
enum Stopped {
    Gone,
    Lost(Fault),
}

impl From<Gone> for Stopped {
    fn from(_: Gone) -> Self {
        Stopped::Gone
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Stopped::Lost(fault)
    }
}

/// A request that is under way, and what was asked for.
struct Pending {
    sent: Sent,
    asked: Vec<(TopicPartition, u64)>,
    at: Instant,
}

/// See the module.
pub(super) struct Reader {
    address: Address,
    cluster: Cluster,
    pace: Pace,
    orders: Receiver<Order>,
    events: Sender<Vec<Event>>,
    report: Sender<Lost>,
    frames: Frames,
    /// How many readers have something to read.
    reading: Arc<AtomicUsize>,
    spoken: Spoken,
    counted: bool,
    connection: Option<Connection>,
    /// What the broker speaks, once it has answered.
    known: Option<Versions>,
    slots: BTreeMap<TopicPartition, Slot>,
    /// Which partition stands first in the next request.
    turn: usize,
    nap: Duration,
    scratch: Scratch,
}

impl Reader {
    #[expect(clippy::too_many_arguments, reason = "called once, by the thread that starts it")]
    pub(super) fn new(
        address: Address,
        cluster: Cluster,
        pace: Pace,
        orders: Receiver<Order>,
        events: Sender<Vec<Event>>,
        report: Sender<Lost>,
        frames: Frames,
        reading: Arc<AtomicUsize>,
        spoken: Spoken,
    ) -> Self {
        Self {
            address,
            cluster,
            pace,
            orders,
            events,
            report,
            frames,
            reading,
            spoken,
            counted: false,
            connection: None,
            known: None,
            slots: BTreeMap::new(),
            turn: 0,
            nap: FIRST_NAP,
            scratch: Scratch::default(),
        }
    }

    /// Until the owner is gone.
    pub(super) fn run(mut self) {
        loop {
            let ended = match threads::contain(|| self.round()) {
                Ok(Ok(())) => continue,
                Ok(Err(ended)) => ended,
                Err(panic) => {
                    Stopped::Lost(Fault::Wait(format!("reading {} panicked: {panic}", self.address)))
                }
            };
            match ended {
                Stopped::Lost(fault) if self.lose(&fault).is_ok() => {}
                _ => break,
            }
        }
        self.count(false);
    }

    /// Everything is let go of: the broker may be gone, or lead nothing any more.
    fn lose(&mut self, fault: &Fault) -> Result<(), Gone> {
        (self.connection, self.known) = (None, None);
        let mut told = Vec::new();
        for slot in std::mem::take(&mut self.slots).into_values() {
            told.push(slot.trouble(fault.to_string()));
            self.let_go(&slot, &mut told);
        }
        self.tell(told)
    }

    fn let_go(&self, slot: &Slot, told: &mut Vec<Event>) {
        told.push(slot.again());
        // The other side of this ends after us.
        let _ended = self.report.send(Lost { partition: slot.partition.clone(), want: slot.want });
    }

    fn tell(&self, events: Vec<Event>) -> Result<(), Gone> {
        if events.is_empty() { Ok(()) } else { self.events.send(events).map_err(|_| Gone) }
    }

    /// One connection's life, or as much of it as there is something to read.
    fn round(&mut self) -> Result<(), Stopped> {
        self.wait_for_work()?;
        self.find_out()?;
        let mut pending = self.ask()?;
        while let Some(Pending { sent, asked, at }) = pending {
            let mut frame = self.frames.take();
            let answer = self.connection()?.receive::<Fetch<'_>>(sent, &mut frame)?;
            let told = self.hear(answer, frame, &asked)?;
            let nap = self.nap_after(&told, at);
            self.take_orders(nap)?;
            // Before anything is handed on: that may take as long as the disk does.
            let next = if self.slots.values().any(Slot::is_curious) { Ok(None) } else { self.ask() };
            self.tell(told)?;
            pending = next?;
        }
        Ok(())
    }

    fn count(&mut self, reading: bool) {
        match (std::mem::replace(&mut self.counted, reading), reading) {
            (false, true) => drop(self.reading.fetch_add(1, SeqCst)),
            (true, false) => drop(self.reading.fetch_sub(1, SeqCst)),
            _ => {}
        }
    }

    // ---- Orders

    /// Waits until there is a partition to do something with.
    fn wait_for_work(&mut self) -> Result<(), Gone> {
        loop {
            self.take_orders(Duration::ZERO)?;
            self.count(!self.slots.is_empty());
            let due: Vec<Option<Instant>> = self.slots.values().map(Slot::not_before).collect();
            if due.iter().any(Option::is_none) {
                return Ok(());
            }
            match due.into_iter().flatten().min() {
                Some(at) => self.take_orders(at.saturating_duration_since(Instant::now()))?,
                None => {
                    // A connection that is not used is closed by the broker in time.
                    let order = self.orders.recv().map_err(|_| Gone)?;
                    self.obey(order)?;
                }
            }
        }
    }

    /// Takes what is ordered, waiting so long for the first.
    fn take_orders(&mut self, time: Duration) -> Result<(), Gone> {
        let mut order = match self.orders.recv_timeout(time) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(Gone),
        };
        while let Some(one) = order {
            self.obey(one)?;
            order = self.orders.try_recv().ok();
        }
        Ok(())
    }

    fn obey(&mut self, order: Order) -> Result<(), Gone> {
        match order {
            Order::Read { partition, begin, want, epoch } => {
                let slot = Slot::new(partition.clone(), begin, want, epoch, &self.pace);
                self.slots.insert(partition, slot);
            }
            Order::Release { partition, want, again } => {
                if self.slots.get(&partition).is_some_and(|slot| slot.want == want)
                    && let Some(slot) = self.slots.remove(&partition)
                    && again
                {
                    self.tell(vec![slot.again()])?;
                }
            }
        }
        Ok(())
    }

    /// How long to wait before the broker is asked again: one that has nothing should
    /// have waited itself.
    fn nap_after(&mut self, told: &[Event], asked: Instant) -> Duration {
        let idle = matches!(told, [] | [Event::Idle]);
        if !idle || asked.elapsed() >= self.pace.max_wait / 2 {
            self.nap = FIRST_NAP;
            return Duration::ZERO;
        }
        self.nap = (self.nap * 2).min(LONGEST_NAP);
        self.nap
    }

    // ---- Finding out

    fn connection(&mut self) -> Result<&mut Connection, Fault> {
        self.connection.as_mut().ok_or_else(|| Fault::Wait(format!("{} is not connected", self.address)))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        if self.connection.is_none() {
            let known = self.known.take();
            let opened = self.spoken.open(&self.address, &self.cluster.client_id, self.pace.limits, known);
            self.connection = Some(opened.map_err(Fault::Wait)?);
        }
        Ok(())
    }

    /// Does what is to be done before partitions can be read on.
    fn find_out(&mut self) -> Result<(), Stopped> {
        self.connect()?;
        let curious = self.slots.values().filter(|slot| slot.is_curious());
        let curious: Vec<TopicPartition> = curious.map(|slot| slot.partition.clone()).collect();
        let mut told = Vec::new();
        for partition in curious {
            let Some(mut slot) = self.slots.remove(&partition) else { continue };
            let keep = match self.resolve(&mut slot, &mut told) {
                Ok(keep) => keep,
                Err(Unknown::Lost(fault)) => {
                    self.slots.insert(partition, slot);
                    self.tell(told)?;
                    return Err(fault.into());
                }
                Err(Unknown::Code(code)) if code.leader_moved() => {
                    told.push(slot.trouble(format!("Kafka answers {code}")));
                    self.let_go(&slot, &mut told);
                    false
                }
                Err(Unknown::Code(code)) => {
                    slot.pause();
                    told.push(slot.trouble(format!("Kafka answers {code}")));
                    true
                }
                Err(Unknown::Records(why)) => {
                    slot.pause();
                    told.push(slot.trouble(why));
                    true
                }
            };
            if keep {
                self.slots.insert(partition, slot);
            }
        }
        Ok(self.tell(told)?)
    }

    /// True: the partition stays with us.
    fn resolve(&mut self, slot: &mut Slot, told: &mut Vec<Event>) -> Result<bool, Unknown> {
        let isolation = self.isolation();
        let Self { connection, pace, scratch, .. } = self;
        let Some(connection) = connection else { return Ok(true) };
        let mut leader = Leader { connection, partition: &slot.partition, epoch: slot.epoch, pace, scratch };
        match slot.todo.clone() {
            Todo::Read => {}
            Todo::Begin(Begin::At(at, landmarks)) => match leader.check(at, &landmarks)? {
                Check::Same => slot.todo = Todo::Read,
                Check::Different(next) => {
                    told.push(Event::Different(slot.partition.clone(), next));
                    return Ok(false);
                }
                Check::Behind(end) => return Ok(self.latch(slot, end, told)),
            },
            Todo::Begin(begin) => {
                let end = if begin == Begin::Latest { End::Next } else { End::First };
                slot.at = leader.end(end, isolation)?;
                slot.todo = Todo::Read;
                told.push(Event::Found(slot.partition.clone(), slot.at));
            }
            Todo::Bounds => {
                let first = leader.end(End::First, Isolation::ReadUncommitted)?;
                let end = leader.end(End::Next, Isolation::ReadUncommitted)?;
                if slot.at >= first {
                    return Ok(self.latch(slot, end, told));
                }
                slot.todo = Todo::Read;
                told.push(Event::Fetched(slot.hand_over(first, end, Payload::Gone)));
            }
            Todo::Inspect => {
                let why = leader.inspect(slot.at)?;
                slot.todo = Todo::Read;
                told.push(slot.trouble(why));
            }
        }
        Ok(true)
    }

    /// An end below the position: nothing is read before the log has been compared
    /// again, since growth alone would also come from a topic that was made anew.
    fn latch(&self, slot: &Slot, end: i64, told: &mut Vec<Event>) -> bool {
        told.push(slot.trouble(format!("its end {end} is below the position {}", slot.at)));
        self.let_go(slot, told);
        false
    }

    // ---- Reading

    fn isolation(&self) -> Isolation {
        if self.cluster.read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
    }

    /// How much is asked for of one partition. Brokers before 0.10.1 know no limit for
    /// the whole answer.
    fn usual_bytes(&mut self) -> Result<usize, Fault> {
        let limited = self.connection()?.versions().choose::<Fetch<'_>>().is_ok_and(|version| version >= 3);
        let share = self.pace.reply / self.slots.len().clamp(1, MOST_PARTITIONS);
        Ok(if limited { self.pace.partition } else { share.max(LEAST_BYTES).min(self.pace.partition) })
    }

    /// Asks for what is due; `None`: nothing is.
    fn ask(&mut self) -> Result<Option<Pending>, Fault> {
        let usual = self.usual_bytes()?;
        let wanted = self.slots.values().filter_map(|slot| slot.wanted(usual));
        let mut partitions: Vec<Wanted> = wanted.collect();
        if partitions.is_empty() {
            return Ok(None);
        }
        // A reply that is full ends early in the list.
        self.turn = (self.turn + 1) % partitions.len();
        partitions.rotate_left(self.turn);
        partitions.truncate(MOST_PARTITIONS);
        let share = self.pace.reply / self.reading.load(SeqCst).max(1);
        let fetch = Fetch {
            max_wait_ms: i32::try_from(self.pace.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: i32::try_from(share.max(LEAST_REPLY)).unwrap_or(i32::MAX),
            isolation: self.isolation(),
            partitions: &partitions,
        };
        let patience = self.pace.max_wait;
        let sent = self.connection()?.send(&fetch, patience)?;
        let want = |one: &Wanted| self.slots.get(&one.partition).map_or(0, |slot| slot.want);
        let asked = partitions.iter().map(|one| (one.partition.clone(), want(one))).collect();
        Ok(Some(Pending { sent, asked, at: Instant::now() }))
    }

    /// What is to be told of an answer. Positions have moved on when this returns.
    fn hear(
        &mut self,
        answer: Fetched,
        frame: Frame,
        asked: &[(TopicPartition, u64)],
    ) -> Result<Vec<Event>, Fault> {
        self.known = self.connection.as_ref().map(|connection| connection.versions().clone());
        if !answer.code.is_none() {
            return Err(Fault::Wait(format!("{} answers {}", self.address, answer.code)));
        }
        let frame = Arc::new(frame);
        let committed = self.cluster.read_committed;
        let mut answers: BTreeMap<TopicPartition, _> = answer.partitions.into_iter().collect();
        let mut told = Vec::new();
        for (partition, want) in asked {
            // Meanwhile it may have been ordered otherwise.
            let Some(slot) = self.slots.get_mut(partition).filter(|slot| slot.want == *want) else {
                continue;
            };
            let meaning = match answers.remove(partition) {
                Some(answer) => slot.hear(&answer, &frame, committed, &self.pace),
                None => Meaning::Trouble("the broker left it out of its answer".to_owned()),
            };
            match meaning {
                Meaning::Nothing => {}
                Meaning::Records(fetched) => told.push(Event::Fetched(fetched)),
                Meaning::Well => told.push(Event::Well(partition.clone())),
                Meaning::Trouble(why) => {
                    slot.pause();
                    told.push(slot.trouble(why));
                }
                Meaning::LetGo(why) => {
                    told.push(slot.trouble(why));
                    if let Some(slot) = self.slots.remove(partition) {
                        self.let_go(&slot, &mut told);
                    }
                }
            }
        }
        if told.is_empty() {
            told.push(Event::Idle);
        }
        Ok(told)
    }
}
