//! The remembered deadlines: a sorted set beside the work list, keys by the milliseconds
//! since 1970 at which they expire. What is in it has not been pushed; so what is in it
//! for longer than that was missed.
//!
//! An entry goes only together with its push, in one transaction that fails if the lease
//! changes hands, and only if its deadline is not after the event: the key may have been
//! set anew since.

use super::command_reply::{self, CommandReply};
use super::deadline_handoff::KeyDeadline;
use super::inbox::ReceivedKey;
use super::lease_fence::{LeaseFence, LeaseHolder};
use super::server_clock::ServerClock;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// Deadlines nearer than this are not remembered, and one that lies so far after an event
/// is its own all the same, since clocks are read over a network.
const NEAR_MS: u64 = 500;

/// See the module.
pub(super) struct RememberedDeadlines {
    set: String,
    list: String,
    fence: LeaseFence,
}

/// What becomes of entries: a change that is made whole or not at all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeadlineChange<'a> {
    pub(super) push: Vec<&'a [u8]>,
    pub(super) remove: Vec<&'a [u8]>,
    pub(super) renew: Vec<(u64, &'a [u8])>,
}

impl RememberedDeadlines {
    /// `set` and `list` are the keys of the sorted set and of the work list.
    pub(super) fn new(set: String, list: String, fence: LeaseFence) -> Self {
        Self { set, list, fence }
    }

    /// Writes deadlines down, those that are near left out. `now_ms` is the present by the
    /// clock of the server where keys expire.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn add(
        &self,
        connection: &mut RedisConnection,
        entries: &[KeyDeadline],
        now_ms: u64,
    ) -> Result<(), RedisError> {
        let near = now_ms.saturating_add(NEAR_MS);
        let mut add = cmd("ZADD");
        add.arg(&self.set);
        let mut some = false;
        for entry in entries.iter().filter(|entry| entry.deadline_ms > near) {
            some = true;
            add.arg(entry.deadline_ms).arg(&entry.key);
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
        before_ms: u64,
        count: usize,
    ) -> Result<Vec<Vec<u8>>, RedisError> {
        let mut range = cmd("ZRANGEBYSCORE");
        range.arg(&self.set).arg("-inf").arg(before_ms).arg("LIMIT").arg(0).arg(count);
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
        keys: &[ReceivedKey],
        clock: &ServerClock,
    ) -> Result<(), RedisError> {
        loop {
            let mut requests = Requests::default();
            self.fence.watch(&mut requests);
            requests.add(cmd("TYPE").arg(&self.list));
            for received in keys {
                requests.add(cmd("ZSCORE").arg(&self.set).arg(&received.key));
            }
            let mut answers = command_reply::sort(connection.ask_all(&requests)?)?.into_iter();
            let theirs = matches!(self.fence.holder(&mut answers), LeaseHolder::Other(_));
            if !matches!(answers.next(), Some(CommandReply::Word(kind)) if kind == "list" || kind == "none") {
                // The push will be refused, and a transaction would remove all the same.
                connection.ask(&cmd("UNWATCH"))?;
                return connection.ask(&plain_push(&self.list, keys)).map(drop);
            }
            let deadlines = answers.map(|answer| score(&answer));
            let change = DeadlineChange::of_events(keys, deadlines, clock, theirs);
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

impl<'a> DeadlineChange<'a> {
    /// What follows from events of keys, given the deadline that is remembered of each.
    /// `leased_elsewhere`: another pandad has the lease and finds what is remembered.
    fn of_events(
        keys: &'a [ReceivedKey],
        deadlines: impl Iterator<Item = Option<u64>>,
        clock: &ServerClock,
        leased_elsewhere: bool,
    ) -> Self {
        let mut change = Self::default();
        for (received, deadline_ms) in keys.iter().zip(deadlines) {
            if !leased_elsewhere || deadline_ms.is_none() {
                change.push.push(&received.key);
            }
            let event_ms = clock.at(received.at).saturating_add(NEAR_MS);
            if !leased_elsewhere && deadline_ms.is_some_and(|deadline_ms| deadline_ms <= event_ms) {
                change.remove.push(&received.key);
            }
        }
        change
    }
}

fn score(answer: &CommandReply) -> Option<u64> {
    let CommandReply::Bytes(text) = answer else { return None };
    // Redis writes a score as a double.
    let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(score as u64)
}

/// The command that makes a plain push.
pub(super) fn plain_push(list: &str, keys: &[ReceivedKey]) -> Cmd {
    let mut push = cmd("LPUSH");
    push.arg(list);
    for received in keys {
        push.arg(&received.key);
    }
    push
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Four keys whose events came at 10,000 ms: one without a deadline, one that expired
    /// then, one within the tolerance, and one that was set anew since.
    #[test]
    fn an_event_accounts_for_deadlines_up_to_it() {
        let (clock, now) = (ServerClock::new(), Instant::now());
        clock.set(now, 10_000);
        let names: [&[u8]; 4] = [b"unknown", b"expired", b"near", b"renewed"];
        let keys = names.map(|key| ReceivedKey { at: now, key: key.to_vec() });
        let deadlines = [None, Some(9_990), Some(10_000 + NEAR_MS), Some(10_001 + NEAR_MS)];
        let change = DeadlineChange::of_events(&keys, deadlines.into_iter(), &clock, false);
        let expected =
            DeadlineChange { push: names.to_vec(), remove: vec![b"expired", b"near"], ..Default::default() };
        assert_eq!(change, expected);
        let change = DeadlineChange::of_events(&keys, deadlines.into_iter(), &clock, true);
        assert_eq!(change, DeadlineChange { push: vec![b"unknown"], ..Default::default() });
    }

    #[test]
    fn a_score_is_a_double() {
        let score = |text: &str| score(&CommandReply::Bytes(text.as_bytes().to_vec()));
        assert_eq!(score("1.7000000001230000e+12"), Some(1_700_000_000_123));
        assert_eq!(score("1700000000123"), Some(1_700_000_000_123));
        assert_eq!(score("none"), None);
    }
}
