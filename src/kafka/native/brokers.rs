//! The cluster's brokers: whichever answers for what any of them can say, a certain
//! one for the rest, and what each of them speaks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::connection::{Address, Connection, Limits};
use super::messages::{FindCoordinator, Request};
use super::versions::Versions;
use crate::error::Fault;

/// A connection that was idle for longer is not used again: brokers close them after
/// ten minutes, firewalls in between earlier and without a word.
const IDLE: Duration = Duration::from_secs(240);

/// See the module.
#[derive(Debug)]
pub struct Brokers {
    hosts: Vec<Address>,
    client_id: String,
    limits: Limits,
    /// The bootstrap broker to try next: one that failed is not begun with again.
    next: usize,
    /// What brokers speak that have shown it by answering.
    known: BTreeMap<Address, Versions>,
    any: Option<Connection>,
}

impl Brokers {
    /// Knows the cluster by these bootstrap brokers, each `host:port` or `[v6]:port`.
    /// Connects to none yet.
    pub fn new(hosts: &[String], client_id: &str, limits: Limits) -> Self {
        Self {
            hosts: hosts.iter().filter_map(|host| Address::parse(host)).collect(),
            client_id: client_id.to_owned(),
            limits,
            next: 0,
            known: BTreeMap::new(),
            any: None,
        }
    }

    /// Connects to this broker.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub fn open(&mut self, address: &Address) -> Result<Connection, String> {
        // Until it answers again it may have become a broker of another version.
        let known = self.known.remove(address);
        Connection::open(address, &self.client_id, self.limits, known)
    }

    /// The broker has answered a request: what it speaks need not be asked again. Its
    /// silence alone could also have been that of one that hangs.
    pub fn confirm(&mut self, connection: &Connection) {
        if !self.known.contains_key(connection.address()) {
            self.known.insert(connection.address().clone(), connection.versions().clone());
        }
    }

    /// The broker did not answer: one that hangs would be waited for again and again.
    /// Until all others have been tried it is not.
    pub fn shun(&mut self, address: &Address) {
        self.any.take_if(|any| any.address() == address);
        if !self.hosts.is_empty() && self.hosts.get(self.next % self.hosts.len()) == Some(address) {
            self.next = self.next.wrapping_add(1);
        }
    }

    /// What the brokers speak, as the first bootstrap broker that answers says.
    ///
    /// # Errors
    /// `Wait`: none of them answers.
    pub fn speaks(&mut self) -> Result<Versions, Fault> {
        let mut last = Fault::Wait("no broker is configured".to_owned());
        for _ in 0..self.hosts.len() {
            let Some(address) = self.hosts.get(self.next % self.hosts.len()).cloned() else { break };
            let opened = self.open(&address).map_err(Fault::Wait);
            let answer = opened.and_then(|connection| self.speaks_on(connection));
            match answer {
                Err(fault @ Fault::Wait(_)) => {
                    self.shun(&address);
                    last = fault;
                }
                answer => return answer,
            }
        }
        Err(last)
    }

    /// One that was silent at first must answer something that 0.9 does, too: it could
    /// also be one that hangs.
    fn speaks_on(&mut self, connection: Connection) -> Result<Versions, Fault> {
        let versions = connection.versions().clone();
        if versions == Versions::Silent {
            // A group that nobody has: found or not, it is an answer.
            self.ask_on(connection, &FindCoordinator { group: "pandad" })?;
        }
        Ok(versions)
    }

    /// Asks the broker that answered last, or else the bootstrap brokers in turn.
    ///
    /// # Errors
    /// `Wait`: none of them answers. `Never`: one does, and cannot be spoken to.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Answer, Fault> {
        let mut last = Fault::Wait("no broker is configured".to_owned());
        if let Some(connection) = self.any.take().filter(is_fresh) {
            let address = connection.address().clone();
            match self.ask_on(connection, request) {
                Err(fault @ Fault::Wait(_)) => {
                    self.shun(&address);
                    last = fault;
                }
                answer => return answer,
            }
        }
        for _ in 0..self.hosts.len() {
            let Some(address) = self.hosts.get(self.next % self.hosts.len()).cloned() else { break };
            let answer = match self.open(&address) {
                Ok(connection) => self.ask_on(connection, request),
                Err(why) => Err(Fault::Wait(why)),
            };
            match answer {
                Err(fault @ Fault::Wait(_)) => {
                    self.shun(&address);
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
        self.any = Some(connection);
        Ok(answer)
    }
}

/// Whether a connection may be used after what time has passed.
pub(super) fn is_fresh(connection: &Connection) -> bool {
    connection.idle() < IDLE
}
