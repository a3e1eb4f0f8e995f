//! The thread that reads one broker: one request after the other, for all partitions that the broker leads.
//! The next request is sent before the last answer is passed on, so that the broker works meanwhile.

mod probe;
mod reading;
mod together;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::config::FetchConfig;
use super::cursor::Cursor;
use super::messages::{PartitionRelinquished, ReaderOrder};
use super::reply_pace::ReplyPace;
use super::session::FetchSession;
use super::turns::TurnCounter;
use crate::error::Fault;
use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::connection::{Connection, Sent};
use crate::kafka::client::dialer::Dialer;
use crate::kafka::cluster::Cluster;
use crate::kafka::protocol::frame::FramePool;
use crate::kafka::protocol::messages::Fetch;
use crate::kafka::protocol::records::Scratch;
use crate::kafka::seam::Event;
use crate::record::TopicPartition;
use crate::threads::{self, OwnerGone};

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

/// A Fetch request in flight.
struct PendingFetch {
    sent: Sent,
    at: Instant,
    /// How long the broker may hold it.
    wait: Duration,
}

/// What came of waiting for the answer to a Fetch request.
enum Awaited {
    /// The answer, or the end of the connection.
    Answer,
    /// It does not come; the request is to be sent again.
    Delayed,
    /// The reader has none of the requested partitions any more.
    NothingWanted,
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
    session: FetchSession,
    turns: TurnCounter,
    pace: ReplyPace,
    idle_pause: Duration,
    scratch: Scratch,
}

impl BrokerReader {
    pub(super) fn new(address: BrokerAddress, context: ReaderContext, orders: Receiver<ReaderOrder>) -> Self {
        let reply_bytes = context.config.reply_bytes;
        Self {
            name: address.to_string().into(),
            address,
            context,
            orders,
            is_counted: false,
            connection: None,
            cursors: BTreeMap::new(),
            session: FetchSession::default(),
            turns: TurnCounter::default(),
            pace: ReplyPace::new(reply_bytes),
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
        self.session.begin_anew();
        let mut events = Vec::new();
        for mut cursor in std::mem::take(&mut self.cursors).into_values() {
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
        while let Some(PendingFetch { mut sent, at, wait }) = pending {
            match self.await_answer(&mut sent)? {
                Awaited::Answer => {}
                Awaited::Delayed => {
                    pending = self.send_fetch()?;
                    continue;
                }
                Awaited::NothingWanted => {
                    // Nobody waits for what the connection still has to bring.
                    self.connection = None;
                    self.session.begin_anew();
                    return Ok(());
                }
            }
            let mut frame = self.context.frames.take();
            let answer = self.connection()?.receive::<Fetch<'_>>(sent, &mut frame)?;
            let mut events = self.take_answer(answer, frame)?;
            let idle_pause = self.idle_pause_after(&events, at.elapsed(), wait);
            self.take_orders(idle_pause)?;
            if !self.connection()?.muted_for().is_zero() {
                self.send(std::mem::take(&mut events))?;
                self.wait_until_heard()?;
            }
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

    /// Waits until the broker reads requests from this connection again, see [`Connection::muted_for`].
    fn wait_until_heard(&mut self) -> Result<(), ReaderStopped> {
        loop {
            let muted_for = self.connection()?.muted_for();
            if muted_for.is_zero() {
                return Ok(());
            }
            self.take_orders(muted_for)?;
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
            ReaderOrder::Read { partition, start, assignment, leader } => {
                let leader = (Arc::clone(&self.name), leader);
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
    /// open for the time `wait`, so a pause follows an early answer without records.
    fn idle_pause_after(&mut self, events: &[Event], took: Duration, wait: Duration) -> Duration {
        let idle = matches!(events, [] | [Event::Idle]);
        let is_held = !wait.is_zero() && took >= wait / 2;
        if !idle || is_held {
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
            self.connection = Some(self.open()?);
        }
        Ok(())
    }

    /// A new connection to the broker, of which it is known that it belongs to the cluster.
    fn open(&self) -> Result<Connection, Fault> {
        let mut connection = self.context.dialer.open(&self.address).map_err(Fault::Retry)?;
        self.context.dialer.check_cluster(&mut connection)?;
        Ok(connection)
    }
}

#[cfg(test)]
mod tests;
