//! The dead list: items that cannot be done, each with the time and the reason, the newest
//! first. Only a person takes items from it, with `pandad dead`.
//!
//! An entry is `<seconds since 1970> <reason>\n<item>`. The reason is text without a line end;
//! the item may be any bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use super::keys::QueueKeys;
use crate::redis::{RedisConnection, RedisError, Requests, Value, cmd};

/// How many items are kept. Only the newest are kept.
pub const DEAD_LIST_ITEMS_MAX: u64 = 10_000;
/// How many items are read or put back in one round trip.
const ROUND_TRIP_ITEMS_MAX: u64 = 100;

/// One item on the dead list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadItem {
    /// When the item was put on the list, in seconds since 1970.
    pub time: u64,
    /// Why the item could not be done.
    pub reason: String,
    /// The item, unchanged.
    pub item: Vec<u8>,
}

impl DeadItem {
    /// The entry for an item that is given up at `now`.
    pub fn new(now: SystemTime, reason: &str, item: &[u8]) -> Self {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { time: since.as_secs(), reason: reason.replace('\n', " "), item: item.to_vec() }
    }

    /// The bytes of the entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{} {}\n", self.time, self.reason).into_bytes();
        bytes.extend_from_slice(&self.item);
        bytes
    }

    /// Reads an entry. If the bytes are not an entry, another program wrote them, and they count as an
    /// item.
    pub fn decode(bytes: &[u8]) -> Self {
        let foreign = || Self { time: 0, reason: "not written by pandad".to_owned(), item: bytes.to_vec() };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return foreign() };
        let (head, item) = bytes.split_at(end);
        let parts = std::str::from_utf8(head).ok().and_then(|head| head.split_once(' '));
        let Some((time, reason)) = parts.and_then(|(time, reason)| Some((time.parse().ok()?, reason))) else {
            return foreign();
        };
        Self { time, reason: reason.to_owned(), item: item.get(1..).unwrap_or_default().to_vec() }
    }
}

/// Which items of the dead list are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadChoice<'a> {
    /// This item, as it is or as `pandad dead` shows it, however often it is on the list.
    Item(&'a [u8]),
    /// The items with this reason.
    Reason(&'a str),
}

impl DeadChoice<'_> {
    /// Whether the entry is meant.
    pub fn wants(&self, entry: &DeadItem) -> bool {
        match self {
            DeadChoice::Item(item) => {
                let shown =
                    item.strip_prefix(b"\"").and_then(|item| item.strip_suffix(b"\"")).unwrap_or(item);
                entry.item == *item || entry.item.escape_ascii().eq(shown.iter().copied())
            }
            DeadChoice::Reason(reason) => entry.reason == *reason,
        }
    }
}

/// Calls `each` with every entry, the newest first.
///
/// # Errors
/// The server's.
pub fn list(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
    mut each: impl FnMut(DeadItem),
) -> Result<(), RedisError> {
    each_entry(connection, keys, |entry| each(DeadItem::decode(&entry)))
}

fn each_entry(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
    mut each: impl FnMut(Vec<u8>),
) -> Result<(), RedisError> {
    let mut from = 0;
    loop {
        let range =
            cmd("LRANGE").arg(keys.dead_list()).arg(from).arg(from + ROUND_TRIP_ITEMS_MAX - 1).to_owned();
        let entries = bytes_of(connection.ask(&range)?);
        if entries.is_empty() {
            return Ok(());
        }
        from += entries.len() as u64;
        entries.into_iter().for_each(&mut each);
    }
}

/// Puts the chosen items back on the work list if `puts_back`, takes them off the dead list, the oldest
/// first, and returns their number.
///
/// # Errors
/// The server's. What was done before the error stays so.
pub fn take_off(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
    choice: DeadChoice,
    puts_back: bool,
) -> Result<u64, RedisError> {
    let mut chosen = Vec::new();
    each_entry(connection, keys, |entry| {
        if choice.wants(&DeadItem::decode(&entry)) {
            chosen.push(entry);
        }
    })?;
    chosen.reverse();
    for entries in chosen.chunks(ROUND_TRIP_ITEMS_MAX as usize) {
        move_off(connection, keys, entries.iter(), puts_back)?;
    }
    Ok(chosen.len() as u64)
}

/// Takes entries off the dead list after, if `puts_back`, their items were put on the work list: if the
/// connection is lost between the two, these items are on both lists. It is better to do an item twice than
/// to lose it.
fn move_off<'a>(
    connection: &mut RedisConnection,
    keys: &QueueKeys,
    entries: impl Iterator<Item = &'a Vec<u8>>,
    puts_back: bool,
) -> Result<(), RedisError> {
    let (mut put, mut take) = (Requests::default(), Requests::default());
    for entry in entries {
        if puts_back {
            put.add(cmd("LPUSH").arg(&keys.list).arg(&DeadItem::decode(entry).item));
        }
        take.add(cmd("LREM").arg(keys.dead_list()).arg(-1).arg(entry));
    }
    connection.demand_all(&put)?;
    connection.demand_all(&take).map(drop)
}

/// Puts every item back on the work list, the oldest first, and returns their number.
///
/// # Errors
/// The server's. Items put back before the error stay there.
pub fn retry(connection: &mut RedisConnection, keys: &QueueKeys) -> Result<u64, RedisError> {
    let mut left = length(connection, keys)?;
    let mut retried = 0;
    while left > 0 {
        let count = left.min(ROUND_TRIP_ITEMS_MAX);
        let range = cmd("LRANGE").arg(keys.dead_list()).arg(-(count.cast_signed())).arg(-1).to_owned();
        let entries = bytes_of(connection.ask(&range)?);
        if entries.is_empty() {
            return Ok(retried);
        }
        move_off(connection, keys, entries.iter().rev(), true)?;
        retried += entries.len() as u64;
        left = left.saturating_sub(entries.len() as u64);
    }
    Ok(retried)
}

/// Deletes the items that are on the list now, and returns their number.
///
/// # Errors
/// The server's.
pub fn drop_all(connection: &mut RedisConnection, keys: &QueueKeys) -> Result<u64, RedisError> {
    let count = length(connection, keys)?;
    if count > 0 {
        // Items that arrive in the meantime are put in front and stay on the list.
        connection.ask(cmd("LTRIM").arg(keys.dead_list()).arg(0).arg(-(count.cast_signed()) - 1))?;
    }
    Ok(count)
}

fn length(connection: &mut RedisConnection, keys: &QueueKeys) -> Result<u64, RedisError> {
    match connection.ask(cmd("LLEN").arg(keys.dead_list()))? {
        Value::Int(count) => Ok(u64::try_from(count).unwrap_or(0)),
        _ => Ok(0),
    }
}

fn bytes_of(value: Value) -> Vec<Vec<u8>> {
    let Value::Array(values) = value else { return Vec::new() };
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    values.into_iter().filter_map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(time: u64, reason in "[a-z ]{0,20}", item: Vec<u8>) {
            let entry = DeadItem { time, reason, item };
            prop_assert_eq!(DeadItem::decode(&entry.encode()), entry);
        }

        #[test]
        fn an_item_is_chosen_as_it_is_or_as_it_is_shown(item: Vec<u8>, other: Vec<u8>) {
            let entry = DeadItem { time: 7, reason: "why".to_owned(), item };
            let shown = entry.item.escape_ascii().to_string();
            let quoted = format!("\"{shown}\"");
            for written in [entry.item.as_slice(), shown.as_bytes(), quoted.as_bytes()] {
                prop_assert!(DeadChoice::Item(written).wants(&entry));
            }
            let is_other = other != entry.item && other != shown.as_bytes() && other != quoted.as_bytes();
            prop_assert!(!is_other || !DeadChoice::Item(&other).wants(&entry));
        }

        #[test]
        fn bytes_that_are_no_entry_are_an_item(bytes: Vec<u8>) {
            let entry = DeadItem::decode(&bytes);
            prop_assert!(entry.encode() == bytes || entry.item == bytes || entry.time > 0);
        }
    }
}
