//! The lease, a key on the list's server that names the one pandad that listens. It is also a fence: a
//! transaction on the list fails if the lease changed hands after it was read.

use super::command_reply::{self, CommandReply};
use crate::host::Process;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// The lease from the view of one instance: the key, and the value that this instance writes into it.
#[derive(Clone)]
pub(super) struct LeaseFence {
    key: String,
    beat_key: String,
    token: String,
}

/// Who has the lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeaseHolder {
    ThisInstance,
    Nobody,
    /// Another instance, which has written this value into the key.
    Other(Vec<u8>),
}

impl LeaseFence {
    /// `instance` is a random name. The value also names this process, so that others on this machine can
    /// see when the process has ended.
    pub(super) fn new(key: String, beat_key: String, instance: &str) -> Self {
        Self { key, beat_key, token: format!("{instance} {}", Process::this()) }
    }

    /// The name of the key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Adds the commands whose replies [`LeaseFence::read_holder`] reads. From here on the next EXEC on the
    /// connection fails if anybody writes the lease.
    pub(super) fn add_watch(&self, requests: &mut Requests) {
        requests.add(cmd("WATCH").arg(&self.key)).add(cmd("GET").arg(&self.key));
    }

    /// Who has the lease, by the replies to [`LeaseFence::add_watch`].
    pub(super) fn read_holder(&self, replies: &mut impl Iterator<Item = CommandReply>) -> LeaseHolder {
        let (_watched, held) = (replies.next(), replies.next());
        self.holder_of(held)
    }

    /// Who has the lease, by the reply to a GET of it.
    pub(super) fn holder_of(&self, held: Option<CommandReply>) -> LeaseHolder {
        match held {
            Some(CommandReply::Bulk(token)) if token == self.token.as_bytes() => LeaseHolder::ThisInstance,
            Some(CommandReply::Bulk(token)) => LeaseHolder::Other(token),
            _ => LeaseHolder::Nobody,
        }
    }

    /// The command that gives the lease to this instance for `life_ms` milliseconds.
    pub(super) fn take_command(&self, life_ms: u64) -> Cmd {
        let mut set = cmd("SET");
        set.arg(&self.key).arg(&self.token).arg("PX").arg(life_ms);
        set
    }

    /// The command that deletes the lease and its beat.
    pub(super) fn release_command(&self) -> Cmd {
        let mut delete = cmd("DEL");
        delete.arg(&self.key).arg(&self.beat_key);
        delete
    }

    /// Whether this instance has written the token.
    pub(super) fn is_own(&self, token: &[u8]) -> bool {
        token == self.token.as_bytes()
    }

    /// The command that deletes the beat.
    pub(super) fn delete_beat_command(&self) -> Cmd {
        let mut delete = cmd("DEL");
        delete.arg(&self.beat_key);
        delete
    }

    /// The command that reads the beat.
    pub(super) fn read_beat_command(&self) -> Cmd {
        let mut get = cmd("GET");
        get.arg(&self.beat_key);
        get
    }

    /// The command that writes the beat with this number.
    pub(super) fn beat_command(&self, number: u64) -> Cmd {
        let mut set = cmd("SET");
        set.arg(&self.beat_key).arg(format!("{} {number}", self.token));
        set
    }

    /// Carries out the command if `holder` still has the lease, and nobody writes the lease in between.
    /// False if nothing was done.
    ///
    /// # Errors
    /// The server's; the command may have been carried out.
    pub(super) fn run_if_held_by(
        &self,
        holder: &LeaseHolder,
        connection: &mut RedisConnection,
        command: &Cmd,
    ) -> Result<bool, RedisError> {
        let mut requests = Requests::default();
        self.add_watch(&mut requests);
        let mut replies = command_reply::classify(connection.ask_all(&requests)?)?.into_iter();
        if self.read_holder(&mut replies) != *holder {
            connection.ask(&cmd("UNWATCH"))?;
            return Ok(false);
        }
        let mut requests = Requests::default();
        requests.add(&cmd("MULTI")).add(command).add(&cmd("EXEC"));
        let replies = connection.demand_all(&requests)?;
        Ok(replies.last().is_some_and(|reply| !matches!(reply, Value::Nil)))
    }
}

impl LeaseHolder {
    /// Whether the process that has the lease has certainly ended. False for a process on another
    /// machine.
    pub(super) fn is_gone(&self) -> bool {
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
    fn a_token_says_who_has_the_lease() {
        let fence = LeaseFence::new("lease".to_owned(), "beat".to_owned(), "0f");
        let reply = |token: &str| Some(CommandReply::Bulk(token.as_bytes().to_vec()));
        assert_eq!(fence.holder_of(reply(&fence.token)), LeaseHolder::ThisInstance);
        assert_eq!(fence.holder_of(Some(CommandReply::Other)), LeaseHolder::Nobody);
        let other = LeaseFence::new("lease".to_owned(), "beat".to_owned(), "0e");
        let holder = fence.holder_of(reply(&other.token));
        assert_eq!(holder, LeaseHolder::Other(other.token.into_bytes()));
        assert!(!holder.is_gone(), "its process is this process");
        assert!(!LeaseHolder::Other(b"no process".to_vec()).is_gone());
    }

    #[test]
    fn a_holder_is_gone_with_its_process() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let token = LeaseFence::new("lease".to_owned(), "beat".to_owned(), "0f").token;
        let (process, _this) = token.rsplit_once(' ').unwrap();
        let gone = LeaseHolder::Other(format!("{process} {}", child.id()).into_bytes());
        child.wait().unwrap();
        assert!(gone.is_gone());
    }
}
