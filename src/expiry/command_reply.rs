//! Replies of a Redis server to the commands of this module, sorted by kind. Pure.

use crate::redis::{RedisError, Value};

/// The reply to one command of a packet.
pub(super) enum CommandReply {
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Value>),
    /// A simple string.
    Status(String),
    /// The server refused this command. It may carry out the others of the packet.
    Refused(String),
    Other,
}

/// Replies by kind. A refusal of one command (no permission, no memory) is a reply. A refusal
/// that shows the state of the server (loading, a replica) would meet every command, and is
/// an error.
///
/// # Errors
/// `Refused`: the server does not serve.
pub(super) fn classify(values: Vec<Value>) -> Result<Vec<CommandReply>, RedisError> {
    values.into_iter().map(reply).collect()
}

fn reply(value: Value) -> Result<CommandReply, RedisError> {
    Ok(match value {
        Value::Int(number) => CommandReply::Integer(number),
        Value::BulkString(bytes) => CommandReply::Bulk(bytes),
        Value::Array(values) => CommandReply::Array(values),
        Value::SimpleString(word) => CommandReply::Status(word),
        Value::ServerError(error) => {
            let error = RedisError::from(error);
            let of_one =
                ["NOPERM", "OOM", "MISCONF", "NOREPLICAS", "ERR"].iter().any(|code| error.has_code(code));
            if !of_one {
                return Err(error);
            }
            CommandReply::Refused(error.to_string())
        }
        _ => CommandReply::Other,
    })
}

/// The reply to `TIME` (seconds and microseconds) in microseconds since 1970.
pub(super) fn time_micros(values: &[Value]) -> Option<u64> {
    let number = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    let (seconds, micros) = (number(values.first()?)?, number(values.get(1)?)?);
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

/// The reply to `SCAN`: the next cursor, and keys.
pub(super) fn scan_step(values: Vec<Value>) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut values = values.into_iter();
    match (values.next()?, values.next()?) {
        (Value::BulkString(cursor), Value::Array(keys)) => Some((cursor, bulks(keys))),
        _ => None,
    }
}

/// The bulk strings among the values.
pub(super) fn bulks(values: Vec<Value>) -> Vec<Vec<u8>> {
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    values.into_iter().filter_map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn replies_are_sorted_by_kind() {
        let values = vec![
            Value::Int(7),
            bulk("text"),
            Value::Array(vec![bulk("one")]),
            Value::SimpleString("OK".to_owned()),
            Value::Nil,
        ];
        let replies = classify(values).unwrap();
        assert!(matches!(&replies[0], CommandReply::Integer(7)));
        assert!(matches!(&replies[1], CommandReply::Bulk(text) if text == b"text"));
        assert!(matches!(&replies[2], CommandReply::Array(all) if *all == [bulk("one")]));
        assert!(matches!(&replies[3], CommandReply::Status(word) if word == "OK"));
        assert!(matches!(&replies[4], CommandReply::Other));
    }

    #[test]
    fn time_is_in_microseconds() {
        assert_eq!(time_micros(&[bulk("1700000000"), bulk("123999")]), Some(1_700_000_000_123_999));
        assert_eq!(time_micros(&[bulk("1700000000")]), None);
        assert_eq!(time_micros(&[bulk("soon"), bulk("0")]), None);
    }

    #[test]
    fn a_scan_gives_cursor_and_keys() {
        let keys = Value::Array(vec![bulk("a"), bulk("b")]);
        assert_eq!(
            scan_step(vec![bulk("17"), keys]),
            Some((b"17".to_vec(), vec![b"a".to_vec(), b"b".to_vec()]))
        );
        assert_eq!(scan_step(vec![bulk("17")]), None);
    }
}
