//! The keys of pandad's own for the expiry of keys. They are a wire format: pandads of
//! different versions meet at them.
//!
//! Each begins with `pandad:` and ends in a word, as those beside the work list do.

use crate::host;
use crate::redis::{RedisServer, ServerAddress};

/// What every key of pandad's own begins with.
const OWN_PREFIX: &str = "pandad:";

/// The keys of one source: keys of one prefix, of one database, for one work list.
#[derive(Debug, Clone)]
pub(super) struct OwnKeys {
    base: String,
    list: String,
}

impl OwnKeys {
    pub(super) fn new(list: &str, server: &RedisServer, prefix: &str) -> Self {
        Self { base: format!("{OWN_PREFIX}expiry:{list}:{}/{prefix}", source(server)), list: list.to_owned() }
    }

    /// String on the list's server: who listens, for as long as it shows that it lives.
    pub(super) fn lease(&self) -> String {
        format!("{}:lease", self.base)
    }

    /// Sorted set on the list's server: keys by their deadlines.
    pub(super) fn deadlines(&self) -> String {
        format!("{}:deadlines", self.base)
    }

    /// On the server where keys expire: expires every second.
    pub(super) fn canary(&self, instance: &str) -> String {
        format!("{OWN_PREFIX}expiry:{}:{instance}:canary", self.list)
    }
}

/// The server as every pandad that uses it calls it; what only this machine can reach
/// goes by the machine's name too.
fn source(server: &RedisServer) -> String {
    let here = || host::name().unwrap_or_default();
    let place = match &server.address {
        ServerAddress::Tcp(host, port) if is_loopback(host) => format!("{}@{host}:{port}", here()),
        ServerAddress::Tcp(host, port) => format!("{host}:{port}"),
        ServerAddress::Unix(path) => format!("{}@{}", here(), path.display()),
    };
    format!("{place}/{}", server.database)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_key_is_marked_ends_in_a_word_and_says_of_what_it_is() {
        let server = |address| RedisServer {
            name: "redis_kv_expire",
            address,
            user: String::new(),
            password: String::new(),
            database: 3,
            connect_timeout: Duration::ZERO,
            client_name: String::new(),
        };
        let names = OwnKeys::new("work", &server(ServerAddress::Tcp("10.0.0.7".to_owned(), 6379)), "USER_7");
        assert_eq!(names.lease(), "pandad:expiry:work:10.0.0.7:6379/3/USER_7:lease");
        assert_eq!(names.deadlines(), "pandad:expiry:work:10.0.0.7:6379/3/USER_7:deadlines");
        assert_eq!(names.canary("0f"), "pandad:expiry:work:0f:canary");
        // What another machine calls so is another server.
        let local = OwnKeys::new("work", &server(ServerAddress::Tcp("127.0.0.1".to_owned(), 6379)), "");
        assert!(local.lease().contains("@127.0.0.1:6379/3/:lease"), "{}", local.lease());
    }
}
