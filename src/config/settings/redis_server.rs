//! The settings of one Redis server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::tls::TlsConfig;
use crate::config::keys::RedisKeys;
use crate::config::printer::InvPrinter;
use crate::config::reader::ConfigReader;

/// One Redis server of `[redis_env_section]`.
#[derive(Clone, PartialEq)]
pub struct RedisConfig {
    /// Where the server listens.
    pub address: RedisAddress,
    /// The user in the access list; empty means the default user.
    pub user: String,
    /// The password; empty means none.
    pub password: String,
    /// Number of the database.
    pub database: u32,
    /// The longest time that opening a connection may take.
    pub connect_timeout: Duration,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Whom to trust, and which certificate to show.
    pub tls: TlsConfig,
}

impl RedisConfig {
    /// Reads the keys of one server, even if no job needs it.
    pub(in crate::config) fn read(reader: &mut ConfigReader, keys: &RedisKeys) -> Option<Self> {
        let is_unix = reader.get(&keys.socket_type);
        let socket = reader.get(&keys.socket);
        let host = reader.get(&keys.host);
        let port = reader.get(&keys.port);
        let user = reader.get(&keys.user);
        let password = reader.get(&keys.password);
        let database = reader.get(&keys.database);
        let connect_timeout = reader.get(&keys.timeout);
        let encrypted = reader.get(&keys.encrypted);
        let tls = TlsConfig::read(reader, &keys.tls);
        Some(Self {
            address: if is_unix? {
                RedisAddress::Unix(socket?)
            } else {
                RedisAddress::Tcp { host: host?, port: port? }
            },
            user: user?,
            password: password?,
            database: database?,
            connect_timeout: connect_timeout?,
            encrypted: encrypted?,
            tls: tls?,
        })
    }

    pub(in crate::config) fn print(&self, out: &mut InvPrinter, keys: &RedisKeys) {
        match &self.address {
            RedisAddress::Tcp { host, port } => {
                out.put(&keys.socket_type, &false);
                out.put(&keys.host, host);
                out.put(&keys.port, port);
            }
            RedisAddress::Unix(path) => {
                out.put(&keys.socket_type, &true);
                out.put(&keys.socket, path);
            }
        }
        out.put(&keys.user, &self.user);
        out.put(&keys.password, &self.password);
        out.put(&keys.database, &self.database);
        out.put(&keys.timeout, &self.connect_timeout);
        out.put(&keys.encrypted, &self.encrypted);
        self.tls.print(out, &keys.tls);
    }
}

// Debug is written by hand, so that no log line or test output can hold the password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_empty() { "none" } else { "set" };
        f.debug_struct("RedisConfig")
            .field("address", &self.address)
            .field("user", &self.user)
            .field("password", &format_args!("{password}"))
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .field("encrypted", &self.encrypted)
            .field("tls", &self.tls)
            .finish()
    }
}

/// Where a Redis server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// Over TCP.
    Tcp {
        /// Name or address, an IPv6 address without brackets.
        host: String,
        /// Port number.
        port: u16,
    },
    /// Through a socket in the file system, by its absolute path.
    Unix(PathBuf),
}
