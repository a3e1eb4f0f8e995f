//! Remembers which versions the brokers of a cluster support.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::BrokerAddress;
use super::named_brokers::{ClusterIdSource, NamedBrokers};
use crate::kafka::protocol::versions::Versions;

/// How long known versions are used. An upgraded broker still answers requests in its old versions; without
/// this limit it would be taken for Kafka 0.9 forever.
const KNOWN_AGE_MAX: Duration = Duration::from_secs(60);

/// The versions of a cluster's brokers. All clients of the cluster share them.
#[derive(Debug, Clone, Default)]
pub struct VersionsSeen {
    known: Arc<Mutex<KnownBrokers>>,
    named: NamedBrokers,
}

#[derive(Debug, Default)]
struct KnownBrokers {
    /// Whether any broker has answered ApiVersions. After that a broker that does not answer it
    /// hangs, and is not of Kafka 0.9. Requests in the versions of 0.9 would get records of aborted
    /// transactions from it.
    any_answered: bool,
    /// The versions of brokers that have answered a request.
    confirmed: BTreeMap<BrokerAddress, KnownVersions>,
}

/// What a broker supports.
#[derive(Debug, Clone)]
pub(super) struct KnownVersions {
    pub(super) versions: Versions,
    /// When the broker was asked for them.
    pub(super) asked_at: Instant,
}

impl VersionsSeen {
    /// The brokers that the cluster has named.
    pub(super) fn named(&self) -> &NamedBrokers {
        &self.named
    }

    /// Says which cluster this is before any broker is asked. Brokers of another one are not used then.
    pub fn expect_cluster(&self, id: &str, source: ClusterIdSource) {
        self.named.expect(id, source);
    }

    /// The id of the cluster, if it is known.
    pub fn cluster_id(&self) -> Option<String> {
        self.named.id()
    }

    fn brokers(&self) -> MutexGuard<'_, KnownBrokers> {
        // Each change is one call, so a panic leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the confirmed versions of a broker, for a new connection to it. The broker may have been
    /// upgraded meanwhile, so they count again only when it has answered on that connection.
    pub(super) fn take(&self, address: &BrokerAddress, now: Instant) -> Option<KnownVersions> {
        let known = self.brokers().confirmed.remove(address)?;
        (now.saturating_duration_since(known.asked_at) < KNOWN_AGE_MAX).then_some(known)
    }

    /// Records the versions of a broker on a new connection.
    ///
    /// # Errors
    /// The broker hangs: it did not answer ApiVersions, and other brokers of the cluster did.
    pub(super) fn record(&self, address: &BrokerAddress, versions: &Versions) -> Result<(), String> {
        let mut brokers = self.brokers();
        if brokers.confirmed.get(address).is_some_and(|confirmed| confirmed.versions != *versions) {
            brokers.confirmed.remove(address);
        }
        if *versions != Versions::Silent {
            brokers.any_answered = true;
        } else if brokers.any_answered {
            return Err(format!("{address} does not answer ApiVersions, though brokers of this cluster did"));
        }
        Ok(())
    }

    /// Remembers the versions of a broker that has answered a request in them.
    pub(super) fn confirm(&self, address: &BrokerAddress, known: &KnownVersions) {
        let mut brokers = self.brokers();
        if brokers.confirmed.get(address).is_none_or(|older| older.asked_at < known.asked_at) {
            brokers.confirmed.insert(address.clone(), known.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker of Kafka 0.9 that is upgraded goes on answering in the versions of 0.9.
    #[test]
    fn what_a_broker_supports_is_asked_again_after_a_minute() {
        let (seen, broker) = (VersionsSeen::default(), BrokerAddress::new("h", 9092).unwrap());
        let (asked_at, second) = (Instant::now(), Duration::from_secs(1));
        let known = KnownVersions { versions: Versions::Silent, asked_at };
        seen.confirm(&broker, &known);
        let mut taken = seen.take(&broker, asked_at + KNOWN_AGE_MAX - second).unwrap();
        assert_eq!(taken.versions, Versions::Silent);
        assert!(seen.take(&broker, asked_at).is_none(), "it has not answered since");
        // The versions are confirmed again, but ApiVersions was not sent on this connection.
        seen.confirm(&broker, &taken);
        assert!(seen.take(&broker, asked_at + KNOWN_AGE_MAX).is_none());
        taken.asked_at += second;
        seen.confirm(&broker, &taken);
        assert!(seen.take(&broker, asked_at + KNOWN_AGE_MAX).is_some());
    }
}
