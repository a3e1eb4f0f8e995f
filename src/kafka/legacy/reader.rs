//! The reading thread of [`super::LegacyFetcher`]: one client, the wanted partitions in
//! turn, and a pause only when none of them had anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::client::{LegacyClient, LegacyConnector};
use super::error::LegacyError;
use super::partition_turn::{LegacyCursor, TurnResult, turn};
use super::read;
use super::watchdog::Watchdog;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::cluster::Cluster;
use crate::kafka::seam::{Event, StartOffset};
use crate::record::TopicPartition;
use crate::threads::OwnerGone;

/// The pause when no partition had anything: grows from the first to the second.
const IDLE_PAUSE_FIRST: Duration = Duration::from_millis(5);
const IDLE_PAUSE_MAX: Duration = Duration::from_millis(50);
const CONNECT_PAUSE_FIRST: Duration = Duration::from_millis(100);
const CONNECT_PAUSE_MAX: Duration = Duration::from_secs(10);

/// What the owner orders.
pub(super) enum LegacyOrder {
    /// Read this partition from here on.
    Assign {
        partition: TopicPartition,
        start: StartOffset,
        assignment: u64,
        /// Not at once: the last thread was stuck on it.
        later: bool,
    },
    /// Read it no more.
    Unassign(TopicPartition),
}

pub(super) struct LegacyReader {
    connector: LegacyConnector,
    /// Closes when the owner has no more use for this thread.
    orders: Receiver<LegacyOrder>,
    events: Sender<Result<Event, Fault>>,
    watchdog: Arc<Watchdog>,
    cursors: BTreeMap<TopicPartition, LegacyCursor>,
    client: Option<LegacyClient>,
    backoff: Backoff,
    idle_pause: Duration,
}

impl LegacyReader {
    pub(super) fn new(
        cluster: Cluster,
        first: usize,
        orders: Receiver<LegacyOrder>,
        events: Sender<Result<Event, Fault>>,
        watchdog: Arc<Watchdog>,
    ) -> Self {
        Self {
            connector: LegacyConnector::new(cluster, first),
            orders,
            events,
            watchdog,
            cursors: BTreeMap::new(),
            client: None,
            backoff: Backoff::new(CONNECT_PAUSE_FIRST, CONNECT_PAUSE_MAX),
            idle_pause: IDLE_PAUSE_FIRST,
        }
    }

    /// Until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Every wanted partition once, then a pause if none had anything.
    fn round(&mut self) -> Result<(), OwnerGone> {
        self.take_orders(Duration::ZERO)?;
        if self.cursors.is_empty() {
            return self.take_orders(IDLE_PAUSE_MAX);
        }
        if self.client.is_none() && !self.connect()? {
            return Ok(());
        }
        let mut progress = false;
        for partition in self.cursors.keys().cloned().collect::<Vec<_>>() {
            progress |= self.step(&partition)?;
            self.take_orders(Duration::ZERO)?;
            if self.client.is_none() {
                let pause = self.backoff.pause();
                return self.pause(pause);
            }
        }
        self.backoff.reset();
        if progress {
            self.idle_pause = IDLE_PAUSE_FIRST;
            return Ok(());
        }
        self.tell(Event::Idle)?;
        self.idle_pause = (self.idle_pause * 2).min(IDLE_PAUSE_MAX);
        self.take_orders(self.idle_pause)
    }

    /// Takes what has been ordered, waiting for it if there is time.
    fn take_orders(&mut self, time: Duration) -> Result<(), OwnerGone> {
        self.watchdog.beat();
        let mut order = match self.orders.recv_timeout(time) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(OwnerGone),
        };
        while let Some(one) = order {
            match one {
                LegacyOrder::Assign { partition, start, assignment, later } => {
                    let cursor = LegacyCursor::new(partition.clone(), start, assignment, later);
                    self.cursors.insert(partition, cursor);
                }
                LegacyOrder::Unassign(partition) => drop(self.cursors.remove(&partition)),
            }
            order = self.orders.try_recv().ok();
        }
        Ok(())
    }

    fn pause(&mut self, time: Duration) -> Result<(), OwnerGone> {
        let until = Instant::now() + time;
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            self.take_orders(rest.min(Duration::from_secs(1)))?;
        }
        Ok(())
    }

    fn tell(&self, event: Event) -> Result<(), OwnerGone> {
        // The owner may take its time while the disk is full: that is no hang.
        let sent = self.events.send(Ok(event)).map_err(|_| OwnerGone);
        self.watchdog.beat();
        sent
    }

    fn connect(&mut self) -> Result<bool, OwnerGone> {
        let mut topics: Vec<String> =
            self.cursors.keys().map(|partition| partition.topic.to_string()).collect();
        topics.dedup();
        let watchdog = Arc::clone(&self.watchdog);
        let why = match self.connector.connect(move || watchdog.beat()) {
            Ok(mut client) => {
                let prepared = read::prepare(&mut client).and_then(|()| client.load_metadata(&topics));
                match prepared {
                    Ok(()) => {
                        self.connector.confirm();
                        self.client = Some(client);
                        return Ok(true);
                    }
                    Err(trouble) => trouble.text(),
                }
            }
            Err(Fault::Retry(why) | Fault::Restart(why)) => why,
            Err(never) => {
                let _sent = self.events.send(Err(never));
                return Err(OwnerGone);
            }
        };
        self.tell(Event::Failed(None, why))?;
        let pause = self.backoff.pause();
        self.pause(pause)?;
        Ok(false)
    }

    /// One partition's turn. True if it brought something.
    fn step(&mut self, partition: &TopicPartition) -> Result<bool, OwnerGone> {
        let (Some(client), Some(cursor)) = (&mut self.client, self.cursors.get_mut(partition)) else {
            return Ok(false);
        };
        if !cursor.is_due() {
            return Ok(false);
        }
        self.watchdog.turn(partition);
        match turn(client, cursor) {
            Ok(TurnResult::Quiet) if cursor.failing => {
                cursor.record_success();
                self.tell(Event::Recovered(partition.clone()))?;
                Ok(false)
            }
            Ok(TurnResult::Quiet) => Ok(false),
            Ok(TurnResult::Tell(event)) => {
                cursor.record_success();
                self.tell(event)?;
                Ok(true)
            }
            Ok(TurnResult::Stuck(why)) | Err(LegacyError::Records(why)) => {
                cursor.record_failure();
                self.tell(Event::Failed(Some(partition.clone()), why))?;
                Ok(false)
            }
            Err(LegacyError::Code(code)) => {
                cursor.record_failure();
                cursor.check_again();
                self.refresh(partition)?;
                let why = LegacyError::Code(code).text();
                self.tell(Event::Failed(Some(partition.clone()), why))?;
                Ok(false)
            }
            Err(LegacyError::Client(why)) => {
                // This partition waits, so that an unreachable leader of one does not
                // keep the others from being read.
                cursor.record_failure();
                self.tell(Event::Failed(Some(partition.clone()), format!("lost its broker: {why}")))?;
                self.drop_client();
                Ok(false)
            }
        }
    }

    /// Everything that the client holds may be wrong by now, and leaders may have moved.
    fn drop_client(&mut self) {
        self.client = None;
        self.cursors.values_mut().for_each(LegacyCursor::check_again);
    }

    /// Leaders move: after any answer of Kafka's that is an error, ask who leads now.
    fn refresh(&mut self, partition: &TopicPartition) -> Result<(), OwnerGone> {
        let Some(client) = &mut self.client else { return Ok(()) };
        if let Err(LegacyError::Client(why)) = client.load_metadata(&[partition.topic.to_string()]) {
            self.drop_client();
            self.tell(Event::Failed(None, format!("lost the broker: {why}")))?;
        }
        Ok(())
    }
}
