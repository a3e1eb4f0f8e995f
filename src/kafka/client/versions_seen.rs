//! What is known of the versions that the brokers of a cluster support.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::address::BrokerAddress;
use crate::kafka::protocol::versions::Versions;

/// The versions of a cluster's brokers. All clients of the cluster share them.
#[derive(Debug, Clone, Default)]
pub struct VersionsSeen(Arc<Mutex<KnownBrokers>>);

#[derive(Debug, Default)]
struct KnownBrokers {
    /// Whether any broker has answered ApiVersions. After that a broker that does not answer it
    /// hangs, and is not of Kafka 0.9. Requests in the versions of 0.9 would get records of aborted
    /// transactions from it.
    any_answered: bool,
    /// The versions of brokers that have answered a request.
    confirmed: BTreeMap<BrokerAddress, Versions>,
}

impl VersionsSeen {
    fn brokers(&self) -> MutexGuard<'_, KnownBrokers> {
        // Each change is one call, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the confirmed versions of a broker, for a new connection to it. The broker may have been
    /// upgraded meanwhile, so they count again only when it has answered on that connection.
    pub(super) fn take(&self, address: &BrokerAddress) -> Option<Versions> {
        self.brokers().confirmed.remove(address)
    }

    /// Records the versions of a broker on a new connection.
    ///
    /// # Errors
    /// The broker hangs: it did not answer ApiVersions, and other brokers of the cluster did.
    pub(super) fn record(&self, address: &BrokerAddress, versions: &Versions) -> Result<(), String> {
        let mut brokers = self.brokers();
        if brokers.confirmed.get(address).is_some_and(|confirmed| confirmed != versions) {
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
    pub(super) fn confirm(&self, address: &BrokerAddress, versions: &Versions) {
        let mut brokers = self.brokers();
        if !brokers.confirmed.contains_key(address) {
            brokers.confirmed.insert(address.clone(), versions.clone());
        }
    }
}
