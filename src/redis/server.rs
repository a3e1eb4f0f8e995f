//! One Redis server: its address and its login.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::left_out::LeftOutCommands;
use crate::net::TlsClient;

/// A server, and how to log in.
#[derive(Clone)]
pub struct RedisServer {
    /// The server's name in the configuration.
    pub name: &'static str,
    /// Where it listens.
    pub address: ServerAddress,
    /// The user in the server's access list; empty means the default user.
    pub user: String,
    /// The password; empty means none.
    pub password: String,
    /// The number of the database.
    pub database: u32,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
    /// The name in `CLIENT LIST`; empty means none.
    pub client_name: String,
    /// The commands that the server answers by closing the connection.
    pub left_out: LeftOutCommands,
    /// Encrypts the connections; `None`: they are plain.
    pub tls: Option<TlsClient>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// Host and port.
    Tcp(String, u16),
    /// The path of a socket.
    Unix(PathBuf),
}

impl RedisServer {
    /// The server's address, the same for every pandad that uses the server by this address. One that leads
    /// to another server on another machine begins with the name of this machine, `here`.
    pub fn shared_address(&self, here: &str) -> String {
        match &self.address {
            ServerAddress::Tcp(host, port) if is_loopback(host) => format!("{here}@{host}:{port}"),
            ServerAddress::Tcp(host, port) => format!("{host}:{port}"),
            ServerAddress::Unix(path) => format!("{here}@{}", path.display()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for RedisServer {
    /// Shows the name in the configuration and the address, never the password.
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
