//! The fence of the lease: of all pandads that could listen for a list, one does. The lease
//! is a key on the list's server.

use super::command_reply::{self, CommandReply};
use crate::host::Process;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// What a holder writes into the lease, and what others find there.
#[derive(Clone)]
pub(super) struct LeaseFence {
    pub(super) key: String,
    pub(super) token: String,
}

/// Whose the lease is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeaseHolder {
    ThisInstance,
    Nobody,
    Other(Vec<u8>),
}

impl LeaseFence {
    pub(super) fn new(key: String, instance: &str) -> Self {
        Self { key, token: format!("{instance} {}", Process::this()) }
    }

    /// Adds what [`LeaseFence::holder`] reads: from here to the next EXEC, that fails if the
    /// lease changes hands.
    pub(super) fn watch(&self, requests: &mut Requests) {
        requests.add(cmd("WATCH").arg(&self.key)).add(cmd("GET").arg(&self.key));
    }

    /// Whose the lease is, by the answers to [`LeaseFence::watch`].
    pub(super) fn holder(&self, answers: &mut impl Iterator<Item = CommandReply>) -> LeaseHolder {
        let (_watched, held) = (answers.next(), answers.next());
        self.holder_of(held)
    }

    pub(super) fn holder_of(&self, held: Option<CommandReply>) -> LeaseHolder {
        match held {
            Some(CommandReply::Bytes(token)) if token == self.token.as_bytes() => LeaseHolder::ThisInstance,
            Some(CommandReply::Bytes(token)) => LeaseHolder::Other(token),
            _ => LeaseHolder::Nobody,
        }
    }

    /// Carries out the command if the lease is still whose it was. False if it is not.
    pub(super) fn run_if_held_by(
        &self,
        holder: &LeaseHolder,
        connection: &mut RedisConnection,
        command: &Cmd,
    ) -> Result<bool, RedisError> {
        let mut requests = Requests::default();
        self.watch(&mut requests);
        let mut answers = command_reply::sort(connection.ask_all(&requests)?)?.into_iter();
        if self.holder(&mut answers) != *holder {
            connection.ask(&cmd("UNWATCH"))?;
            return Ok(false);
        }
        let mut requests = Requests::default();
        requests.add(&cmd("MULTI")).add(command).add(&cmd("EXEC"));
        let answers = connection.demand_all(&requests)?;
        Ok(answers.last().is_some_and(|answer| !matches!(answer, Value::Nil)))
    }
}
