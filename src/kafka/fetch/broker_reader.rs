//! The thread that reads one broker: one request after the other, for all partitions that the broker leads.
//! The next request is sent before the last answer is passed on, so that the broker works meanwhile.

mod probe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::config::FetchConfig;
use super::cursor::{Cursor, Meaning};
use super::messages::{PartitionRelinquished, ReaderOrder};
use crate::error::Fault;
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::connection::{Connection, Sent};
use crate::kafka::client::dialer::Dialer;
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::frame::{Frame, FramePool};
use crate::kafka::protocol::messages::fetch::{FetchAnswer, PartitionFetch};
use crate::kafka::protocol::messages::{Fetch, Isolation};
use crate::kafka::protocol::records::Scratch;
use crate::kafka::seam::Event;
use crate::record::TopicPartition;
use crate::threads::{self, OwnerGone};

/// A reply may have at least this many bytes, however many brokers are read.
const REPLY_BYTES_MIN: usize = 256 * 1024;
/// The least number of bytes that is requested of one partition.
const PARTITION_BYTES_MIN: usize = 64 * 1024;
/// How many partitions one request names; the others follow in the next ones.
const FETCH_PARTITIONS_MAX: usize = 1000;
/// The longest and the first pause after an answer without records that came too early.
const IDLE_PAUSE_MAX: Duration = Duration::from_millis(500);
const IDLE_PAUSE_FIRST: Duration = Duration::from_millis(1);

/// Why the reader cannot go on with its partitions.
enum ReaderStopped {
    Gone,
    Lost(Fault),
}

impl From<OwnerGone> for ReaderStopped {
    fn from(_: OwnerGone) -> Self {
        ReaderStopped::Gone
    }
}

impl From<Fault> for ReaderStopped {
    fn from(fault: Fault) -> Self {
        ReaderStopped::Lost(fault)
    }
}

/// A Fetch request in flight, and the partitions in it with their assignments.
struct PendingFetch {
    sent: Sent,
    asked: Vec<(TopicPartition, u64)>,
    at: Instant,
}

/// What the readers of one cluster share.
#[derive(Clone)]
pub(super) struct ReaderContext {
    pub(super) cluster: Cluster,
    pub(super) config: FetchConfig,
    pub(super) events: Sender<Vec<Event>>,
    pub(super) report: Sender<PartitionRelinquished>,
    pub(super) frames: FramePool,
    /// How many readers have a partition to read.
    pub(super) reading: Arc<AtomicUsize>,
    pub(super) dialer: Dialer,
}

/// The state of the thread.
pub(super) struct BrokerReader {
    address: BrokerAddress,
    /// The address as text, for events.
    name: Arc<str>,
    context: ReaderContext,
    orders: Receiver<ReaderOrder>,
    is_counted: bool,
    connection: Option<Connection>,
    cursors: BTreeMap<TopicPartition, Cursor>,
    /// By how much the partitions of the next request are rotated.
    turn: usize,
    idle_pause: Duration,
    scratch: Scratch,
}

impl BrokerReader {
    pub(super) fn new(address: BrokerAddress, context: ReaderContext, orders: Receiver<ReaderOrder>) -> Self {
        Self {
            name: address.to_string().into(),
            address,
            context,
            orders,
            is_counted: false,
            connection: None,
            cursors: BTreeMap::new(),
            turn: 0,
            idle_pause: IDLE_PAUSE_FIRST,
            scratch: Scratch::default(),
        }
    }

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        loop {
            let ended = match threads::contain(|| self.round()) {
                Ok(Ok(())) => continue,
                Ok(Err(ended)) => ended,
                Err(panic) => {
                    ReaderStopped::Lost(Fault::Retry(format!("reading {} panicked: {panic}", self.address)))
                }
            };
            match ended {
                ReaderStopped::Lost(fault) if self.relinquish_all(&fault).is_ok() => {}
                _ => break,
            }
        }
        self.count_as_reading(false);
    }

    /// Relinquishes all partitions, because the broker may be gone or lead none of them any more.
    fn relinquish_all(&mut self, fault: &Fault) -> Result<(), OwnerGone> {
        self.connection = None;
        let mut events = Vec::new();
        for cursor in std::mem::take(&mut self.cursors).into_values() {
            events.push(cursor.failed_with_broker(fault.to_string()));
            self.relinquish(&cursor, &mut events);
        }
        self.send(events)
    }

    fn relinquish(&self, cursor: &Cursor, events: &mut Vec<Event>) {
        events.push(cursor.relinquished());
        // This cannot fail, because the router ends only after its readers.
        let _ended = self.context.report.send(PartitionRelinquished {
            partition: cursor.partition.clone(),
            assignment: cursor.assignment,
        });
    }

    fn send(&self, events: Vec<Event>) -> Result<(), OwnerGone> {
        if events.is_empty() { Ok(()) } else { self.context.events.send(events).map_err(|_| OwnerGone) }
    }

    /// Reads over one connection until there is nothing to read.
    fn round(&mut self) -> Result<(), ReaderStopped> {
        self.wait_for_work()?;
        self.probe()?;
        let mut pending = self.send_fetch()?;
        while let Some(PendingFetch { sent, asked, at }) = pending {
            let mut frame = self.context.frames.take();
            let answer = self.connection()?.receive::<Fetch<'_>>(sent, &mut frame)?;
            let events = self.take_answer(answer, frame, &asked)?;
            let idle_pause = self.idle_pause_after(&events, at);
            self.take_orders(idle_pause)?;
            // The next request is sent before the events are passed on: passing them on may wait for the
            // disk.
            let next =
                if self.cursors.values().any(Cursor::has_question) { Ok(None) } else { self.send_fetch() };
            self.send(events)?;
            pending = next?;
        }
        Ok(())
    }

    fn count_as_reading(&mut self, reading: bool) {
        match (std::mem::replace(&mut self.is_counted, reading), reading) {
            (false, true) => drop(self.context.reading.fetch_add(1, SeqCst)),
            (true, false) => drop(self.context.reading.fetch_sub(1, SeqCst)),
            _ => {}
        }
    }

    // ---- Orders

    /// Waits until there is a partition to read or to ask the broker about.
    fn wait_for_work(&mut self) -> Result<(), OwnerGone> {
        loop {
            self.take_orders(Duration::ZERO)?;
            self.count_as_reading(!self.cursors.is_empty());
            let due: Vec<Option<Instant>> = self.cursors.values().map(Cursor::not_before).collect();
            if due.iter().any(Option::is_none) {
                return Ok(());
            }
            match due.into_iter().flatten().min() {
                Some(at) => self.take_orders(at.saturating_duration_since(Instant::now()))?,
                None => {
                    // The reader has no partition and sends nothing; the broker closes the connection at
                    // its idle timeout.
                    let order = self.orders.recv().map_err(|_| OwnerGone)?;
                    self.carry_out(order)?;
                }
            }
        }
    }

    /// Carries out the orders that have come, and waits up to `time` for the first.
    fn take_orders(&mut self, time: Duration) -> Result<(), OwnerGone> {
        let mut order = match self.orders.recv_timeout(time) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(OwnerGone),
        };
        while let Some(one) = order {
            self.carry_out(one)?;
            order = self.orders.try_recv().ok();
        }
        Ok(())
    }

    fn carry_out(&mut self, order: ReaderOrder) -> Result<(), OwnerGone> {
        match order {
            ReaderOrder::Read { partition, start, assignment, epoch } => {
                let leader = (Arc::clone(&self.name), epoch);
                let cursor = Cursor::new(partition.clone(), start, assignment, leader, &self.context.config);
                self.cursors.insert(partition, cursor);
            }
            ReaderOrder::Release { partition, assignment, reassign } => {
                if self.cursors.get(&partition).is_some_and(|cursor| cursor.assignment == assignment)
                    && let Some(cursor) = self.cursors.remove(&partition)
                    && reassign
                {
                    self.send(vec![cursor.relinquished()])?;
                }
            }
        }
        Ok(())
    }

    /// How long to wait before the next request. A broker that has nothing new should have held the request
    /// open, so a pause follows an early answer without records.
    fn idle_pause_after(&mut self, events: &[Event], asked: Instant) -> Duration {
        let idle = matches!(events, [] | [Event::Idle]);
        if !idle || asked.elapsed() >= self.context.config.max_wait / 2 {
            self.idle_pause = IDLE_PAUSE_FIRST;
            return Duration::ZERO;
        }
        self.idle_pause = (self.idle_pause * 2).min(IDLE_PAUSE_MAX);
        self.idle_pause
    }

    // ---- Connecting

    fn connection(&mut self) -> Result<&mut Connection, Fault> {
        self.connection.as_mut().ok_or_else(|| Fault::Retry(format!("{} is not connected", self.address)))
    }

    fn connect(&mut self) -> Result<(), Fault> {
        if self.connection.is_none() {
            self.connection = Some(self.context.dialer.open(&self.address).map_err(Fault::Retry)?);
        }
        Ok(())
    }

    // ---- Reading

    fn isolation(&self) -> Isolation {
        if self.context.cluster.read_committed {
            Isolation::ReadCommitted
        } else {
            Isolation::ReadUncommitted
        }
    }

    /// How many bytes to request of one partition. Brokers before 0.10.1 (Fetch below version 3)
    /// have no limit for the whole answer.
    fn partition_bytes(&mut self) -> Result<usize, Fault> {
        let limited = self.connection()?.versions().choose::<Fetch<'_>>().is_ok_and(|version| version >= 3);
        let share = self.context.config.reply_bytes / self.cursors.len().clamp(1, FETCH_PARTITIONS_MAX);
        Ok(if limited {
            self.context.config.partition_bytes
        } else {
            share.max(PARTITION_BYTES_MIN).min(self.context.config.partition_bytes)
        })
    }

    /// Sends a Fetch for the partitions that are due; `None` if there are none.
    fn send_fetch(&mut self) -> Result<Option<PendingFetch>, Fault> {
        let usual = self.partition_bytes()?;
        let wanted = self.cursors.values().filter_map(|cursor| cursor.next_fetch(usual));
        let mut partitions: Vec<PartitionFetch> = wanted.collect();
        if partitions.is_empty() {
            return Ok(None);
        }
        self.turn = next_turn(self.turn, partitions.len());
        partitions.rotate_left(self.turn);
        partitions.truncate(FETCH_PARTITIONS_MAX);
        let share = self.context.config.reply_bytes / self.context.reading.load(SeqCst).max(1);
        let fetch = Fetch {
            max_wait_ms: i32::try_from(self.context.config.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: i32::try_from(share.max(REPLY_BYTES_MIN)).unwrap_or(i32::MAX),
            isolation: self.isolation(),
            partitions: &partitions,
        };
        let patience = self.context.config.max_wait;
        let sent = self.connection()?.send(&fetch, patience)?;
        let assignment =
            |one: &PartitionFetch| self.cursors.get(&one.partition).map_or(0, |cursor| cursor.assignment);
        let asked = partitions.iter().map(|one| (one.partition.clone(), assignment(one))).collect();
        Ok(Some(PendingFetch { sent, asked, at: Instant::now() }))
    }

    /// The events of an answer. It also moves the positions.
    fn take_answer(
        &mut self,
        answer: FetchAnswer,
        frame: Frame,
        asked: &[(TopicPartition, u64)],
    ) -> Result<Vec<Event>, Fault> {
        if !answer.code.is_none() {
            return Err(Fault::Retry(format!("{} answers {}", self.address, answer.code)));
        }
        let frame = Arc::new(frame);
        let committed = self.context.cluster.read_committed;
        let mut answers: BTreeMap<TopicPartition, _> = answer.partitions.into_iter().collect();
        let mut events = Vec::new();
        for (partition, assignment) in asked {
            // Meanwhile the partition may have been released or assigned again.
            let Some(cursor) =
                self.cursors.get_mut(partition).filter(|cursor| cursor.assignment == *assignment)
            else {
                continue;
            };
            let meaning = match answers.remove(partition) {
                Some(answer) => cursor.take_answer(&answer, &frame, committed, &self.context.config),
                None => Meaning::Failed("the broker's answer does not name this partition".to_owned()),
            };
            match meaning {
                Meaning::Nothing => {}
                Meaning::Records(fetched) => events.push(Event::Fetched(fetched)),
                Meaning::Recovered(lag) => {
                    let (partition, assignment) = (partition.clone(), *assignment);
                    events.push(Event::Recovered { partition, assignment, lag });
                }
                Meaning::Blocked(why) => events.push(cursor.failed(why)),
                Meaning::Failed(why) => {
                    cursor.pause();
                    events.push(cursor.failed(why));
                }
                Meaning::Relinquish(why) => {
                    events.push(cursor.failed(why));
                    if let Some(cursor) = self.cursors.remove(partition) {
                        self.relinquish(&cursor, &mut events);
                    }
                }
            }
        }
        if events.is_empty() {
            events.push(Event::Idle);
        }
        Ok(events)
    }
}

/// The rotation of the partitions in the next request, after a request with the rotation `turn`. A broker
/// fills its reply in the order of the request, so a full reply lacks the last partitions; the rotation
/// serves all of them. Partitions that did not fit into one request come first in the next one.
fn next_turn(turn: usize, partitions: usize) -> usize {
    let step = if partitions > FETCH_PARTITIONS_MAX { FETCH_PARTITIONS_MAX } else { 1 };
    (turn + step) % partitions
}
