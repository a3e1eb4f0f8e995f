//! The remembered deadlines, a sorted set beside the work list: keys by the milliseconds since 1970 at
//! which they expire. A key in the set has not been pushed, so a key whose deadline has long passed was
//! missed.
//!
//! An entry is removed only together with the push of its key, in one transaction that fails if the lease
//! changes hands. It is removed only if its deadline is not after the event, because the key may have been
//! set again after it expired.

use std::collections::HashMap;
use std::time::Instant;

use super::command_reply::{self, CommandReply};
use super::deadline_handoff::KeyDeadline;
use super::lease_fence::{LeaseFence, LeaseHolder};
use super::packed_keys::ReceivedKey;
use super::server_clock::ServerClock;
use crate::redis::{Cmd, RedisConnection, RedisError, Requests, Value, cmd};

/// Deadlines nearer than this are not remembered. A deadline up to this time after an event still counts as
/// the event's deadline, because the server's clock is known only over a network.
const NEAR_MS: u64 = 500;

/// A key that was deleted is forgotten if its deadline is later than now by more than this. A server that has
/// become a replica announces an expired key as a deleted one, but never before its deadline.
const DELETED_EARLY_MS: u64 = 2000;

/// See the module.
pub(super) struct RememberedDeadlines {
    set: String,
    list: String,
    fence: LeaseFence,
}

/// A change of the work list and of the set. Either all of it is made, or nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeadlineChange<'a> {
    /// Keys to push to the work list.
    pub(super) push: Vec<&'a [u8]>,
    /// Keys to remove from the set.
    pub(super) remove: Vec<&'a [u8]>,
    /// Keys that stay in the set, with a new deadline in milliseconds since 1970.
    pub(super) renew: Vec<(u64, &'a [u8])>,
}

impl RememberedDeadlines {
    /// `set` and `list` are the keys of the sorted set and of the work list.
    pub(super) fn new(set: String, list: String, fence: LeaseFence) -> Self {
        Self { set, list, fence }
    }

    /// The name of the sorted set.
    #[cfg(test)]
    pub(super) fn set_name(&self) -> &str {
        &self.set
    }

    /// Adds deadlines, except those that are near, and forgets keys that were deleted. Of several entries of
    /// a key the last one counts. `clock` is that of the server where keys expire.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn record(
        &self,
        connection: &mut RedisConnection,
        entries: &[KeyDeadline],
        clock: &ServerClock,
    ) -> Result<(), RedisError> {
        let last: HashMap<&[u8], Option<u64>> =
            entries.iter().map(|entry| (entry.key.as_slice(), entry.deadline_ms)).collect();
        let near = clock.at_ms(Instant::now()).saturating_add(NEAR_MS);
        let (mut add, mut some, mut deleted) = (cmd("ZADD"), false, Vec::new());
        add.arg(&self.set);
        for (key, deadline_ms) in last {
            match deadline_ms {
                Some(deadline_ms) if deadline_ms > near => {
                    some = true;
                    add.arg(deadline_ms).arg(key);
                }
                Some(_) => {}
                None => deleted.push(key),
            }
        }
        if some {
            connection.ask(&add)?;
        }
        self.forget(connection, &deleted, clock)
    }

    /// Forgets keys that were deleted before their deadlines.
    fn forget(
        &self,
        connection: &mut RedisConnection,
        keys: &[&[u8]],
        clock: &ServerClock,
    ) -> Result<(), RedisError> {
        let mut requests = Requests::default();
        for key in keys {
            requests.add(cmd("ZSCORE").arg(&self.set).arg(*key));
        }
        let scores = command_reply::classify(connection.ask_all(&requests)?)?;
        let early = clock.latest_ms(Instant::now()).saturating_add(DELETED_EARLY_MS);
        let is_early = |reply: &CommandReply| score(reply).is_some_and(|deadline_ms| deadline_ms > early);
        let keys = keys.iter().zip(&scores).filter(|(_, reply)| is_early(reply));
        let remove: Vec<&[u8]> = keys.map(|(key, _)| *key).collect();
        if remove.is_empty() {
            return Ok(());
        }
        // If the lease was written in between, these stay until their deadlines.
        self.change(connection, &DeadlineChange { remove, ..DeadlineChange::default() }).map(drop)
    }

    /// Up to `count` keys whose deadlines lie before a moment, the earliest first, without the first
    /// `skipped`.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn overdue(
        &self,
        connection: &mut RedisConnection,
        before_ms: u64,
        skipped: usize,
        count: usize,
    ) -> Result<Vec<Vec<u8>>, RedisError> {
        let mut range = cmd("ZRANGEBYSCORE");
        range.arg(&self.set).arg("-inf").arg(before_ms).arg("LIMIT").arg(skipped).arg(count);
        match connection.ask(&range)? {
            Value::Array(values) => Ok(command_reply::bulks(values)),
            _ => Ok(Vec::new()),
        }
    }

    /// Pushes keys whose events were received, and removes the deadlines of these events. If another pandad
    /// has the lease, keys that are in the set are left to that pandad: it will find them.
    ///
    /// False if nothing was done, because an event seems to come before its key's deadline, and `is_sure`
    /// says that the clock may be wrong. Either the key was set again, or the server's clock was set.
    ///
    /// # Errors
    /// The server's; the push may have been carried out.
    pub(super) fn push(
        &self,
        connection: &mut RedisConnection,
        keys: &[ReceivedKey],
        clock: &ServerClock,
        is_sure: bool,
    ) -> Result<bool, RedisError> {
        loop {
            let mut requests = Requests::default();
            self.fence.add_watch(&mut requests);
            requests.add(cmd("TYPE").arg(&self.list));
            for received in keys {
                requests.add(cmd("ZSCORE").arg(&self.set).arg(&received.key));
            }
            let mut replies = command_reply::classify(connection.ask_all(&requests)?)?.into_iter();
            let leased_elsewhere = matches!(self.fence.read_holder(&mut replies), LeaseHolder::Other(_));
            if !matches!(replies.next(), Some(CommandReply::Status(kind)) if kind == "list" || kind == "none")
            {
                // The server will refuse the push, but a transaction would still remove deadlines.
                connection.ask(&cmd("UNWATCH"))?;
                return connection.ask(&plain_push(&self.list, keys)).map(|_| true);
            }
            let deadlines: Vec<Option<u64>> = replies.map(|reply| score(&reply)).collect();
            if !is_sure && has_earlier_event(keys, &deadlines, clock) {
                connection.ask(&cmd("UNWATCH"))?;
                return Ok(false);
            }
            let change = DeadlineChange::of_events(keys, &deadlines, clock, leased_elsewhere);
            if self.commit(connection, &change)? {
                return Ok(true);
            }
            // The lease was written in between, by a heartbeat or by another pandad, so this tries again.
        }
    }

    /// Makes a change unless another pandad has the lease; false if it has.
    ///
    /// # Errors
    /// The server's; the change may have been made.
    pub(super) fn change(
        &self,
        connection: &mut RedisConnection,
        change: &DeadlineChange,
    ) -> Result<bool, RedisError> {
        let mut requests = Requests::default();
        self.fence.add_watch(&mut requests);
        let mut replies = command_reply::classify(connection.ask_all(&requests)?)?.into_iter();
        if let LeaseHolder::Other(_) = self.fence.read_holder(&mut replies) {
            connection.ask(&cmd("UNWATCH"))?;
            return Ok(false);
        }
        self.commit(connection, change)
    }

    /// Makes a change. False if the lease was written since it was read: nothing was done.
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
        let replies = connection.demand_all(&requests)?;
        Ok(!matches!(replies.last(), Some(Value::Nil)))
    }
}

impl<'a> DeadlineChange<'a> {
    /// The change that follows from events of keys, given the remembered deadline of each key. If another
    /// pandad has the lease, that pandad finds the keys that are remembered.
    fn of_events(
        keys: &'a [ReceivedKey],
        deadlines: &[Option<u64>],
        clock: &ServerClock,
        leased_elsewhere: bool,
    ) -> Self {
        let mut change = Self::default();
        for (received, deadline_ms) in keys.iter().zip(deadlines) {
            if !leased_elsewhere || deadline_ms.is_none() {
                change.push.push(&received.key);
            }
            let event_ms = latest_event_ms(received, clock);
            if !leased_elsewhere && deadline_ms.is_some_and(|deadline_ms| deadline_ms <= event_ms) {
                change.remove.push(&received.key);
            }
        }
        change
    }
}

/// The latest deadline that a key's event can stand for.
fn latest_event_ms(received: &ReceivedKey, clock: &ServerClock) -> u64 {
    clock.latest_ms(received.at).saturating_add(NEAR_MS)
}

/// Whether an event seems to come before its key's deadline.
fn has_earlier_event(keys: &[ReceivedKey], deadlines: &[Option<u64>], clock: &ServerClock) -> bool {
    let mut pairs = keys.iter().zip(deadlines);
    pairs.any(|(received, deadline)| deadline.is_some_and(|at| at > latest_event_ms(received, clock)))
}

/// The reply to ZSCORE; `None` if the key is not in the set.
fn score(reply: &CommandReply) -> Option<u64> {
    let CommandReply::Bulk(text) = reply else { return None };
    // A score is a double.
    let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(score as u64)
}

/// The command that pushes keys and does not use remembered deadlines.
pub(super) fn plain_push(list: &str, keys: &[ReceivedKey]) -> Cmd {
    let mut push = cmd("LPUSH");
    push.arg(list);
    for received in keys {
        push.arg(&received.key);
    }
    push
}

#[cfg(test)]
mod tests;
