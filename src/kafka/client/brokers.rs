//! The brokers of a cluster: sends a request that every broker can answer to any one of them, and opens
//! connections to one certain broker.

use std::time::Duration;

use super::address::BrokerAddress;
use super::connection::{Connection, ConnectionLimits};
use super::dialer::Dialer;
use crate::error::Fault;
use crate::kafka::protocol::messages::Request;
use crate::kafka::protocol::versions::Versions;

/// A connection that was idle for longer is not used again: brokers close idle connections after
/// ten minutes (`connections.max.idle.ms`), and firewalls drop them earlier without notice.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(240);

/// The brokers of one cluster, with a connection to the one that answered last.
#[derive(Debug)]
pub struct Brokers {
    hosts: Vec<BrokerAddress>,
    dialer: Dialer,
    /// The number of the bootstrap broker to try next. It moves on when a broker has failed.
    next: usize,
    last_answered: Option<Connection>,
}

impl Brokers {
    /// The cluster with these bootstrap brokers, each `host:port` or `[v6]:port`. Connects to none
    /// yet.
    pub fn new(hosts: &[String], dialer: Dialer) -> Self {
        let hosts = hosts.iter().filter_map(|host| BrokerAddress::parse(host)).collect();
        Self { hosts, dialer, next: 0, last_answered: None }
    }

    /// The same cluster with separate connections, which have these limits.
    pub fn with_own_connections(&self, limits: ConnectionLimits) -> Self {
        let dialer = self.dialer.clone().with_limits(limits);
        Self { hosts: self.hosts.clone(), dialer, next: self.next, last_answered: None }
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

    /// Moves on from this bootstrap broker, which did not answer, so that the others are tried first: each
    /// attempt with a broker that hangs costs a timeout.
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

    /// Asks the broker that answered last, or else the bootstrap brokers in turn. A broker that does not
    /// support the request is passed over like one that does not answer.
    ///
    /// # Errors
    /// `Retry`: no broker gives an answer. `Fatal`: every broker was reached, and none of them has a version
    /// of the request in common with pandad.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Answer, Fault> {
        let mut last = Fault::Retry("no broker is configured".to_owned());
        if let Some(connection) = self.last_answered.take().filter(is_fresh) {
            let address = connection.address().clone();
            match self.ask_on(connection, request) {
                Ok(answer) => return Ok(answer),
                Err(fault) => {
                    self.avoid(&address);
                    last = fault;
                }
            }
        }
        let mut may_answer_later = self.hosts.is_empty();
        for _ in 0..self.hosts.len() {
            let Some(address) = self.hosts.get(self.next % self.hosts.len()).cloned() else { break };
            let answer = match self.open(&address) {
                Ok(connection) => self.ask_on(connection, request),
                Err(why) => Err(Fault::Retry(why)),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(fault) => {
                    self.avoid(&address);
                    may_answer_later |= !matches!(fault, Fault::Fatal(_));
                    last = fault;
                }
            }
        }
        Err(match last {
            Fault::Fatal(why) if may_answer_later => Fault::Retry(why),
            last => last,
        })
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
