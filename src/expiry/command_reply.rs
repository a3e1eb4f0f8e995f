//! Answers of the server, as far as this room asks for them.

use crate::redis::{RedisError, Value};

/// One answer in a packet of many.
pub(super) enum CommandReply {
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Value>),
    /// A status.
    Status(String),
    /// This may not be done; the rest may.
    Refused(String),
    Other,
}

/// A refusal that concerns one command is an answer; one that concerns the server, as it
/// is now, is everybody's trouble.
///
/// # Errors
/// `Refused`: the server does not serve.
pub(super) fn classify(values: Vec<Value>) -> Result<Vec<CommandReply>, RedisError> {
    values.into_iter().map(answer).collect()
}

fn answer(value: Value) -> Result<CommandReply, RedisError> {
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

/// `TIME` answers seconds and microseconds; here in milliseconds.
pub(super) fn time_ms(values: &[Value]) -> Option<u64> {
    let number = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    let (seconds, micros) = (number(values.first()?)?, number(values.get(1)?)?);
    seconds.checked_mul(1000)?.checked_add(micros / 1000)
}

/// `SCAN` answers the next cursor and keys.
pub(super) fn scan_step(values: Vec<Value>) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut values = values.into_iter();
    match (values.next()?, values.next()?) {
        (Value::BulkString(cursor), Value::Array(keys)) => Some((cursor, bulks(keys))),
        _ => None,
    }
}

/// The strings among the values.
pub(super) fn bulks(values: Vec<Value>) -> Vec<Vec<u8>> {
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    values.into_iter().filter_map(bytes).collect()
}
