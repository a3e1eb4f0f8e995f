//! The brokers of a cluster: sends a request that every broker can answer to any one of them, and opens
//! connections to one certain broker. Those of the configuration and those that the cluster has named are
//! asked in turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::address::BrokerAddress;
use super::connection::{Connection, ConnectionLimits};
use super::dialer::Dialer;
use crate::error::Fault;
use crate::kafka::protocol::messages::{ClusterOnly, Request};
use crate::kafka::protocol::versions::Versions;

/// A connection that was idle for longer is not used again: brokers close idle connections after
/// ten minutes (`connections.max.idle.ms`), and firewalls drop them earlier without notice.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);
/// After so long no further broker is asked: the next request goes on with the others.
const ASK_TIME_MAX: Duration = Duration::from_secs(20);

/// The brokers of one cluster, with a connection to the one that answered last.
#[derive(Debug)]
pub struct Brokers {
    /// Those of the configuration.
    configured: Vec<BrokerAddress>,
    dialer: Dialer,
    /// The number of the last attempt to ask each broker.
    attempts: BTreeMap<BrokerAddress, u64>,
    /// How many attempts there were.
    count: u64,
    last_answered: Option<Connection>,
    /// Whether any request was ever answered.
    has_served: bool,
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

    /// Connects to this broker of the cluster.
    ///
    /// # Errors
    /// Why the broker cannot be reached, or that it belongs to another cluster.
    pub fn open(&self, address: &BrokerAddress) -> Result<Connection, String> {
        let mut connection = self.dialer.reopen(address)?;
        self.dialer.check_cluster(&mut connection).map_err(|fault| fault.to_string())?;
        Ok(connection)
    }

    /// Remembers the versions of a broker that has answered a request.
    pub fn confirm(&self, connection: &Connection) {
        self.dialer.confirm(connection);
    }

    /// Asks all others before this broker, which did not answer: each attempt with a broker that hangs
    /// costs a timeout.
    pub fn avoid(&mut self, address: &BrokerAddress) {
        self.last_answered.take_if(|last_answered| last_answered.address() == address);
        self.dialer.named().record_failed(address, Instant::now());
        self.count_attempt(address);
    }

    fn count_attempt(&mut self, address: &BrokerAddress) {
        self.count += 1;
        self.attempts.insert(address.clone(), self.count);
    }

    /// All known brokers in the order in which they are asked: those that have failed lately come last, and
    /// among the others who was not asked for the longest time is first. Addresses that the cluster's last
    /// answer does not name come after those that it names: these are up.
    fn in_turn(&mut self) -> Vec<BrokerAddress> {
        let (now, named) = (Instant::now(), self.dialer.named());
        let present = named.all(now);
        let mut all = self.configured.clone();
        all.extend(present.keys().filter(|one| !self.configured.contains(one)).cloned());
        self.attempts.retain(|address, _| all.contains(address));
        let rank = |address: &BrokerAddress| {
            // This may be another name of a broker that is asked anyway.
            let is_unnamed = !present.is_empty() && present.get(address) != Some(&true);
            (named.is_avoided(address, now), is_unnamed, self.attempts.get(address).copied().unwrap_or(0))
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
            match self.open(&address).map_err(Fault::Retry) {
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
                None => self.open_for::<R>(&address),
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

    /// Connects to a broker, to send this request.
    fn open_for<R: Request>(&self, address: &BrokerAddress) -> Result<Connection, Fault> {
        let mut connection = self.dialer.reopen(address).map_err(Fault::Retry)?;
        // The answer to Metadata says itself which cluster it is.
        if R::KEY != ClusterOnly::KEY && connection.versions().choose::<R>().is_ok() {
            self.dialer.check_cluster(&mut connection)?;
        }
        Ok(connection)
    }

    fn ask_on<R: Request>(&mut self, mut connection: Connection, request: &R) -> Result<R::Answer, Fault> {
        let answer = connection.ask(request)?;
        if let Some(metadata) = R::cluster(&answer) {
            self.dialer.record_cluster(connection.address(), metadata)?;
        }
        self.confirm(&connection);
        self.dialer.named().record_answered(connection.address());
        self.count_attempt(connection.address());
        self.has_served = true;
        self.last_answered = Some(connection);
        Ok(answer)
    }

    /// Connects to one host of the configuration that was not asked for anything yet, if there is one: it may
    /// belong to another cluster, which is logged. As long as others answer, nobody else asks it.
    pub fn try_one_untried(&mut self) {
        let untried = self.configured.iter().find(|one| !self.attempts.contains_key(*one));
        let Some(address) = untried.cloned() else { return };
        match self.open(&address) {
            Ok(_) => self.count_attempt(&address),
            Err(why) => {
                log::debug!("{address} is not used: {why}");
                self.avoid(&address);
            }
        }
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
