//! One Redis server: where it listens, and how to log in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One server, and how to get in.
#[derive(Clone)]
pub struct RedisServer {
    /// What the configuration calls it.
    pub name: &'static str,
    /// Where it listens.
    pub address: ServerAddress,
    /// User of an access list; empty is the default user.
    pub user: String,
    /// Password; empty is none.
    pub password: String,
    /// Number of the database.
    pub database: u32,
    /// How long a connection may take until it can be used.
    pub connect_timeout: Duration,
    /// What `CLIENT LIST` shows; empty is nothing.
    pub client_name: String,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// Host and port.
    Tcp(String, u16),
    /// The path of a socket.
    Unix(PathBuf),
}

impl fmt::Display for RedisServer {
    /// The name in the configuration and the address; never the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            ServerAddress::Tcp(host, port) if host.contains(':') => {
                write!(f, "{} [{host}]:{port}", self.name)
            }
            ServerAddress::Tcp(host, port) => write!(f, "{} {host}:{port}", self.name),
            ServerAddress::Unix(path) => write!(f, "{} {}", self.name, path.display()),
        }
    }
}
