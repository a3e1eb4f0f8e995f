//! The commands that move items, as the server knows them, and what comes of them.
//!
//! Each item is moved by a command of its own, so that it is always on one list or the
//! other (the reliable queue of the Redis documentation for LMOVE, with a list per batch).

use super::{Items, QueueKeys};
use crate::redis::{Cmd, RedisConnection, RedisError, Value, cmd};

/// Items and bytes of one batch, at most; the last packet may overshoot.
pub(super) const BATCH_ITEMS_MAX: u64 = 1000;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Items that are asked for in the first packet, when nothing is known of their size.
const FIRST_PACKET_ITEMS_MAX: u64 = 16;
/// Redis gives up waiting for an item after this: before 6.0 it counts in whole seconds.
/// It must be shorter than any time limit of the connection, or an item could be moved
/// while nobody listens.
const BLOCK_SECONDS: u32 = 1;

/// Which commands.
#[derive(Clone, Copy)]
pub(super) enum MoveCommand {
    /// From Redis 6.2 on.
    Lmove,
    /// Before.
    RpopLpush,
}

impl MoveCommand {
    /// By what the server says it knows.
    pub(super) fn of(connection: &mut RedisConnection) -> Result<Self, RedisError> {
        match connection.ask(cmd("COMMAND").arg("INFO").arg("blmove")) {
            Ok(Value::Array(known)) if matches!(known.first(), Some(Value::Array(_))) => {
                Ok(MoveCommand::Lmove)
            }
            // Not known, or not to be asked: the older commands are still served everywhere.
            Ok(_) | Err(RedisError::Refused { .. }) => Ok(MoveCommand::RpopLpush),
            Err(lost) => Err(lost),
        }
    }

    /// The oldest item, to the front of the batch; waits for one.
    pub(super) fn blocking(self, keys: &QueueKeys, key: &str) -> Cmd {
        let mut command = match self {
            MoveCommand::Lmove => words(&["BLMOVE", &keys.list, key, "RIGHT", "LEFT"]),
            MoveCommand::RpopLpush => words(&["BRPOPLPUSH", &keys.list, key]),
        };
        command.arg(BLOCK_SECONDS);
        command
    }

    /// The same, if there is one.
    pub(super) fn at_once(self, keys: &QueueKeys, key: &str) -> Cmd {
        match self {
            MoveCommand::Lmove => words(&["LMOVE", &keys.list, key, "RIGHT", "LEFT"]),
            MoveCommand::RpopLpush => words(&["RPOPLPUSH", &keys.list, key]),
        }
    }

    /// An item of a batch, back to the end of the list that it came from: the next to be
    /// taken. The older command knows only one way, so that it waits longest.
    pub(super) fn back(self, keys: &QueueKeys, key: &str) -> Cmd {
        match self {
            MoveCommand::Lmove => words(&["LMOVE", key, &keys.list, "LEFT", "RIGHT"]),
            MoveCommand::RpopLpush => words(&["RPOPLPUSH", key, &keys.list]),
        }
    }
}

fn words(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(words);
    command
}

/// What has come of the moves of one batch.
pub(super) struct MoveReplies<'a> {
    pub(super) items: &'a mut Items,
    /// The largest item that is expected, by the batch before; 0 is not known.
    expected: usize,
    /// How long the work list is now.
    pub(super) left: u64,
    received: usize,
    refusal: Option<RedisError>,
}

impl<'a> MoveReplies<'a> {
    /// Nothing yet; `expected` is [`Items::largest`] of the last batch.
    pub(super) fn new(items: &'a mut Items, expected: usize) -> Self {
        Self { items, expected, left: 0, received: 0, refusal: None }
    }

    pub(super) fn count(&self) -> u64 {
        self.items.len() as u64
    }

    pub(super) fn is_full(&self) -> bool {
        self.count() >= BATCH_ITEMS_MAX || self.items.bytes() >= BATCH_BYTES_MAX
    }

    /// How many items may be asked for in one packet. Nobody knows how large they are: it
    /// goes by those of the last batch, or begins with few and goes on by what came.
    pub(super) fn room(&self) -> u64 {
        let largest = self.expected.max(self.items.largest()).max(1);
        let by_size = (BATCH_BYTES_MAX.saturating_sub(self.items.bytes()) / largest).max(1) as u64;
        let by_number =
            if self.expected > 0 { BATCH_ITEMS_MAX } else { (self.count() * 4).max(FIRST_PACKET_ITEMS_MAX) };
        by_size.min(by_number).min(BATCH_ITEMS_MAX.saturating_sub(self.count()))
    }

    /// Before the answers to a registration, to moves, and to the question for what is left.
    pub(super) fn begin(&mut self) {
        self.left = 0;
        self.received = 0;
    }

    /// One of them.
    pub(super) fn receive(&mut self, answer: Value) {
        match answer {
            Value::BulkString(item) => self.items.push(&item),
            // The first number says whether the instance was new.
            Value::Int(length) if self.received > 0 => self.left = u64::try_from(length).unwrap_or(0),
            Value::ServerError(error) if self.refusal.is_none() => {
                self.refusal = Some(RedisError::from(error))
            }
            _ => {}
        }
        self.received += 1;
    }

    /// The first refusal among them is the error; what was moved is kept all the same.
    pub(super) fn end(&mut self) -> Result<(), RedisError> {
        self.refusal.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_goes_by_the_size_of_what_came_before() {
        let mut items = Items::default();
        let moved = MoveReplies::new(&mut items, 0);
        assert_eq!(moved.room(), FIRST_PACKET_ITEMS_MAX);
        (0..16).for_each(|_| moved.items.push(&[7; 30]));
        assert_eq!(moved.room(), 64);
        moved.items.push(&[7; BATCH_BYTES_MAX / 4]);
        assert_eq!(moved.room(), 2);
        let mut items = Items::default();
        assert_eq!(MoveReplies::new(&mut items, 30).room(), BATCH_ITEMS_MAX);
        assert_eq!(MoveReplies::new(&mut items, BATCH_BYTES_MAX * 2).room(), 1);
    }
}
