//! Whether a server deletes keys by itself when its memory is full.

use redis_crate::{Value, cmd};

use super::connection::RedisConnection;
use super::error::RedisError;

/// Asks a server for its policy, and logs a policy that deletes keys once.
pub struct EvictionCheck {
    about: String,
    logged: Option<String>,
}

impl EvictionCheck {
    /// `about` is the beginning of the log line: the job and the server.
    pub fn new(about: String) -> Self {
        Self { about, logged: None }
    }

    /// Whether the server may delete keys of pandad's own that have a time to live.
    ///
    /// # Errors
    /// `Lost`: the connection was lost.
    pub fn evicts(&mut self, connection: &mut RedisConnection) -> Result<bool, RedisError> {
        let policy = eviction_policy(connection)?;
        if policy != self.logged {
            if let Some(policy) = &policy {
                log::warn!(
                    "{}: maxmemory-policy is {policy}: when its memory is full, the server deletes keys that \
                     are due, items and keys of pandad's own; set maxmemory-policy noeviction",
                    self.about
                );
            }
            self.logged.clone_from(&policy);
        }
        Ok(policy.is_some())
    }
}

/// The policy by which the server deletes keys that nobody asked it to delete; `None` if it deletes none, or
/// does not say.
fn eviction_policy(connection: &mut RedisConnection) -> Result<Option<String>, RedisError> {
    let mut settings = match connection.ask_optional("CONFIG", cmd("CONFIG").arg("GET").arg("maxmemory*")) {
        Ok(Value::Array(values)) => of_config(&values),
        Ok(_) | Err(RedisError::Refused { .. }) => None,
        Err(lost) => return Err(lost),
    };
    if settings.is_none() {
        // Refused, or empty: services that others run hide their settings in both ways.
        settings = match connection.ask_optional("INFO", cmd("INFO").arg("memory")) {
            Ok(Value::BulkString(text)) => of_info(&String::from_utf8_lossy(&text)),
            Ok(_) | Err(RedisError::Refused { .. }) => None,
            Err(lost) => return Err(lost),
        };
    }
    Ok(settings.filter(|(limit, policy)| limit != "0" && policy != "noeviction").map(|(_, policy)| policy))
}

/// Limit and policy in the reply to CONFIG GET: names and values by turns.
fn of_config(values: &[Value]) -> Option<(String, String)> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    let texts: Vec<String> = values.iter().map(text).collect();
    let value_of = |name: &str| {
        let pair = texts.chunks_exact(2).find(|pair| pair.first().is_some_and(|first| first == name))?;
        pair.get(1).cloned()
    };
    Some((value_of("maxmemory")?, value_of("maxmemory-policy")?))
}

/// The same in the reply to INFO, where each line is a name, a colon and the value.
fn of_info(text: &str) -> Option<(String, String)> {
    let value_of = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    };
    Some((value_of("maxmemory")?, value_of("maxmemory_policy")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_and_info_say_the_same() {
        let words = ["maxmemory-policy", "volatile-ttl", "maxmemory-samples", "5", "maxmemory", "7"];
        let values = words.map(|word| Value::BulkString(word.as_bytes().to_vec()));
        let expected = Some(("7".to_owned(), "volatile-ttl".to_owned()));
        assert_eq!(of_config(&values), expected);
        let info = "# Memory\r\nused_memory:9\r\nmaxmemory:7\r\nmaxmemory_human:7B\r\n\
                    maxmemory_policy:volatile-ttl\r\n";
        assert_eq!(of_info(info), expected);
        assert_eq!((of_config(&values[..2]), of_info("# Memory\r\n")), (None, None));
    }
}
