//! The thread of [`super::fetcher::LegacyFetcher`]: one client reads the assigned partitions in turn, and
//! pauses when none of them has records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use kafka_crate::error::KafkaCode;

use super::client::{LegacyClient, LegacyConnector};
use super::error::LegacyError;
use super::partition_turn::{LegacyCursor, TurnResult, turn};
use super::read;
use super::watchdog::Watchdog;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::cluster::Cluster;
use crate::kafka::seam::{Event, FailureKind, StartOffset};
use crate::record::TopicPartition;
use crate::threads::OwnerGone;

/// The first and the longest pause when no partition has records.
const IDLE_PAUSE_FIRST: Duration = Duration::from_millis(5);
const IDLE_PAUSE_MAX: Duration = Duration::from_millis(50);
const CONNECT_PAUSE_FIRST: Duration = Duration::from_millis(100);
const CONNECT_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Orders of the owner.
pub(super) enum LegacyOrder {
    /// Read this partition from `start` on.
    Assign {
        partition: TopicPartition,
        start: StartOffset,
        assignment: u64,
        /// Whether to read it only after a pause, because the last thread hung in its turn.
        later: bool,
    },
    /// Read this partition no longer.
    Unassign(TopicPartition),
}

/// See the module.
pub(super) struct LegacyReader {
    connector: LegacyConnector,
    /// Disconnected when the owner is gone or has replaced this thread.
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

    /// Runs until the owner is gone.
    pub(super) fn run(mut self) {
        while self.round().is_ok() {}
    }

    /// Gives every partition one turn, then pauses if none had records.
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
        self.report(Event::Idle)?;
        self.idle_pause = (self.idle_pause * 2).min(IDLE_PAUSE_MAX);
        self.take_orders(self.idle_pause)
    }

    /// Takes all orders that have come; waits up to `time` for the first.
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

    fn report(&self, event: Event) -> Result<(), OwnerGone> {
        // While the disk is full the owner takes no events, and the thread waits. The watchdog must not
        // count that as hung.
        let sent = self.events.send(Ok(event)).map_err(|_| OwnerGone);
        self.watchdog.beat();
        sent
    }

    fn connect(&mut self) -> Result<bool, OwnerGone> {
        let mut topics: Vec<String> =
            self.cursors.keys().map(|partition| partition.topic.to_string()).collect();
        topics.dedup();
        let why = match self.connector.connect(&self.watchdog) {
            Ok(mut client) => {
                let prepared = read::prepare(&mut client).and_then(|()| client.load_metadata(&topics));
                match prepared {
                    Ok(()) => {
                        self.connector.confirm();
                        self.client = Some(client);
                        return Ok(true);
                    }
                    Err(error) => format!("{}: {}", client.broker(), error.text()),
                }
            }
            Err(Fault::Retry(why) | Fault::Restart(why)) => why,
            Err(never) => {
                let _sent = self.events.send(Err(never));
                return Err(OwnerGone);
            }
        };
        self.report(Event::Failed(why))?;
        let pause = self.backoff.pause();
        self.pause(pause)?;
        Ok(false)
    }

    /// Gives one partition its turn. True if an event came of it.
    fn step(&mut self, partition: &TopicPartition) -> Result<bool, OwnerGone> {
        let (Some(client), Some(cursor)) = (&mut self.client, self.cursors.get_mut(partition)) else {
            return Ok(false);
        };
        if !cursor.is_due() {
            return Ok(false);
        }
        self.watchdog.turn(partition);
        if cursor.broker.is_none() {
            cursor.broker = client.leader(partition).map(Into::into);
        }
        match turn(client, cursor) {
            Ok(TurnResult::Quiet) => {
                if cursor.record_success() {
                    let event = cursor.recovered();
                    self.report(event)?;
                }
                Ok(false)
            }
            Ok(TurnResult::Report(event)) => {
                cursor.record_success();
                self.report(event)?;
                Ok(true)
            }
            Ok(TurnResult::Stuck(why)) | Err(LegacyError::Records(why)) => {
                cursor.record_failure();
                let event = cursor.failed(why, FailureKind::Partition);
                self.report(event)?;
                Ok(false)
            }
            Err(LegacyError::Code(code)) => {
                cursor.record_failure();
                let kind = match code {
                    KafkaCode::LeaderNotAvailable => FailureKind::NoLeader,
                    _ => FailureKind::Partition,
                };
                let event = cursor.failed(LegacyError::Code(code).text(), kind);
                cursor.check_again();
                self.refresh(partition)?;
                self.report(event)?;
                Ok(false)
            }
            Err(LegacyError::Client(why)) => {
                // This partition pauses, so that its unreachable leader does not keep the others from
                // being read.
                cursor.record_failure();
                let broker = cursor.broker.as_deref().unwrap_or("its broker");
                let why = format!("the connection to {broker} failed: {why}");
                let event = cursor.failed(why, FailureKind::Broker);
                self.report(event)?;
                self.drop_client();
                Ok(false)
            }
        }
    }

    /// Drops the client. Leaders may have changed, so every log is compared again.
    fn drop_client(&mut self) {
        self.client = None;
        self.cursors.values_mut().for_each(LegacyCursor::check_again);
    }

    /// Loads the metadata again after an error code, because another broker may lead the partition.
    fn refresh(&mut self, partition: &TopicPartition) -> Result<(), OwnerGone> {
        let Some(client) = &mut self.client else { return Ok(()) };
        if let Err(LegacyError::Client(why)) = client.load_metadata(&[partition.topic.to_string()]) {
            let failed = format!("the connection to {} failed: {why}", client.broker());
            self.drop_client();
            self.report(Event::Failed(failed))?;
        }
        Ok(())
    }
}
