//! The brokers of a cluster: sends a request that every broker can answer to any one of them, and opens
//! connections to one certain broker. Those of the configuration and those that the cluster has named are
//! asked in turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::address::BrokerAddress;
use super::connection::{Connection, ConnectionLimits};
use super::dialer::Dialer;
use super::named_brokers::OtherCluster;
use crate::error::Fault;
use crate::kafka::protocol::messages::{ClusterMetadata, ClusterOnly, Request};
use crate::kafka::protocol::versions::Versions;

/// A connection that was idle for longer is not used again: brokers close idle connections after
/// ten minutes (`connections.max.idle.ms`), and firewalls drop them earlier without notice.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);
/// For so long a broker that has failed is asked only after all others.
const AVOIDED_FOR: Duration = Duration::from_secs(60);
/// After so long no further broker is asked: the next request goes on with the others.
const ASK_TIME_MAX: Duration = Duration::from_secs(20);

/// The brokers of one cluster, with a connection to the one that answered last.
#[derive(Debug)]
pub struct Brokers {
    /// Those of the configuration.
    configured: Vec<BrokerAddress>,
    dialer: Dialer,
    attempts: BTreeMap<BrokerAddress, Attempt>,
    /// How many attempts there were.
    count: u64,
    last_answered: Option<Connection>,
    /// Whether any request was ever answered.
    has_served: bool,
}

/// The last attempt to ask a broker.
#[derive(Debug, Clone, Copy, Default)]
struct Attempt {
    number: u64,
    /// When it failed.
    failed: Option<Instant>,
}

impl Brokers {
    /// The cluster with these bootstrap brokers, each `host:port` or `[v6]:port`. Connects to none
    /// yet.
    pub fn new(hosts: &[String], dialer: Dialer) -> Self {
        let configured = hosts.iter().filter_map(|host| BrokerAddress::parse(host)).collect();
        Self {
            configured,
            dialer,
            attempts: BTreeMap::new(),
            count: 0,
            last_answered: None,
            has_served: false,
        }
    }

    /// The same cluster with separate connections, which have these limits.
    pub fn with_own_connections(&self, limits: ConnectionLimits) -> Self {
        let dialer = self.dialer.clone().with_limits(limits);
        let (configured, attempts) = (self.configured.clone(), self.attempts.clone());
        let (count, has_served) = (self.count, self.has_served);
        Self { configured, dialer, attempts, count, last_answered: None, has_served }
    }

    /// Connects to this broker.
    ///
    /// # Errors
    /// Why the broker cannot be reached.
    pub fn open(&self, address: &BrokerAddress) -> Result<Connection, String> {
        self.dialer.reopen(address)
    }

    /// Remembers the versions of a broker that has answered a request.
    pub fn confirm(&self, connection: &Connection) {
        self.dialer.confirm(connection);
    }

    /// Asks all others before this broker, which did not answer: each attempt with a broker that hangs
    /// costs a timeout.
    pub fn avoid(&mut self, address: &BrokerAddress) {
        self.last_answered.take_if(|last_answered| last_answered.address() == address);
        self.note(address, Some(Instant::now()));
    }

    fn note(&mut self, address: &BrokerAddress, failed: Option<Instant>) {
        self.count += 1;
        self.attempts.insert(address.clone(), Attempt { number: self.count, failed });
    }

    /// All known brokers in the order in which they are asked: those that have failed lately come last, and
    /// among the others who was not asked for the longest time is first. Addresses that the cluster does not
    /// name come after those that it names.
    fn in_turn(&mut self) -> Vec<BrokerAddress> {
        let now = Instant::now();
        let named = self.dialer.named().all(now);
        let mut all = self.configured.clone();
        all.extend(named.iter().filter(|one| !self.configured.contains(one)).cloned());
        self.attempts.retain(|address, _| all.contains(address));
        let rank = |address: &BrokerAddress| {
            let Attempt { number, failed } = self.attempts.get(address).copied().unwrap_or_default();
            let failed = failed.is_some_and(|at| now.saturating_duration_since(at) < AVOIDED_FOR);
            // This may be another name of a broker that is asked anyway.
            let is_unnamed = !named.is_empty() && named.binary_search(address).is_err();
            (failed, is_unnamed, number)
        };
        // The sort keeps the order of the configuration among those that were never asked.
        all.sort_by_cached_key(rank);
        all
    }

    /// The versions that the first answering broker supports.
    ///
    /// # Errors
    /// `Retry`: no broker answers.
    pub fn ask_versions(&mut self) -> Result<Versions, Fault> {
        let mut last = Fault::Retry("no broker is configured".to_owned());
        for address in self.in_turn() {
            match self.open_own(&address) {
                Ok(connection) => return Ok(connection.versions().clone()),
                Err(fault) => {
                    self.avoid(&address);
                    last = fault;
                }
            }
        }
        Err(last)
    }

    /// Asks the broker that answered last, or else all known brokers in turn. A broker that does not
    /// support the request is passed over like one that does not answer.
    ///
    /// # Errors
    /// `Retry`: no broker gives an answer. `Fatal`: every broker was reached, none of them has a version of
    /// the request in common with pandad, and none has ever answered a request.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Answer, Fault> {
        if let Some(connection) = self.last_answered.take().filter(is_fresh) {
            let address = connection.address().clone();
            match self.ask_on(connection, request) {
                Ok(answer) => return Ok(answer),
                Err(_) => self.avoid(&address),
            }
        }
        self.ask_another(request)
    }

    /// Asks all known brokers in turn, and the one that was asked last after the others: one broker alone may
    /// be cut off from the rest of its cluster, and believe for good what was true before.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_another<R: Request>(&mut self, request: &R) -> Result<R::Answer, Fault> {
        let mut kept = self.last_answered.take().filter(is_fresh);
        let (began, all) = (Instant::now(), self.in_turn());
        let mut failed = all.is_empty().then(|| Fault::Retry("no broker is configured".to_owned()));
        let mut refused = None;
        for address in all {
            let connection = match kept.take_if(|kept| *kept.address() == address) {
                Some(kept) => Ok(kept),
                None => self.open_own(&address),
            };
            match connection.and_then(|connection| self.ask_on(connection, request)) {
                Ok(answer) => return Ok(answer),
                Err(fault) => {
                    self.avoid(&address);
                    let kind = if matches!(fault, Fault::Fatal(_)) { &mut refused } else { &mut failed };
                    *kind = Some(fault);
                }
            }
            if began.elapsed() >= ASK_TIME_MAX {
                let left = || Fault::Retry("not all brokers were asked".to_owned());
                failed.get_or_insert_with(left);
                break;
            }
        }
        // A broker that may come back explains more than an address at which there is none: that of a
        // controller, for example.
        Err(match (failed, refused) {
            (Some(fault), _) => fault,
            (None, Some(Fault::Fatal(why))) if self.has_served => Fault::Retry(why),
            (None, Some(fault)) => fault,
            (None, None) => Fault::Retry("no broker was asked".to_owned()),
        })
    }

    /// Connects to a broker. One that is not of the configuration must belong to the same cluster: its
    /// address may have been given to another one.
    fn open_own(&self, address: &BrokerAddress) -> Result<Connection, Fault> {
        let mut connection = self.open(address).map_err(Fault::Retry)?;
        let is_configured = self.configured.contains(address);
        if !is_configured
            && self.dialer.named().has_id()
            && connection.versions().choose::<ClusterOnly>().is_ok()
        {
            let metadata = connection.ask(&ClusterOnly)?;
            self.record(address, &metadata)?;
        }
        Ok(connection)
    }

    fn record(&self, address: &BrokerAddress, metadata: &ClusterMetadata) -> Result<(), Fault> {
        let (named, is_configured) = (self.dialer.named(), self.configured.contains(address));
        named.record(metadata, is_configured, Instant::now()).map_err(|OtherCluster { own, other }| {
            named.forget(address);
            Fault::Retry(format!("{address} belongs to the cluster {other} by now, not to {own}"))
        })
    }

    fn ask_on<R: Request>(&mut self, mut connection: Connection, request: &R) -> Result<R::Answer, Fault> {
        let answer = connection.ask(request)?;
        if let Some(metadata) = R::cluster(&answer) {
            self.record(connection.address(), metadata)?;
        }
        self.confirm(&connection);
        self.note(&connection.address().clone(), None);
        self.has_served = true;
        self.last_answered = Some(connection);
        Ok(answer)
    }

    /// The broker that answered last.
    pub fn answered_last(&self) -> Option<&BrokerAddress> {
        self.last_answered.as_ref().map(Connection::address)
    }
}

/// Whether the connection was used recently enough to be used again.
pub(super) fn is_fresh(connection: &Connection) -> bool {
    connection.idle() < CONNECTION_IDLE_MAX
}
