//! The cluster to connect to, and what is known of its brokers before the first connection.

use std::time::Duration;

use super::client::connection::ConnectionLimits;
use super::client::dialer::Dialer;
use super::client::versions_seen::VersionsSeen;
use crate::net::TlsClient;

/// The cluster to connect to.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The bootstrap brokers, each `host:port`.
    pub brokers: Vec<String>,
    /// The `client.id`, which brokers log.
    pub client_id: String,
    /// Whether records of open and aborted transactions are left out (`read_committed`).
    pub read_committed: bool,
    /// Whether the brokers did not answer ApiVersions the last time, as Kafka 0.9 does not. Then
    /// the wait for that answer is short.
    pub silent: bool,
    /// The versions of the brokers. Clones share them.
    pub versions_seen: VersionsSeen,
    /// Encrypts the connections; `None`: they are plain.
    pub tls: Option<TlsClient>,
}

/// The time limit for ApiVersions if the brokers did not answer it before. A broker that only hangs
/// is still distinguished from Kafka 0.9, because it must answer another request and leave ApiVersions
/// unanswered a second time.
const KNOWN_SILENCE_TIMEOUT: Duration = Duration::from_millis(80);

impl Cluster {
    /// Opens connections to this cluster.
    pub(crate) fn dialer(&self) -> Dialer {
        Dialer::new(&self.client_id, self.limits())
            .with_versions_seen(&self.versions_seen)
            .with_tls(self.tls.clone())
    }

    /// The limits of connections to this cluster.
    pub(crate) fn limits(&self) -> ConnectionLimits {
        let limits = ConnectionLimits::default();
        if self.silent {
            ConnectionLimits { versions_timeout: KNOWN_SILENCE_TIMEOUT, ..limits }
        } else {
            limits
        }
    }
}
