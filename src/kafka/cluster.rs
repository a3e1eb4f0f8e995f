//! Where the cluster is, and what is known of its brokers beforehand.

use std::time::Duration;

use super::client::connection::ConnectionLimits;

/// Where to find the cluster, and what is expected of it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Bootstrap brokers, `host:port`.
    pub brokers: Vec<String>,
    /// Shown in the broker's logs.
    pub client_id: String,
    /// Whether records of open and aborted transactions must not be delivered.
    pub read_committed: bool,
    /// Whether its brokers did not say what they speak when they were last asked, as Kafka
    /// 0.9 does not: then they are not waited for long.
    pub silent: bool,
}

/// How long brokers are waited for that were silent before. One that merely hangs is found
/// out all the same: it must answer something else, and be silent once more.
const KNOWN_SILENCE_TIMEOUT: Duration = Duration::from_millis(80);

impl Cluster {
    /// How long is waited for what.
    pub(crate) fn limits(&self) -> ConnectionLimits {
        let limits = ConnectionLimits::default();
        if self.silent {
            ConnectionLimits { versions_timeout: KNOWN_SILENCE_TIMEOUT, ..limits }
        } else {
            limits
        }
    }
}
