//! A connection that is made when it is needed, made anew when it is lost, and what a
//! job's log says of its server: once going down, once coming back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Connection, Server, Trouble};
use crate::error::Fault;
use crate::report::Outage;

/// How one server is, to one job: shared by all of the job's links to it, so that the
/// log says it once.
///
/// A server can serve one kind of command and refuse another (the list is of a wrong
/// type, there is no memory for more). It is back when every kind that was refused is
/// served again, whatever the others do meanwhile.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Mutex<Shared>>,
    role: &'static str,
}

struct Shared {
    outage: Outage,
    down: BTreeSet<&'static str>,
}

impl Health {
    /// `job` opens the log lines, the server follows.
    pub fn new(job: &str, server: &Server) -> Self {
        let outage = Outage::new(format!("{job}: {server}"));
        Self { shared: Arc::new(Mutex::new(Shared { outage, down: BTreeSet::new() })), role: "" }
    }

    /// For those who use the server for this.
    #[must_use]
    pub fn role(&self, role: &'static str) -> Self {
        Self { role, ..self.clone() }
    }

    /// It does not serve, because of `why`.
    pub fn down(&self, why: &str) {
        let mut shared = self.lock();
        shared.down.insert(self.role);
        shared.outage.down(why);
    }

    /// It serves. True if it did not before.
    pub fn up(&self) -> bool {
        let mut shared = self.lock();
        let was_down = shared.down.remove(self.role);
        if was_down && shared.down.is_empty() {
            shared.outage.up("back");
        }
        was_down
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
pub struct Link {
    server: Arc<Server>,
    health: Health,
    connection: Option<Connection>,
}

impl Clone for Link {
    /// To the same server, not connected yet.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.server), self.health.clone())
    }
}

impl Link {
    /// Not connected yet.
    pub fn new(server: Arc<Server>, health: Health) -> Self {
        Self { server, health, connection: None }
    }

    /// For what the server is used next: see [`Health::role`].
    pub fn doing(&mut self, role: &'static str) -> &mut Self {
        self.health.role = role;
        self
    }

    /// Does `work`, and once more on a new connection if the old one turns out to be
    /// dead: so `work` may be carried out twice.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve; try again after a pause.
    pub fn again<T>(
        &mut self,
        mut work: impl FnMut(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Fault> {
        let was_open = self.connection.is_some();
        match self.attempt(&mut work) {
            Err(trouble @ Trouble::Lost(_)) if was_open || trouble.is_interruption() => {
                let second = self.attempt(&mut work);
                self.judge(second)
            }
            first => self.judge(first),
        }
    }

    /// Does `work` at most once. A connection that was open and turns out to be dead is
    /// not called an outage before a new one cannot be had either.
    ///
    /// # Errors
    /// As [`Link::again`].
    pub fn once<T>(
        &mut self,
        mut work: impl FnMut(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Fault> {
        let was_open = self.connection.is_some();
        match self.attempt(&mut work) {
            Err(trouble @ Trouble::Lost(_)) if was_open || trouble.is_interruption() => {
                Err(Fault::RetryLogged)
            }
            done => self.judge(done),
        }
    }

    fn attempt<T>(
        &mut self,
        work: &mut impl FnMut(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.server)?,
        };
        let done = work(&mut connection)?;
        // After any trouble a new connection is made: the next one may lead to the new
        // master, or come after the password was changed.
        self.connection = Some(connection);
        Ok(done)
    }

    fn judge<T>(&self, done: Result<T, Trouble>) -> Result<T, Fault> {
        match done {
            Ok(value) => {
                self.health.up();
                Ok(value)
            }
            Err(trouble) => {
                self.health.down(&trouble.to_string());
                Err(Fault::RetryLogged)
            }
        }
    }
}
