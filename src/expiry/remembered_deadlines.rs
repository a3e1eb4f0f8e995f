//! The remembered deadlines: a sorted set beside the work list, keys by the milliseconds
//! since 1970 at which they expire. What is in it has not been pushed; so what is in it
//! for longer than that was missed.
//!
//! An entry goes only together with its push, in one transaction that fails if the lease
//! changes hands, and only if its deadline is not after the event: the key may have been
//! set anew since.

use std::time::Instant;

use super::command_reply::{self, CommandReply};
use super::lease_fence::{LeaseFence, LeaseHolder};
use super::server_clock::ServerClock;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// Milliseconds: deadlines nearer than this are not remembered, and one that lies so far
/// after an event is its own all the same, since clocks are read over a network.
pub(super) const NEAR_MS: u64 = 500;

/// See the module.
#[derive(Clone)]
pub(super) struct RememberedDeadlines {
    pub(super) set: String,
    pub(super) list: String,
    pub(super) fence: LeaseFence,
    pub(super) clock: ServerClock,
}

/// What becomes of entries: a change that is made whole or not at all.
#[derive(Default)]
pub(super) struct DeadlineChange<'a> {
    pub(super) push: Vec<&'a [u8]>,
    pub(super) remove: Vec<&'a [u8]>,
    pub(super) renew: Vec<(u64, &'a [u8])>,
}

impl RememberedDeadlines {
    /// Writes deadlines down, those that are near left out.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn add(
        &self,
        connection: &mut RedisConnection,
        entries: &[(Vec<u8>, u64)],
    ) -> Result<(), RedisError> {
        let near = self.clock.at(Instant::now()).saturating_add(NEAR_MS);
        let mut add = cmd("ZADD");
        add.arg(&self.set);
        let mut some = false;
        for (key, deadline) in entries.iter().filter(|(_, deadline)| *deadline > near) {
            some = true;
            add.arg(*deadline).arg(key);
        }
        if some { connection.ask(&add).map(drop) } else { Ok(()) }
    }

    /// Up to `count` keys whose deadlines are before that moment, the earliest first.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn overdue(
        &self,
        connection: &mut RedisConnection,
        before: u64,
        count: usize,
    ) -> Result<Vec<Vec<u8>>, RedisError> {
        let mut range = cmd("ZRANGEBYSCORE");
        range.arg(&self.set).arg("-inf").arg(before).arg("LIMIT").arg(0).arg(count);
        match connection.ask(&range)? {
            Value::Array(values) => Ok(command_reply::bytes(values)),
            _ => Ok(Vec::new()),
        }
    }

    /// Pushes keys that were heard of, and removes what their events account for. If
    /// another pandad has the lease, what it will find by itself is left to it.
    ///
    /// # Errors
    /// The server's; the push may have been carried out.
    pub(super) fn push(
        &self,
        connection: &mut RedisConnection,
        keys: &[(Instant, Vec<u8>)],
    ) -> Result<(), RedisError> {
        loop {
            let mut requests = Requests::default();
            self.fence.watch(&mut requests);
            requests.add(cmd("TYPE").arg(&self.list));
            for (_, key) in keys {
                requests.add(cmd("ZSCORE").arg(&self.set).arg(key));
            }
            let mut answers = command_reply::sort(connection.ask_all(&requests)?)?.into_iter();
            let theirs = matches!(self.fence.holder(&mut answers), LeaseHolder::Other(_));
            if !matches!(answers.next(), Some(CommandReply::Word(kind)) if kind == "list" || kind == "none") {
                // The push will be refused, and a transaction would remove all the same.
                connection.ask(&cmd("UNWATCH"))?;
                return connection.ask(&plain(&self.list, keys)).map(drop);
            }
            let mut change = DeadlineChange::default();
            for ((heard, key), answer) in keys.iter().zip(answers) {
                let deadline = score(&answer);
                if !theirs || deadline.is_none() {
                    change.push.push(key);
                }
                let event = self.clock.at(*heard).saturating_add(NEAR_MS);
                if !theirs && deadline.is_some_and(|deadline| deadline <= event) {
                    change.remove.push(key);
                }
            }
            if self.commit(connection, &change)? {
                return Ok(());
            }
            // The lease was renewed, or lost: it is looked at again.
        }
    }

    /// Makes a change if the lease is nobody else's.
    ///
    /// # Errors
    /// The server's; the change may have been made.
    pub(super) fn change(
        &self,
        connection: &mut RedisConnection,
        change: &DeadlineChange,
    ) -> Result<bool, RedisError> {
        let mut requests = Requests::default();
        self.fence.watch(&mut requests);
        let mut answers = command_reply::sort(connection.ask_all(&requests)?)?.into_iter();
        if let LeaseHolder::Other(_) = self.fence.holder(&mut answers) {
            connection.ask(&cmd("UNWATCH"))?;
            return Ok(false);
        }
        self.commit(connection, change)
    }

    /// False if the lease changed since it was looked at: nothing was done.
    fn commit(&self, connection: &mut RedisConnection, change: &DeadlineChange) -> Result<bool, RedisError> {
        let mut requests = Requests::default();
        requests.add(&cmd("MULTI"));
        if !change.push.is_empty() {
            requests.add(cmd("LPUSH").arg(&self.list).arg(&change.push));
        }
        if !change.remove.is_empty() {
            requests.add(cmd("ZREM").arg(&self.set).arg(&change.remove));
        }
        if !change.renew.is_empty() {
            requests.add(cmd("ZADD").arg(&self.set).arg(&change.renew));
        }
        requests.add(&cmd("EXEC"));
        let answers = connection.demand_all(&requests)?;
        Ok(!matches!(answers.last(), Some(Value::Nil)))
    }
}

fn score(answer: &CommandReply) -> Option<u64> {
    let CommandReply::Bytes(text) = answer else { return None };
    // Redis writes a score as a double.
    let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(score as u64)
}

/// The command that makes a plain push.
pub(super) fn plain(list: &str, keys: &[(Instant, Vec<u8>)]) -> Cmd {
    let mut push = cmd("LPUSH");
    push.arg(list);
    for (_, key) in keys {
        push.arg(key);
    }
    push
}
