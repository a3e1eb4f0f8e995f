//! [`Fetcher`] by whichever client serves this cluster: found out by asking a broker what
//! it speaks, in a thread of its own, since that takes seconds with Kafka 0.9.

use std::collections::BTreeMap;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::backoff::Backoff;
use crate::error::Fault;
use crate::kafka::client::brokers::{Brokers, VersionsSeen};
use crate::kafka::cluster::Cluster;
use crate::kafka::fetch::config::FetchConfig;
use crate::kafka::fetch::fetcher::BrokerFetcher;
use crate::kafka::legacy::fetcher::LegacyFetcher;
use crate::kafka::protocol::messages::{self, Request};
use crate::kafka::protocol::versions::Versions;
use crate::kafka::seam::{Event, Fetcher, StartOffset};
use crate::record::TopicPartition;
use crate::threads;

/// The first version of Fetch that shows records as they are stored, with headers and
/// transactions: Kafka 0.11 (KIP-98).
const FETCH_STORED_FORMAT_SINCE: i16 = 4;

/// Which client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetcherKind {
    /// The one that serves the cluster.
    Auto {
        /// Whether the group's offsets are kept in ZooKeeper.
        zookeeper: bool,
    },
    /// The `kafka` crate.
    Crate,
    /// Our own.
    Native,
}

/// See the module.
pub struct AutoFetcher {
    cluster: Cluster,
    client: FetcherKind,
    spoken: VersionsSeen,
    state: AutoState,
    /// What was wanted before it was known who reads.
    wanted: BTreeMap<TopicPartition, (StartOffset, u64)>,
}

enum AutoState {
    /// Nobody was asked yet.
    Unasked,
    /// Brokers are asked.
    Asking(Receiver<Result<Versions, Fault>>),
    /// Somebody reads.
    Reading(Box<dyn Fetcher>),
}

impl AutoFetcher {
    /// A reader of this cluster. Nothing happens before something is wanted.
    pub fn new(cluster: Cluster, client: FetcherKind) -> Self {
        Self {
            cluster,
            client,
            spoken: VersionsSeen::default(),
            state: AutoState::Unasked,
            wanted: BTreeMap::new(),
        }
    }

    fn begin(&mut self) -> Result<AutoState, Fault> {
        match self.client {
            FetcherKind::Crate => self.read_by(false),
            FetcherKind::Native => self.read_by(true),
            FetcherKind::Auto { .. } => self.ask(),
        }
    }

    fn ask(&self) -> Result<AutoState, Fault> {
        let (answer, asked) = bounded(1);
        let (cluster, spoken) = (self.cluster.clone(), self.spoken.clone());
        threads::spawn("kafka-ask", move || ask(&cluster, &spoken, &|told| answer.send(told).is_ok()))
            .map_err(|error| Fault::Retry(format!("cannot start a thread: {error}")))?;
        Ok(AutoState::Asking(asked))
    }

    fn read_by(&mut self, native: bool) -> Result<AutoState, Fault> {
        let cluster = self.cluster.clone();
        let mut fetch: Box<dyn Fetcher> = match native {
            true => Box::new(BrokerFetcher::new(cluster, FetchConfig::default(), self.spoken.clone())?),
            false => Box::new(LegacyFetcher::new(cluster)),
        };
        for (partition, (start, assignment)) in std::mem::take(&mut self.wanted) {
            fetch.assign(&partition, start, assignment);
        }
        log::debug!("reading by the {} client", if native { "native" } else { "crate" });
        Ok(AutoState::Reading(fetch))
    }

    /// Where the client was found out, another may serve by now: brokers are upgraded.
    fn doubt(&self, fault: Fault) -> Fault {
        match (self.client, fault) {
            (FetcherKind::Auto { .. }, Fault::Fatal(why)) => Fault::Retry(why),
            (_, fault) => fault,
        }
    }

    /// Whether our own client serves brokers that speak this better than the crate.
    fn is_native(&self, versions: &Versions) -> bool {
        let stored = versions
            .range(messages::Fetch::KEY)
            .is_some_and(|(_, highest)| highest >= FETCH_STORED_FORMAT_SINCE);
        let zookeeper = self.client == FetcherKind::Auto { zookeeper: true };
        // The crate cannot leave out what was aborted.
        stored && (!zookeeper || self.cluster.read_committed)
    }
}

/// Until a broker answers: then what it speaks; before, why none does.
fn ask(cluster: &Cluster, spoken: &VersionsSeen, tell: &dyn Fn(Result<Versions, Fault>) -> bool) {
    let pace = FetchConfig::default();
    let mut brokers = Brokers::new(&cluster.brokers, &cluster.client_id, cluster.limits()).sharing(spoken);
    let mut pauses = Backoff::new(pace.pauses.0, pace.pauses.1);
    loop {
        let answer = brokers.speaks();
        let done = answer.is_ok();
        if !tell(answer) || done {
            return;
        }
        // Nobody waits for this thread.
        std::thread::sleep(pauses.pause());
    }
}

impl Fetcher for AutoFetcher {
    fn assign(&mut self, partition: &TopicPartition, start: StartOffset, assignment: u64) {
        match &mut self.state {
            AutoState::Reading(fetch) => fetch.assign(partition, start, assignment),
            _ => drop(self.wanted.insert(partition.clone(), (start, assignment))),
        }
    }

    fn unassign(&mut self, partition: &TopicPartition) {
        match &mut self.state {
            AutoState::Reading(fetch) => fetch.unassign(partition),
            _ => drop(self.wanted.remove(partition)),
        }
    }

    fn next(&mut self, until: Instant) -> Result<Event, Fault> {
        loop {
            let asked = match &mut self.state {
                AutoState::Reading(fetch) => return fetch.next(until).map_err(|fault| self.doubt(fault)),
                AutoState::Unasked => {
                    self.state = self.begin()?;
                    continue;
                }
                AutoState::Asking(asked) => asked.recv_deadline(until),
            };
            match asked {
                Ok(Ok(versions)) => {
                    let native = self.is_native(&versions);
                    self.state = self.read_by(native)?;
                }
                Ok(Err(fault @ Fault::Fatal(_))) => return Err(fault),
                Ok(Err(fault)) => return Ok(Event::Failed(None, fault.to_string())),
                Err(RecvTimeoutError::Timeout) => return Ok(Event::Nothing),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Fault::Retry("the thread that asks the brokers ended".to_owned()));
                }
            }
        }
    }
}
