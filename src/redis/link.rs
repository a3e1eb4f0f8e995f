//! A connection that is opened when it is needed, and opened again after it was lost.

use std::sync::Arc;

use super::connection::RedisConnection;
use super::error::RedisError;
use super::health::Health;
use super::server::RedisServer;
use crate::error::Fault;

/// The way to one server: at most one open connection, and the server's health.
pub struct Link {
    server: Arc<RedisServer>,
    health: Health,
    connection: Option<RedisConnection>,
}

impl Clone for Link {
    /// A link to the same server, not connected yet.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.server), self.health.clone())
    }
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(server: Arc<RedisServer>, health: Health) -> Self {
        Self { server, health, connection: None }
    }

    /// Sets the role of the next commands: see [`Health::role`].
    pub fn doing(&mut self, role: &'static str) -> &mut Self {
        self.health.role = role;
        self
    }

    /// Does `work`. If the connection was open before and turns out to be lost, this does `work` once more
    /// on a new one; so the server may carry out the commands twice.
    ///
    /// # Errors
    /// `RetryLogged`: the server does not serve. Try again after a pause.
    pub fn with_retry<T>(
        &mut self,
        mut work: impl FnMut(&mut RedisConnection) -> Result<T, RedisError>,
    ) -> Result<T, Fault> {
        let was_open = self.connection.is_some();
        match self.attempt(&mut work) {
            Err(error @ RedisError::Lost(_)) if was_open || error.is_interruption() => {
                let second = self.attempt(&mut work);
                self.judge(second)
            }
            first => self.judge(first),
        }
    }

    /// Does `work` at most once. If the connection was open before and turns out to be lost, this does not
    /// count as an outage yet: only a failure on a new connection does.
    ///
    /// # Errors
    /// As [`Link::with_retry`].
    pub fn once<T>(
        &mut self,
        mut work: impl FnMut(&mut RedisConnection) -> Result<T, RedisError>,
    ) -> Result<T, Fault> {
        let was_open = self.connection.is_some();
        match self.attempt(&mut work) {
            Err(error @ RedisError::Lost(_)) if was_open || error.is_interruption() => {
                Err(Fault::RetryLogged)
            }
            done => self.judge(done),
        }
    }

    fn attempt<T>(
        &mut self,
        work: &mut impl FnMut(&mut RedisConnection) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => RedisConnection::open(&self.server)?,
        };
        let done = work(&mut connection).map_err(|error| match error {
            error if error.text_contains("unknown command") => connection.explain(error),
            error => error,
        })?;
        // After an error the connection is not kept: a new one may lead to the new master, or
        // be opened after the password was changed.
        self.connection = Some(connection).filter(|connection| !connection.owes_answer());
        Ok(done)
    }

    fn judge<T>(&self, done: Result<T, RedisError>) -> Result<T, Fault> {
        match done {
            Ok(value) => {
                self.health.up();
                Ok(value)
            }
            Err(error) => {
                self.health.down(&error.to_string());
                Err(Fault::RetryLogged)
            }
        }
    }
}
