//! [`Fetcher`] by the `kafka` crate, for Kafka 0.9 and 0.10: a thread reads one assigned partition after
//! the other.
//!
//! A call of the crate may hang for two minutes and cannot be interrupted. So the thread is disposable: if
//! it hangs or panics, it is abandoned, and another thread continues after the last offset handed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::partition_turn::remember;
use super::reader::{LegacyOrder, LegacyReader};
use super::watchdog::Watchdog;
use crate::error::Fault;
use crate::kafka::cluster::Cluster;
use crate::kafka::seam::{Event, Fetcher, StartOffset};
use crate::record::TopicPartition;
use crate::threads;

/// A call that takes longer counts as hung.
const STUCK_AFTER: Duration = Duration::from_secs(35);
/// How many replies may wait for the owner: it handles one while the next arrives.
const REPLIES_AHEAD_MAX: usize = 2;

/// See the module.
pub struct LegacyFetcher {
    cluster: Cluster,
    /// The assigned partitions, each with the next offset after the last one handed over. A new thread
    /// starts from there.
    assigned: BTreeMap<TopicPartition, (StartOffset, u64)>,
    thread: Option<LegacyThread>,
    /// How many threads were started. Each begins with another broker.
    threads: usize,
    /// The partition in whose turn the last thread hung. The next thread begins with the others.
    stuck_on: Option<TopicPartition>,
}

struct LegacyThread {
    /// Dropped to end the thread.
    orders: Sender<LegacyOrder>,
    events: Receiver<Result<Event, Fault>>,
    watchdog: Arc<Watchdog>,
}

impl LegacyFetcher {
    /// A fetcher for this cluster. It connects when the first partition is assigned.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, assigned: BTreeMap::new(), thread: None, threads: 0, stuck_on: None }
    }

    fn running(&mut self) -> Result<&LegacyThread, Fault> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => self.start()?,
        };
        Ok(self.thread.insert(thread))
    }

    fn order(&mut self, order: LegacyOrder) {
        if self.thread.as_ref().is_some_and(|thread| thread.orders.send(order).is_err()) {
            // The thread has ended; the next one is given all assigned partitions.
            self.thread = None;
        }
    }

    fn start(&mut self) -> Result<LegacyThread, Fault> {
        let (orders, to_read) = unbounded();
        let (event_sender, events) = bounded(REPLIES_AHEAD_MAX);
        for (partition, (start, assignment)) in &self.assigned {
            let later = self.stuck_on.as_ref() == Some(partition);
            let (partition, start) = (partition.clone(), start.clone());
            // This cannot fail, because the receiver still exists.
            let _sent = orders.send(LegacyOrder::Assign { partition, start, assignment: *assignment, later });
        }
        let watchdog = Arc::new(Watchdog::new());
        let first = self.threads;
        self.threads = self.threads.wrapping_add(1);
        let reader =
            LegacyReader::new(self.cluster.clone(), first, to_read, event_sender, Arc::clone(&watchdog));
        threads::spawn("kafka-fetch", move || reader.run())?;
        Ok(LegacyThread { orders, events, watchdog })
    }

    /// Records how far a partition was handed over.
    fn record_handed_over(&mut self, event: &Event) {
        match event {
            Event::Fetched(fetched) => {
                if let Some((start, assignment)) = self.assigned.get_mut(&fetched.partition)
                    && *assignment == fetched.assignment
                {
                    let mut landmarks = match start {
                        StartOffset::At(_, landmarks) => std::mem::take(landmarks),
                        StartOffset::Earliest | StartOffset::Latest | StartOffset::Since(_) => Vec::new(),
                    };
                    remember(&mut landmarks, fetched.last);
                    *start = StartOffset::At(fetched.next, landmarks);
                }
            }
            Event::Resolved(starts) => {
                for one in starts {
                    if let Some((start, assignment)) = self.assigned.get_mut(&one.partition)
                        && *assignment == one.assignment
                    {
                        *start = StartOffset::At(one.offset, Vec::new());
                    }
                }
            }
            Event::Diverged { partition, assignment, .. } => {
                if self.assigned.get(partition).is_some_and(|(_, present)| present == assignment) {
                    self.assigned.remove(partition);
                }
            }
            Event::Relinquished(..)
            | Event::Nothing
            | Event::Idle
            | Event::Recovered { .. }
            | Event::Failed(_)
            | Event::LookUpFailed(_)
            | Event::LookUpRecovered
            | Event::Lag { .. }
            | Event::Identified { .. }
            | Event::PartitionFailed(_) => {}
        }
    }
}

impl Fetcher for LegacyFetcher {
    fn assign(&mut self, partition: &TopicPartition, start: StartOffset, assignment: u64) {
        self.assigned.insert(partition.clone(), (start.clone(), assignment));
        self.order(LegacyOrder::Assign { partition: partition.clone(), start, assignment, later: false });
    }

    fn unassign(&mut self, partition: &TopicPartition) {
        self.assigned.remove(partition);
        self.order(LegacyOrder::Unassign(partition.clone()));
    }

    fn next(&mut self, until: Instant) -> Result<Event, Fault> {
        let thread = self.running()?;
        let stuck = thread.watchdog.quiet_for() > STUCK_AFTER;
        match thread.events.recv_deadline(until) {
            Ok(event) => {
                let event = event?;
                self.record_handed_over(&event);
                Ok(event)
            }
            Err(RecvTimeoutError::Timeout) if stuck => {
                let watchdog = Arc::clone(&thread.watchdog);
                (self.thread, self.stuck_on) = (None, watchdog.last_turn());
                let broker = watchdog.asked_broker();
                Ok(Event::Failed(format!(
                    "{broker} accepts connections and does not answer: look at this broker, or restart it"
                )))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Event::Nothing),
            Err(RecvTimeoutError::Disconnected) => {
                self.thread = None;
                Ok(Event::Failed(
                    "internal error: the thread kafka-fetch has ended and is started again".to_owned(),
                ))
            }
        }
    }
}
