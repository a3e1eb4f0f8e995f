//! The fence of the lease: of all pandads that could listen for a list, one does. The lease
//! is a key on the list's server.

use super::command_reply::{self, CommandReply};
use crate::host::Process;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// What a holder writes into the lease, and what others find there.
#[derive(Clone)]
pub(super) struct LeaseFence {
    key: String,
    token: String,
}

/// Whose the lease is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeaseHolder {
    ThisInstance,
    Nobody,
    /// What the other has written into it.
    Other(Vec<u8>),
}

impl LeaseFence {
    pub(super) fn new(key: String, instance: &str) -> Self {
        Self { key, token: format!("{instance} {}", Process::this()) }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
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

    /// Whose the lease is, by the answer to a GET of it.
    pub(super) fn holder_of(&self, held: Option<CommandReply>) -> LeaseHolder {
        match held {
            Some(CommandReply::Bytes(token)) if token == self.token.as_bytes() => LeaseHolder::ThisInstance,
            Some(CommandReply::Bytes(token)) => LeaseHolder::Other(token),
            _ => LeaseHolder::Nobody,
        }
    }

    /// The command by which this instance takes the lease for so many milliseconds.
    pub(super) fn take(&self, life_ms: u64) -> Cmd {
        let mut set = cmd("SET");
        set.arg(&self.key).arg(&self.token).arg("PX").arg(life_ms);
        set
    }

    /// The command by which the lease is given up.
    pub(super) fn release(&self) -> Cmd {
        let mut delete = cmd("DEL");
        delete.arg(&self.key);
        delete
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

impl LeaseHolder {
    /// Whether the process that holds the lease certainly does not run any more.
    pub(super) fn has_died(&self) -> bool {
        let LeaseHolder::Other(token) = self else { return false };
        let text = std::str::from_utf8(token).ok();
        let process = text.and_then(|text| text.split_once(' ')?.1.parse::<Process>().ok());
        process.is_some_and(|process| process.has_ended())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_told_by_its_token() {
        let fence = LeaseFence::new("lease".to_owned(), "0f");
        let answer = |token: &str| Some(CommandReply::Bytes(token.as_bytes().to_vec()));
        assert_eq!(fence.holder_of(answer(&fence.token)), LeaseHolder::ThisInstance);
        assert_eq!(fence.holder_of(Some(CommandReply::Other)), LeaseHolder::Nobody);
        let other = LeaseFence::new("lease".to_owned(), "0e");
        let holder = fence.holder_of(answer(&other.token));
        assert_eq!(holder, LeaseHolder::Other(other.token.into_bytes()));
        assert!(!holder.has_died(), "its process is this one");
        assert!(!LeaseHolder::Other(b"no process".to_vec()).has_died());
    }

    #[test]
    fn a_holder_whose_process_is_gone_has_died() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let token = LeaseFence::new("lease".to_owned(), "0f").token;
        let (process, _this) = token.rsplit_once(' ').unwrap();
        let gone = LeaseHolder::Other(format!("{process} {}", child.id()).into_bytes());
        child.wait().unwrap();
        assert!(gone.has_died());
    }
}
