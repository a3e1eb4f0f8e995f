//! The names of the keys that pandad itself writes for this job. They are a wire format:
//! pandads of different versions use the same keys at the same time.
//!
//! Each name begins with `pandad:` and ends in a word, like the keys of `queue::keys`.

use crate::host;
use crate::redis::RedisServer;

/// The prefix of every key that pandad itself writes.
const OWN_PREFIX: &str = "pandad:";

/// The keys for one source of expired keys (a server, a database, a prefix) and one work list.
#[derive(Debug, Clone)]
pub(super) struct OwnKeys {
    base: String,
    list: String,
}

impl OwnKeys {
    /// `list` is the key of the work list, `server` the server where keys expire.
    pub(super) fn new(list: &str, server: &RedisServer, prefix: &str) -> Self {
        Self { base: format!("{OWN_PREFIX}expiry:{list}:{}/{prefix}", source(server)), list: list.to_owned() }
    }

    /// A string on the list's server that names the pandad that listens, as long as that pandad renews the
    /// key.
    pub(super) fn lease(&self) -> String {
        format!("{}:lease", self.base)
    }

    /// A string on the list's server beside the lease, without a time to live: it changes with each heartbeat
    /// of the pandad that has the lease. Only there if that server evicts keys.
    pub(super) fn beat(&self) -> String {
        format!("{}:beat", self.base)
    }

    /// A sorted set on the list's server: keys by deadline, in milliseconds since 1970.
    pub(super) fn deadlines(&self) -> String {
        format!("{}:deadlines", self.base)
    }

    /// What the names of one watch's canaries begin with: strings on the server where keys expire.
    pub(super) fn canary_start(&self, instance: &str) -> String {
        format!("{OWN_PREFIX}expiry:{}:{instance}:", self.list)
    }
}

/// A name for the server and its database that is the same for every pandad that uses them.
fn source(server: &RedisServer) -> String {
    format!("{}/{}", server.shared_address(&host::name().unwrap_or_default()), server.database)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::ServerAddress;
    use std::time::Duration;

    #[test]
    fn every_key_names_its_list_and_source() {
        let server = |address| RedisServer {
            name: "redis_kv_expire",
            address,
            user: String::new(),
            password: String::new(),
            database: 3,
            connect_timeout: Duration::ZERO,
            client_name: String::new(),
            left_out: crate::redis::LeftOutCommands::default(),
            tls: None,
        };
        let names = OwnKeys::new("work", &server(ServerAddress::Tcp("10.0.0.7".to_owned(), 6379)), "USER_7");
        assert_eq!(names.lease(), "pandad:expiry:work:10.0.0.7:6379/3/USER_7:lease");
        assert_eq!(names.deadlines(), "pandad:expiry:work:10.0.0.7:6379/3/USER_7:deadlines");
        assert_eq!(names.canary_start("0f"), "pandad:expiry:work:0f:");
        // The same address on another machine belongs to another server.
        let local = OwnKeys::new("work", &server(ServerAddress::Tcp("127.0.0.1".to_owned(), 6379)), "");
        assert!(local.lease().contains("@127.0.0.1:6379/3/:lease"), "{}", local.lease());
    }
}
