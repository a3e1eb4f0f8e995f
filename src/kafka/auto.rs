//! The [`Fetcher`] that chooses between pandad's own client and the `kafka` crate, by what the brokers
//! support. A separate thread asks the brokers, because the answer takes seconds with Kafka 0.9.

use std::collections::BTreeMap;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::cluster::Cluster;
use crate::kafka::fetch::config::FetchConfig;
use crate::kafka::fetch::fetcher::BrokerFetcher;
use crate::kafka::legacy::fetcher::LegacyFetcher;
use crate::kafka::protocol::messages::{self, Request};
use crate::kafka::protocol::versions::Versions;
use crate::kafka::seam::{Event, ExpectedLog, Fetcher, StartOffset};
use crate::record::TopicPartition;
use crate::threads;

/// From this version on, Fetch returns records in the format in which they are stored, with headers and
/// transactions: Kafka 0.11 (KIP-98).
const FETCH_STORED_FORMAT_SINCE: i16 = 4;

/// These brokers were read by the crate, which leaves out what a line can have now.
const LINES_DIFFER: &str = "kafka_to_file: brokers before 0.11 are read by pandad's own client, which shows \
                            timestamps, empty values, and sizes and checksums as they are stored; \
                            kafka['client']='crate' writes lines as before";

/// Which client reads (`kafka['client']`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetcherKind {
    /// The client that suits the brokers better.
    Auto {
        /// Whether ZooKeeper keeps the offsets of the group.
        zookeeper: bool,
    },
    /// The `kafka` crate.
    Crate,
    /// pandad's own client.
    Native,
}

/// A [`Fetcher`] that uses the configured client, or the one that suits the brokers.
pub struct AutoFetcher {
    cluster: Cluster,
    kind: FetcherKind,
    state: AutoState,
    /// The partitions that were assigned before the client was chosen.
    assigned: BTreeMap<TopicPartition, (StartOffset, u64)>,
    /// The topics that these starts belong to, as far as they are known.
    expected: BTreeMap<TopicPartition, ExpectedLog>,
}

enum AutoState {
    /// No broker was asked yet.
    Unasked,
    /// The brokers are asked for their versions.
    Asking(Receiver<Result<Versions, Fault>>),
    /// The client is chosen, and reads.
    Reading(Box<dyn Fetcher>),
}

impl AutoFetcher {
    /// Reads this cluster. Nothing happens before [`Fetcher::next`] is called.
    pub fn new(cluster: Cluster, kind: FetcherKind) -> Self {
        Self {
            cluster,
            kind,
            state: AutoState::Unasked,
            assigned: BTreeMap::new(),
            expected: BTreeMap::new(),
        }
    }

    fn start(&mut self) -> Result<AutoState, Fault> {
        match self.kind {
            FetcherKind::Crate => self.read_with(false),
            FetcherKind::Native => self.read_with(true),
            FetcherKind::Auto { .. } => self.start_asking(),
        }
    }

    fn start_asking(&self) -> Result<AutoState, Fault> {
        let (sender, answers) = bounded(1);
        let cluster = self.cluster.clone();
        threads::spawn("kafka-ask", move || {
            ask_versions(&cluster, &|answer| sender.send(answer).is_ok());
        })?;
        Ok(AutoState::Asking(answers))
    }

    fn read_with(&mut self, native: bool) -> Result<AutoState, Fault> {
        let cluster = self.cluster.clone();
        let mut fetcher: Box<dyn Fetcher> = match native {
            true => Box::new(BrokerFetcher::new(cluster, FetchConfig::default())?),
            false => Box::new(LegacyFetcher::new(cluster)),
        };
        for (partition, (start, assignment)) in std::mem::take(&mut self.assigned) {
            fetcher.expect(&partition, self.expected.remove(&partition).unwrap_or_default());
            fetcher.assign(&partition, start, assignment);
        }
        log::debug!("reading by the {} client", if native { "native" } else { "crate" });
        Ok(AutoState::Reading(fetcher))
    }

    /// A client that was chosen automatically may be the wrong one after an upgrade of the brokers.
    /// So its fatal fault only leads to another choice.
    fn as_retry(&self, fault: Fault) -> Fault {
        match (self.kind, fault) {
            (FetcherKind::Auto { .. }, Fault::Fatal(why)) => Fault::Retry(why),
            (_, fault) => fault,
        }
    }

    /// Whether pandad's own client serves brokers with these versions better than the crate.
    fn is_served_by_native(&self, versions: &Versions) -> bool {
        let stored = versions
            .range(messages::Fetch::KEY)
            .is_some_and(|(_, highest)| highest >= FETCH_STORED_FORMAT_SINCE);
        let zookeeper = self.kind == FetcherKind::Auto { zookeeper: true };
        // The crate cannot leave out records of aborted transactions, so `read_committed` needs the native
        // client.
        let native = !zookeeper || stored && self.cluster.read_committed;
        if native && !stored {
            log::info!("{}", LINES_DIFFER);
        }
        native
    }
}

/// Asks until a broker answers. `send` gets each failure and, at the end, the versions; `send` returns
/// false when nobody waits for the answer any more.
fn ask_versions(cluster: &Cluster, send: &dyn Fn(Result<Versions, Fault>) -> bool) {
    let config = FetchConfig::default();
    let mut brokers = Brokers::new(&cluster.brokers, cluster.dialer());
    let mut pauses = Backoff::new(config.retry_pauses.0, config.retry_pauses.1);
    loop {
        let answer = brokers.ask_versions();
        let done = answer.is_ok();
        if !send(answer) || done {
            return;
        }
        // Nobody joins this thread, so it may sleep.
        std::thread::sleep(pauses.pause());
    }
}

impl Fetcher for AutoFetcher {
    fn expect(&mut self, partition: &TopicPartition, log: ExpectedLog) {
        match &mut self.state {
            AutoState::Reading(fetcher) => fetcher.expect(partition, log),
            _ => drop(self.expected.insert(partition.clone(), log)),
        }
    }

    fn assign(&mut self, partition: &TopicPartition, start: StartOffset, assignment: u64) {
        match &mut self.state {
            AutoState::Reading(fetcher) => fetcher.assign(partition, start, assignment),
            _ => drop(self.assigned.insert(partition.clone(), (start, assignment))),
        }
    }

    fn unassign(&mut self, partition: &TopicPartition) {
        match &mut self.state {
            AutoState::Reading(fetcher) => fetcher.unassign(partition),
            _ => drop(self.assigned.remove(partition)),
        }
    }

    fn next(&mut self, until: Instant) -> Result<Event, Fault> {
        loop {
            let answer = match &mut self.state {
                AutoState::Reading(fetcher) => {
                    return fetcher.next(until).map_err(|fault| self.as_retry(fault));
                }
                AutoState::Unasked => {
                    self.state = self.start()?;
                    continue;
                }
                AutoState::Asking(answers) => answers.recv_deadline(until),
            };
            match answer {
                Ok(Ok(versions)) => {
                    let native = self.is_served_by_native(&versions);
                    self.state = self.read_with(native)?;
                }
                Ok(Err(fault @ Fault::Fatal(_))) => return Err(fault),
                Ok(Err(fault)) => return Ok(Event::Failed(fault.to_string())),
                Err(RecvTimeoutError::Timeout) => return Ok(Event::Nothing),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fault::Retry("the thread that asks the brokers ended".to_owned()));
                }
            }
        }
    }
}
