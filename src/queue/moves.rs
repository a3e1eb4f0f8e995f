//! The commands that move items, in the form that the server knows, and their answers.
//!
//! A separate command moves each item, so that the item is always on exactly one list. This is the
//! *reliable queue* of the Redis documentation of LMOVE, with one list for each batch.

use super::items::Items;
use super::keys::QueueKeys;
use crate::redis::{Cmd, RedisConnection, RedisError, Value, cmd};

/// The most items of one batch.
pub(super) const BATCH_ITEMS_MAX: u64 = 1000;
/// The most bytes of one batch; the last packet may exceed this.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How many items the first packet requests, while their size is unknown.
const FIRST_PACKET_ITEMS_MAX: u64 = 16;
/// How long Redis waits for an item, in whole seconds, because versions before 6.0 accept only these. This
/// must be shorter than every time limit of the connection: otherwise the server could move an item after
/// pandad has given up the connection.
const BLOCK_SECONDS: u32 = 1;
/// After so many connections that were closed at the first move, this is logged.
const CLOSED_MOVES_LOGGED: u32 = 2;

/// The commands that the server knows.
#[derive(Clone, Copy)]
pub(super) enum MoveCommand {
    /// LMOVE, from Redis 6.2 on.
    Lmove,
    /// RPOPLPUSH, before Redis 6.2.
    RpopLpush,
}

impl MoveCommand {
    /// Asks the server which commands it knows.
    pub(super) fn of(connection: &mut RedisConnection) -> Result<Self, RedisError> {
        match connection.ask_optional("COMMAND", cmd("COMMAND").arg("INFO").arg("blmove")) {
            Ok(Value::Array(known)) if matches!(known.first(), Some(Value::Array(_))) => {
                Ok(MoveCommand::Lmove)
            }
            // The server does not know the command, or refused the question. Every server knows the older
            // commands.
            Ok(_) | Err(RedisError::Refused { .. }) => Ok(MoveCommand::RpopLpush),
            Err(lost) => Err(lost),
        }
    }

    /// Moves the oldest item to the front of the batch; waits for an item.
    pub(super) fn blocking(self, keys: &QueueKeys, key: &str) -> Cmd {
        let mut command = match self {
            MoveCommand::Lmove => words(&["BLMOVE", &keys.list, key, "RIGHT", "LEFT"]),
            MoveCommand::RpopLpush => words(&["BRPOPLPUSH", &keys.list, key]),
        };
        command.arg(BLOCK_SECONDS);
        command
    }

    /// As [`Self::blocking`], but without waiting for an item.
    pub(super) fn at_once(self, keys: &QueueKeys, key: &str) -> Cmd {
        match self {
            MoveCommand::Lmove => words(&["LMOVE", &keys.list, key, "RIGHT", "LEFT"]),
            MoveCommand::RpopLpush => words(&["RPOPLPUSH", &keys.list, key]),
        }
    }

    /// Moves an item of a batch back to the work list, where it is taken next. The older command knows only
    /// one direction: with it the item is taken last.
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

/// Whether the server closes the connection whenever it is asked to move an item, as proxies do that do not
/// know the command.
pub(super) struct ClosedMoves {
    /// The beginning of the log line.
    about: String,
    /// How many connections were closed so, one after the other; `None` once a move had an answer.
    count: Option<u32>,
}

impl ClosedMoves {
    pub(super) fn new(about: String) -> Self {
        Self { about, count: Some(0) }
    }

    /// Records whether moves had an answer, and logs the second time in a row that none ever had one.
    pub(super) fn record(&mut self, error: Option<&RedisError>) {
        match error {
            Some(error) if error.is_close() => self.count = self.count.map(|count| count.saturating_add(1)),
            Some(RedisError::Lost(_)) => {}
            Some(RedisError::Refused { .. }) | None => self.count = None,
        }
        if self.count == Some(CLOSED_MOVES_LOGGED) && error.is_some() {
            log::error!(
                "{}: closes the connection when it is asked to move an item, as proxies such as twemproxy \
                 do; nothing is taken from the work list: name the Redis server itself as redis_list",
                self.about
            );
        }
    }

    #[cfg(test)]
    pub(super) fn is_logged(&self) -> bool {
        self.count.is_some_and(|count| count >= CLOSED_MOVES_LOGGED)
    }
}

/// The answers to the moves of one batch.
pub(super) struct MoveReplies<'a> {
    pub(super) items: &'a mut Items,
    /// The estimated size of the largest item: that of the last batch; 0 if there was none.
    expected: usize,
    /// The length of the work list after the last moves.
    pub(super) left: u64,
    received: usize,
    refusal: Option<RedisError>,
}

impl<'a> MoveReplies<'a> {
    /// No answers yet. `expected` is [`Items::largest`] of the last batch.
    pub(super) fn new(items: &'a mut Items, expected: usize) -> Self {
        Self { items, expected, left: 0, received: 0, refusal: None }
    }

    pub(super) fn count(&self) -> u64 {
        self.items.len() as u64
    }

    pub(super) fn is_full(&self) -> bool {
        self.count() >= BATCH_ITEMS_MAX || self.items.bytes() >= BATCH_BYTES_MAX
    }

    /// How many items the next packet may request. Their sizes are not known, so the number follows from
    /// the items of the last batch. Without a last batch the number begins small and grows.
    pub(super) fn next_count(&self) -> u64 {
        let largest = self.expected.max(self.items.largest()).max(1);
        let by_size = (BATCH_BYTES_MAX.saturating_sub(self.items.bytes()) / largest).max(1) as u64;
        let by_number =
            if self.expected > 0 { BATCH_ITEMS_MAX } else { (self.count() * 4).max(FIRST_PACKET_ITEMS_MAX) };
        by_size.min(by_number).min(BATCH_ITEMS_MAX.saturating_sub(self.count()))
    }

    /// Begins a packet: the next answers are those to a registration, to moves, and to LLEN.
    pub(super) fn begin(&mut self) {
        self.left = 0;
        self.received = 0;
    }

    /// Takes the next answer of the packet.
    pub(super) fn receive(&mut self, answer: Value) {
        match answer {
            Value::BulkString(item) => self.items.push(&item),
            // The first answer of a packet is the one to the registration.
            Value::Int(length) if self.received > 0 => self.left = u64::try_from(length).unwrap_or(0),
            Value::ServerError(error) if self.refusal.is_none() => {
                self.refusal = Some(RedisError::from(error))
            }
            _ => {}
        }
        self.received += 1;
    }

    /// Ends the packet. The first refusal in it is the error; the items that were moved are kept.
    pub(super) fn end(&mut self) -> Result<(), RedisError> {
        self.refusal.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that has moved an item once may be stopped at any time.
    #[test]
    fn a_proxy_that_knows_no_moves_is_noticed() {
        let closed = |times: usize, first: Option<&RedisError>| {
            let mut moves = ClosedMoves::new("test".to_owned());
            let closed = RedisError::Lost("the connection was closed".to_owned());
            if let Some(error) = first {
                moves.record(Some(error));
            }
            (0..times).for_each(|_| moves.record(Some(&closed)));
            moves
        };
        let late = RedisError::Lost("no answer in time".to_owned());
        assert!(!closed(1, None).is_logged() && closed(2, None).is_logged());
        assert!(closed(3, Some(&late)).is_logged(), "that says nothing");
        let refused = RedisError::Refused { code: "OOM".to_owned(), text: String::new() };
        assert!(!closed(9, Some(&refused)).is_logged());
        let mut moves = closed(1, None);
        moves.record(None);
        (0..9).for_each(|_| moves.record(Some(&RedisError::Lost("the connection was closed".to_owned()))));
        assert!(!moves.is_logged());
    }

    #[test]
    fn a_packet_follows_from_the_size_of_the_items_before() {
        let mut items = Items::default();
        let moved = MoveReplies::new(&mut items, 0);
        assert_eq!(moved.next_count(), FIRST_PACKET_ITEMS_MAX);
        (0..16).for_each(|_| moved.items.push(&[7; 30]));
        assert_eq!(moved.next_count(), 64);
        moved.items.push(&[7; BATCH_BYTES_MAX / 4]);
        assert_eq!(moved.next_count(), 2);
        let mut items = Items::default();
        assert_eq!(MoveReplies::new(&mut items, 30).next_count(), BATCH_ITEMS_MAX);
        assert_eq!(MoveReplies::new(&mut items, BATCH_BYTES_MAX * 2).next_count(), 1);
    }
}
