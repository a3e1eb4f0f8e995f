//! The cluster's brokers: whichever answers for what any of them can say, a certain
//! one for the rest, and what each of them speaks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::address::BrokerAddress;
use super::connection::{Connection, ConnectionLimits};
use crate::error::Fault;
use crate::kafka::protocol::messages::Request;
use crate::kafka::protocol::versions::Versions;

/// A connection that was idle for longer is not used again: brokers close them after
/// ten minutes, firewalls in between earlier and without a word.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);

/// Whether any broker of a cluster has said what it speaks. From then on one that does
/// not say it is one that hangs, and not one of Kafka 0.9: spoken to as such it would
/// show records that were aborted.
#[derive(Debug, Clone, Default)]
pub struct VersionsSeen(Arc<AtomicBool>);

impl VersionsSeen {
    /// Connects to this broker; `known` is what it speaks, if that is certain.
    ///
    /// # Errors
    /// Why it cannot be reached or be spoken to.
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
            return Err(format!("{address} does not say what it speaks"));
        }
        Ok(connection)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Brokers {
    hosts: Vec<BrokerAddress>,
    client_id: String,
    limits: ConnectionLimits,
    /// The bootstrap broker to try next: one that failed is not begun with again.
    next: usize,
    /// What brokers speak that have shown it by answering. Shared by those of one cluster.
    known: Arc<Mutex<BTreeMap<BrokerAddress, Versions>>>,
    versions_seen: VersionsSeen,
    last_answered: Option<Connection>,
}

impl Brokers {
    /// Knows the cluster by these bootstrap brokers, each `host:port` or `[v6]:port`.
    /// Connects to none yet.
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

    /// The same cluster with connections of its own: what one of them has learnt of the
    /// brokers the others know.
    pub fn with_own_connections(&self, limits: ConnectionLimits) -> Self {
        let (hosts, client_id, known) = (self.hosts.clone(), self.client_id.clone(), Arc::clone(&self.known));
        let versions_seen = self.versions_seen.clone();
        Self { hosts, client_id, limits, next: self.next, known, versions_seen, last_answered: None }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<BrokerAddress, Versions>> {
        // Each change is one call: a panic leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to this broker.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub fn open(&mut self, address: &BrokerAddress) -> Result<Connection, String> {
        // Until it answers again it may have become a broker of another version.
        let known = self.known().remove(address);
        self.versions_seen.open(address, &self.client_id, self.limits, known)
    }

    /// Shares what others of the same cluster have heard.
    #[must_use]
    pub fn sharing_versions(self, versions_seen: &VersionsSeen) -> Self {
        Self { versions_seen: versions_seen.clone(), ..self }
    }

    /// The broker has answered a request: what it speaks need not be asked again. Its
    /// silence alone could also have been that of one that hangs.
    pub fn confirm(&mut self, connection: &Connection) {
        let mut known = self.known();
        if !known.contains_key(connection.address()) {
            known.insert(connection.address().clone(), connection.versions().clone());
        }
    }

    /// The broker did not answer: one that hangs would be waited for again and again.
    /// Until all others have been tried it is not.
    pub fn avoid(&mut self, address: &BrokerAddress) {
        self.last_answered.take_if(|last_answered| last_answered.address() == address);
        if !self.hosts.is_empty() && self.hosts.get(self.next % self.hosts.len()) == Some(address) {
            self.next = self.next.wrapping_add(1);
        }
    }

    /// What the brokers speak, as the first bootstrap broker that answers says.
    ///
    /// # Errors
    /// `Retry`: none of them answers.
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
    /// `Retry`: none of them answers. `Fatal`: one does, and cannot be spoken to.
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

/// Whether a connection may be used after what time has passed.
pub(super) fn is_fresh(connection: &Connection) -> bool {
    connection.idle() < CONNECTION_IDLE_MAX
}
