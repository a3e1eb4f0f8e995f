//! Answers of the server, as far as this room asks for them.

use crate::redis::{RedisError, Value};

/// One answer in a packet of many.
pub(super) enum CommandReply {
    Number(i64),
    Bytes(Vec<u8>),
    Values(Vec<Value>),
    /// A status.
    Word(String),
    /// This may not be done; the rest may.
    No(String),
    Other,
}

/// A refusal that concerns one command is an answer; one that concerns the server, as it
/// is now, is everybody's trouble.
///
/// # Errors
/// `Refused`: the server does not serve.
pub(super) fn sort(values: Vec<Value>) -> Result<Vec<CommandReply>, RedisError> {
    values.into_iter().map(answer).collect()
}

fn answer(value: Value) -> Result<CommandReply, RedisError> {
    Ok(match value {
        Value::Int(number) => CommandReply::Number(number),
        Value::BulkString(bytes) => CommandReply::Bytes(bytes),
        Value::Array(values) => CommandReply::Values(values),
        Value::SimpleString(word) => CommandReply::Word(word),
        Value::ServerError(error) => {
            let trouble = RedisError::from(error);
            let of_one =
                ["NOPERM", "OOM", "MISCONF", "NOREPLICAS", "ERR"].iter().any(|code| trouble.has_code(code));
            if !of_one {
                return Err(trouble);
            }
            CommandReply::No(trouble.to_string())
        }
        _ => CommandReply::Other,
    })
}

/// `TIME` answers seconds and microseconds; here in milliseconds.
pub(super) fn time(values: &[Value]) -> Option<u64> {
    let number = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    let (seconds, micros) = (number(values.first()?)?, number(values.get(1)?)?);
    seconds.checked_mul(1000)?.checked_add(micros / 1000)
}

/// `SCAN` answers the next cursor and keys.
pub(super) fn scanned(values: Vec<Value>) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut values = values.into_iter();
    match (values.next()?, values.next()?) {
        (Value::BulkString(cursor), Value::Array(keys)) => Some((cursor, bytes(keys))),
        _ => None,
    }
}

/// The strings among the values.
pub(super) fn bytes(values: Vec<Value>) -> Vec<Vec<u8>> {
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    values.into_iter().filter_map(bytes).collect()
}
