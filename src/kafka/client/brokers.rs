//! The brokers of a cluster: asks any of them what each can answer, connects to a certain one for
//! the rest, and remembers which versions each supports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::address::BrokerAddress;
use super::connection::{Connection, ConnectionLimits};
use crate::error::Fault;
use crate::kafka::protocol::messages::Request;
use crate::kafka::protocol::versions::Versions;

/// A connection that was idle for longer is not used again: brokers close idle connections after
/// ten minutes (`connections.max.idle.ms`), and firewalls drop them earlier without notice.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);

/// Whether any broker of the cluster has answered ApiVersions. After that, a broker that does not
/// answer it is no Kafka 0.9: it hangs. If it got requests in the versions of 0.9, it would send
/// records of aborted transactions.
#[derive(Debug, Clone, Default)]
pub struct VersionsSeen(Arc<AtomicBool>);

impl VersionsSeen {
    /// Connects to this broker; `known` are its versions, if they are certain.
    ///
    /// # Errors
    /// Why the broker cannot be reached, or cannot be used.
    pub fn open(
        &self,
        address: &BrokerAddress,
        client_id: &str,
        limits: ConnectionLimits,
        known: Option<Versions>,
    ) -> Result<Connection, String> {
        let connection = Connection::open(address, client_id, limits, known)?;
        if *connection.versions() != Versions::Silent {
            self.0.store(true, SeqCst);
        } else if self.0.load(SeqCst) {
            return Err(format!("{address} does not answer ApiVersions, though brokers of this cluster did"));
        }
        Ok(connection)
    }
}

/// The brokers of one cluster, with a connection to the one that answered last.
#[derive(Debug)]
pub struct Brokers {
    hosts: Vec<BrokerAddress>,
    client_id: String,
    limits: ConnectionLimits,
    /// The number of the bootstrap broker to try next, so that a broker that failed is not tried
    /// first again.
    next: usize,
    /// The versions of brokers that have answered a request. All [`Brokers`] of one cluster share
    /// them.
    known: Arc<Mutex<BTreeMap<BrokerAddress, Versions>>>,
    versions_seen: VersionsSeen,
    last_answered: Option<Connection>,
}

impl Brokers {
    /// The cluster with these bootstrap brokers, each `host:port` or `[v6]:port`. Connects to none
    /// yet.
    pub fn new(hosts: &[String], client_id: &str, limits: ConnectionLimits) -> Self {
        Self {
            hosts: hosts.iter().filter_map(|host| BrokerAddress::parse(host)).collect(),
            client_id: client_id.to_owned(),
            limits,
            next: 0,
            known: Arc::default(),
            versions_seen: VersionsSeen::default(),
            last_answered: None,
        }
    }

    /// The same cluster with connections of its own. Versions that one of them learns are known to
    /// the other.
    pub fn with_own_connections(&self, limits: ConnectionLimits) -> Self {
        let (hosts, client_id, known) = (self.hosts.clone(), self.client_id.clone(), Arc::clone(&self.known));
        let versions_seen = self.versions_seen.clone();
        Self { hosts, client_id, limits, next: self.next, known, versions_seen, last_answered: None }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<BrokerAddress, Versions>> {
        // Each change is one call, so a panic leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to this broker.
    ///
    /// # Errors
    /// Why the broker cannot be reached.
    pub fn open(&mut self, address: &BrokerAddress) -> Result<Connection, String> {
        // The broker may have been upgraded meanwhile, so its versions count again only when it has
        // answered.
        let known = self.known().remove(address);
        self.versions_seen.open(address, &self.client_id, self.limits, known)
    }

    /// Shares [`VersionsSeen`] with other clients of the same cluster.
    #[must_use]
    pub fn sharing_versions(self, versions_seen: &VersionsSeen) -> Self {
        Self { versions_seen: versions_seen.clone(), ..self }
    }

    /// Remembers the versions of a broker that has answered a request. A broker that only did not
    /// answer ApiVersions may also hang.
    pub fn confirm(&mut self, connection: &Connection) {
        let mut known = self.known();
        if !known.contains_key(connection.address()) {
            known.insert(connection.address().clone(), connection.versions().clone());
        }
    }

    /// Tries all other bootstrap brokers before this one, which did not answer: a broker that hangs
    /// costs a timeout each time.
    pub fn avoid(&mut self, address: &BrokerAddress) {
        self.last_answered.take_if(|last_answered| last_answered.address() == address);
        if !self.hosts.is_empty() && self.hosts.get(self.next % self.hosts.len()) == Some(address) {
            self.next = self.next.wrapping_add(1);
        }
    }

    /// The versions that the first answering bootstrap broker supports.
    ///
    /// # Errors
    /// `Retry`: no broker answers.
    pub fn ask_versions(&mut self) -> Result<Versions, Fault> {
        let mut last = Fault::Retry("no broker is configured".to_owned());
        for _ in 0..self.hosts.len() {
            let Some(address) = self.hosts.get(self.next % self.hosts.len()).cloned() else { break };
            match self.open(&address) {
                Ok(connection) => return Ok(connection.versions().clone()),
                Err(why) => {
                    self.avoid(&address);
                    last = Fault::Retry(why);
                }
            }
        }
        Err(last)
    }

    /// Asks the broker that answered last, or else the bootstrap brokers in turn.
    ///
    /// # Errors
    /// `Retry`: no broker answers. `Fatal`: a broker answers, and supports no version of the
    /// request that pandad does.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Answer, Fault> {
        let mut last = Fault::Retry("no broker is configured".to_owned());
        if let Some(connection) = self.last_answered.take().filter(is_fresh) {
            let address = connection.address().clone();
            match self.ask_on(connection, request) {
                Err(fault @ Fault::Retry(_)) => {
                    self.avoid(&address);
                    last = fault;
                }
                answer => return answer,
            }
        }
        for _ in 0..self.hosts.len() {
            let Some(address) = self.hosts.get(self.next % self.hosts.len()).cloned() else { break };
            let answer = match self.open(&address) {
                Ok(connection) => self.ask_on(connection, request),
                Err(why) => Err(Fault::Retry(why)),
            };
            match answer {
                Err(fault @ Fault::Retry(_)) => {
                    self.avoid(&address);
                    last = fault;
                }
                answer => return answer,
            }
        }
        Err(last)
    }

    fn ask_on<R: Request>(&mut self, mut connection: Connection, request: &R) -> Result<R::Answer, Fault> {
        let answer = connection.ask(request)?;
        self.confirm(&connection);
        self.last_answered = Some(connection);
        Ok(answer)
    }
}

/// Whether the connection was used recently enough to be used again.
pub(super) fn is_fresh(connection: &Connection) -> bool {
    connection.idle() < CONNECTION_IDLE_MAX
}
