//! Why a command has no result, and what the reader of the log can do about that.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use redis_crate::{ErrorKind, RedisError as CrateError, ServerError};

/// Why a command has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisError {
    /// No answer: not connected, disconnected, or too late. The connection must not be used again.
    Lost(String),
    /// The server's error: its first word, and the rest.
    Refused {
        /// The first word of the error, such as `WRONGTYPE`; for most errors `ERR`.
        code: String,
        /// The rest of the line.
        text: String,
    },
}

/// What to do about each error code of a server. `ERR` has too many meanings: see `TEXT_REMEDIES`.
const CODE_REMEDIES: [(&str, &str); 17] = [
    ("NOAUTH", "the server wants a password: set the password of this server in the .inv"),
    ("WRONGPASS", "the password or the user is not the server's: set them in the .inv"),
    ("NOPERM", "the server's access list refuses this user: allow the command and the key there"),
    ("LOADING", "the server is still loading its data"),
    ("BUSY", "a script of another client keeps the server busy"),
    ("READONLY", "this server is a replica, which takes no writes: name the master in the .inv"),
    ("OOM", "the server has reached its maxmemory and accepts no more data: free memory or raise maxmemory"),
    ("WRONGTYPE", "the key holds another type: rename or delete the key, or name another one in the .inv"),
    ("MISCONF", "the server cannot save its data and takes no writes: its own log says why"),
    ("NOREPLICAS", "the server has too few replicas to take writes"),
    ("MASTERDOWN", "this server is a replica that has lost its master"),
    ("UNBLOCKED", "the server has become a replica"),
    ("CLUSTERDOWN", "this is a node of a Redis Cluster that is down"),
    ("MOVED", "this is a node of a Redis Cluster, which pandad does not follow: name a server of its own"),
    ("ASK", "this is a node of a Redis Cluster, which pandad does not follow: name a server of its own"),
    (
        "CROSSSLOT",
        "this is a node of a Redis Cluster, which pandad does not follow: name a server of its own",
    ),
    ("TRYAGAIN", "this is a node of a Redis Cluster that is moving its keys"),
];
const CLOSED_TEXT: &str = "the connection was closed";
const LATE_TEXT: &str = "no answer in time";
const GARBLED_TEXT: &str = "the answer is not in the protocol of Redis";
const INTERRUPTED_TEXT: &str = "interrupted while waiting for an answer";
const TEXT_REMEDIES: [(&str, &str); 4] = [
    // Texts of Redis before 6, and of a server that has no password.
    ("invalid password", "the password is not the server's: set it in the .inv"),
    (
        "without any password configured",
        "the server has no password: leave the password of this server in the .inv empty",
    ),
    ("no password is set", "the server has no password: leave the password of this server in the .inv empty"),
    ("DB index is out of range", "the server has fewer databases: set the database in the .inv"),
];

impl RedisError {
    /// Whether this is a server's error with this code.
    pub fn has_code(&self, wanted: &str) -> bool {
        matches!(self, RedisError::Refused { code, .. } if code == wanted)
    }

    /// Whether only the wait was interrupted, because this process was stopped and then continued.
    pub(super) fn is_interruption(&self) -> bool {
        matches!(self, RedisError::Lost(why) if why == INTERRUPTED_TEXT)
    }

    /// Whether no answer came in time. It may still come.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, RedisError::Lost(why) if why == LATE_TEXT)
    }

    /// Whether the server has closed the connection.
    pub fn is_close(&self) -> bool {
        matches!(self, RedisError::Lost(why) if why == CLOSED_TEXT)
    }

    /// Whether a server that was asked for the first time is none of Redis, as far as this error shows.
    pub(super) fn is_foreign(&self) -> bool {
        self.is_close() || matches!(self, RedisError::Lost(why) if why == GARBLED_TEXT)
    }

    /// Whether this is a server's error whose text contains `part`.
    pub fn text_contains(&self, part: &str) -> bool {
        matches!(self, RedisError::Refused { text, .. } if text.contains(part))
    }

    fn remedy(&self) -> Option<&'static str> {
        let RedisError::Refused { code, text } = self else { return None };
        let by_code = CODE_REMEDIES.iter().find(|(known, _)| known == code);
        let by_text = || TEXT_REMEDIES.iter().find(|(part, _)| text.contains(part));
        by_code.or_else(by_text).map(|(_, remedy)| *remedy)
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisError::Lost(why) => f.write_str(why)?,
            RedisError::Refused { code, text } => write!(f, "{code} {text}")?,
        }
        self.remedy().map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
    }
}

impl From<ServerError> for RedisError {
    fn from(error: ServerError) -> Self {
        // The crate has its own names for the code ERR.
        let code = match error.code() {
            "ResponseError" | "ResponseErr" => "ERR",
            code => code,
        };
        RedisError::Refused { code: code.to_owned(), text: error.details().unwrap_or_default().to_owned() }
    }
}

impl From<io::Error> for RedisError {
    fn from(error: io::Error) -> Self {
        CrateError::from(error).into()
    }
}

impl From<CrateError> for RedisError {
    fn from(error: CrateError) -> Self {
        if was_interrupted(&error) {
            return RedisError::Lost(INTERRUPTED_TEXT.to_owned());
        }
        if error.kind() == ErrorKind::Parse {
            return RedisError::Lost(GARBLED_TEXT.to_owned());
        }
        if error.is_timeout() {
            return RedisError::Lost(LATE_TEXT.to_owned());
        }
        if error.is_connection_dropped() && error.is_unrecoverable_error() && !error.is_connection_refusal() {
            return RedisError::Lost(CLOSED_TEXT.to_owned());
        }
        RedisError::Lost(error.to_string())
    }
}

/// Whether a signal interrupted the wait: nothing was lost, and the answer can still be read.
fn was_interrupted(error: &CrateError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let kind = source.and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    kind == Some(io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_is_recognised() {
        let error = |kind: io::ErrorKind| CrateError::from(io::Error::from(kind));
        assert!(was_interrupted(&error(io::ErrorKind::Interrupted)));
        assert!(!was_interrupted(&error(io::ErrorKind::WouldBlock)));
    }

    #[test]
    fn refusals_come_with_a_remedy() {
        let refused =
            |code: &str, text: &str| RedisError::Refused { code: code.to_owned(), text: text.to_owned() };
        let oom = refused("OOM", "command not allowed when used memory > 'maxmemory'.");
        assert!(oom.to_string().ends_with("free memory or raise maxmemory)"), "{oom}");
        assert!(oom.has_code("OOM") && !oom.has_code("ERR"));
        let old = refused("ERR", "invalid password");
        assert!(old.to_string().contains("set it in the .inv"), "{old}");
        assert_eq!(refused("ERR", "no such key").to_string(), "ERR no such key");
        assert!(old.text_contains("invalid") && !old.text_contains("no such key"));
        assert!(!RedisError::Lost("invalid".to_owned()).text_contains("invalid"));
    }
}
