//! The thread that reads one broker: all partitions that it leads, one request after
//! the other. While what came is handed on, the broker is at work on the next.

mod probe;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::cursor::{Meaning, Slot};
use super::fetcher::Pace;
use super::router::{Gone, Lost};
use crate::error::Fault;
use crate::kafka::client::brokers::Spoken;
use crate::kafka::client::connection::{Address, Connection, Sent};
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::frame::{Frame, Frames};
use crate::kafka::protocol::messages::fetch::{Fetched, Wanted};
use crate::kafka::protocol::messages::{Fetch, Isolation};
use crate::kafka::protocol::records::Scratch;
use crate::kafka::protocol::versions::Versions;
use crate::kafka::seam::{Event, StartOffset};
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
    Read { partition: TopicPartition, begin: StartOffset, want: u64, epoch: i32 },
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

/// What the readers of one cluster have in common.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) cluster: Cluster,
    pub(super) pace: Pace,
    pub(super) events: Sender<Vec<Event>>,
    pub(super) report: Sender<Lost>,
    pub(super) frames: Frames,
    /// How many readers have something to read.
    pub(super) reading: Arc<AtomicUsize>,
    pub(super) spoken: Spoken,
}

/// See the module.
pub(super) struct Reader {
    address: Address,
    common: Common,
    orders: Receiver<Order>,
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
    pub(super) fn new(address: Address, common: Common, orders: Receiver<Order>) -> Self {
        Self {
            address,
            common,
            orders,
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
                    Stopped::Lost(Fault::Retry(format!("reading {} panicked: {panic}", self.address)))
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
        let _ended = self.common.report.send(Lost { partition: slot.partition.clone(), want: slot.want });
    }

    fn tell(&self, events: Vec<Event>) -> Result<(), Gone> {
        if events.is_empty() { Ok(()) } else { self.common.events.send(events).map_err(|_| Gone) }
    }

    /// One connection's life, or as much of it as there is something to read.
    fn round(&mut self) -> Result<(), Stopped> {
        self.wait_for_work()?;
        self.find_out()?;
        let mut pending = self.ask()?;
        while let Some(Pending { sent, asked, at }) = pending {
            let mut frame = self.common.frames.take();
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
            (false, true) => drop(self.common.reading.fetch_add(1, SeqCst)),
            (true, false) => drop(self.common.reading.fetch_sub(1, SeqCst)),
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
                let slot = Slot::new(partition.clone(), begin, want, epoch, &self.common.pace);
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
        if !idle || asked.elapsed() >= self.common.pace.max_wait / 2 {
            self.nap = FIRST_NAP;
            return Duration::ZERO;
        }
        self.nap = (self.nap * 2).min(LONGEST_NAP);
        self.nap
    }

    // ---- Connecting

    fn connection(&mut self) -> Result<&mut Connection, Fault> {
        self.connection.as_mut().ok_or_else(|| Fault::Retry(format!("{} is not connected", self.address)))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        if self.connection.is_none() {
            let known = self.known.take();
            let opened = self.common.spoken.open(
                &self.address,
                &self.common.cluster.client_id,
                self.common.pace.limits,
                known,
            );
            self.connection = Some(opened.map_err(Fault::Retry)?);
        }
        Ok(())
    }

    // ---- Reading

    fn isolation(&self) -> Isolation {
        if self.common.cluster.read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
    }

    /// How much is asked for of one partition. Brokers before 0.10.1 know no limit for
    /// the whole answer.
    fn usual_bytes(&mut self) -> Result<usize, Fault> {
        let limited = self.connection()?.versions().choose::<Fetch<'_>>().is_ok_and(|version| version >= 3);
        let share = self.common.pace.reply / self.slots.len().clamp(1, MOST_PARTITIONS);
        Ok(if limited {
            self.common.pace.partition
        } else {
            share.max(LEAST_BYTES).min(self.common.pace.partition)
        })
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
        let share = self.common.pace.reply / self.common.reading.load(SeqCst).max(1);
        let fetch = Fetch {
            max_wait_ms: i32::try_from(self.common.pace.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: i32::try_from(share.max(LEAST_REPLY)).unwrap_or(i32::MAX),
            isolation: self.isolation(),
            partitions: &partitions,
        };
        let patience = self.common.pace.max_wait;
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
            return Err(Fault::Retry(format!("{} answers {}", self.address, answer.code)));
        }
        let frame = Arc::new(frame);
        let committed = self.common.cluster.read_committed;
        let mut answers: BTreeMap<TopicPartition, _> = answer.partitions.into_iter().collect();
        let mut told = Vec::new();
        for (partition, want) in asked {
            // Meanwhile it may have been ordered otherwise.
            let Some(slot) = self.slots.get_mut(partition).filter(|slot| slot.want == *want) else {
                continue;
            };
            let meaning = match answers.remove(partition) {
                Some(answer) => slot.hear(&answer, &frame, committed, &self.common.pace),
                None => Meaning::Trouble("the broker left it out of its answer".to_owned()),
            };
            match meaning {
                Meaning::Nothing => {}
                Meaning::Records(fetched) => told.push(Event::Fetched(fetched)),
                Meaning::Well => told.push(Event::Recovered(partition.clone())),
                Meaning::HeldUp(why) => told.push(slot.trouble(why)),
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
