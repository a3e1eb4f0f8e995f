//! Redis over blocking connections: open, authenticate, time-box, say what a refusal
//! means and when a server is away and back. Knows no list, no key and no job.

mod connection;
mod link;
mod requests;
mod trouble;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use connection::Connection;
pub use link::{Health, Link};
pub use redis_crate::{Cmd, Value, cmd};
pub use requests::{Args, Requests};
pub use trouble::Trouble;

/// One server, and how to get in.
#[derive(Clone)]
pub struct Server {
    /// What the configuration calls it.
    pub name: &'static str,
    /// Where it listens.
    pub address: Address,
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
pub enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// The path of a socket.
    Unix(PathBuf),
}

impl fmt::Display for Server {
    /// The name in the configuration and the address; never the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "{} [{host}]:{port}", self.name),
            Address::Tcp(host, port) => write!(f, "{} {host}:{port}", self.name),
            Address::Unix(path) => write!(f, "{} {}", self.name, path.display()),
        }
    }
}
