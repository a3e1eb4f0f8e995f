//! The owner's side of the [`crate::kafka::Fetcher`] by pandad's own client. The threads behind it are the
//! router ([`super::router`]) and one reader for each broker ([`super::broker_reader`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::config::FetchConfig;
use super::messages::RouterOrder;
use super::router::PartitionRouter;
use crate::error::Fault;
use crate::kafka::cluster::Cluster;
use crate::kafka::seam::{Event, ExpectedLog, Fetcher, StartOffset};
use crate::record::TopicPartition;
use crate::threads;

/// Reads partitions with pandad's own client.
pub struct BrokerFetcher {
    /// Dropped to end the threads.
    orders: Sender<RouterOrder>,
    events: Receiver<Vec<Event>>,
    /// Events of the last reply that were not returned yet.
    ready: VecDeque<Event>,
    /// The logs that the starts of the next assignments belong to.
    expected: BTreeMap<TopicPartition, ExpectedLog>,
    ended: bool,
}

impl BrokerFetcher {
    /// Reads this cluster. Nothing happens before a partition is assigned.
    ///
    /// # Errors
    /// `Retry`: no thread can be started.
    pub fn new(cluster: Cluster, config: FetchConfig) -> Result<Self, Fault> {
        let (orders, router_orders) = unbounded();
        // The channel holds one reply, and the readers wait for room. So at most one reply waits while the
        // next one arrives.
        let (event_sender, events) = bounded(1);
        let leaders = PartitionRouter::new(cluster, config, router_orders, event_sender);
        threads::spawn("kafka-leaders", move || leaders.run())?;
        Ok(Self { orders, events, ready: VecDeque::new(), expected: BTreeMap::new(), ended: false })
    }

    fn order(&mut self, order: RouterOrder) {
        self.ended |= self.orders.send(order).is_err();
    }
}

impl Fetcher for BrokerFetcher {
    fn expect(&mut self, partition: &TopicPartition, log: ExpectedLog) {
        self.expected.insert(partition.clone(), log);
    }

    fn assign(&mut self, partition: &TopicPartition, start: StartOffset, assignment: u64) {
        let expected = self.expected.remove(partition).unwrap_or_default();
        self.order(RouterOrder::Assign { partition: partition.clone(), start, assignment, expected });
    }

    fn unassign(&mut self, partition: &TopicPartition) {
        self.order(RouterOrder::Unassign(partition.clone()));
    }

    fn next(&mut self, until: Instant) -> Result<Event, Fault> {
        let ended = || Fault::Retry("the thread that finds the leaders ended".to_owned());
        if self.ended {
            return Err(ended());
        }
        if let Some(event) = self.ready.pop_front() {
            return Ok(event);
        }
        match self.events.recv_deadline(until) {
            Ok(events) => {
                self.ready.extend(events);
                Ok(self.ready.pop_front().unwrap_or(Event::Nothing))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Event::Nothing),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }
}
