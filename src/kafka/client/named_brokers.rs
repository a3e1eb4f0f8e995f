//! Remembers the brokers that a cluster has named, so that these can be asked, too, when those of the
//! configuration are gone, and which of them did not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::BrokerAddress;
use crate::kafka::protocol::messages::ClusterMetadata;

/// The only job that reads Kafka. Every log line about Kafka begins with its name.
pub(in crate::kafka) const JOB: &str = "kafka_to_file";

/// A broker that was not named for so long is forgotten.
const NAMED_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How many brokers are remembered: those that were named last.
const NAMED_MAX: usize = 1000;
/// For so long a broker that has failed once is asked only after all others; twice as long with each further
/// failure in a row, up to the second time.
const AVOIDED_FOR: Duration = Duration::from_secs(60);
const AVOIDED_FOR_MAX: Duration = Duration::from_secs(3600);

/// The brokers that one cluster has named. All clients of the cluster share them.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedBrokers(Arc<Mutex<NamedCluster>>);

#[derive(Debug, Default)]
struct NamedCluster {
    /// `None` if no broker has told it: before Kafka 0.10.1 they do not know it.
    id: Option<String>,
    /// Where the id comes from.
    source: ClusterIdSource,
    /// When each broker was named last.
    brokers: BTreeMap<BrokerAddress, Instant>,
    /// The last failure of brokers that have not answered after that, and how many there were in a row.
    failures: BTreeMap<BrokerAddress, (Instant, u32)>,
    /// The addresses of which it was logged that they belong to another cluster, and to which.
    foreign: BTreeSet<(BrokerAddress, String)>,
}

/// Who says which cluster is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClusterIdSource {
    /// The first broker that answered.
    #[default]
    Broker,
    /// The journal of the log file.
    Journal,
    /// The configuration.
    Configuration,
}

/// The broker belongs to another cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OtherCluster {
    pub(super) own: String,
    pub(super) other: String,
}

impl NamedBrokers {
    fn lock(&self) -> MutexGuard<'_, NamedCluster> {
        // Whatever a panic leaves is a part of what was named.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a broker says of the cluster. The first cluster counts for good: nothing of another one may
    /// be read or committed to in its place.
    ///
    /// # Errors
    /// The broker belongs to another cluster.
    pub(super) fn record(&self, metadata: &ClusterMetadata, now: Instant) -> Result<(), OtherCluster> {
        let mut known = self.lock();
        match (&known.id, &metadata.cluster_id) {
            (Some(own), Some(other)) if own != other => {
                return Err(OtherCluster { own: own.clone(), other: other.clone() });
            }
            (None, Some(id)) => known.id = Some(id.clone()),
            _ => {}
        }
        for one in metadata.brokers.iter().take(NAMED_MAX) {
            if let Some(address) = BrokerAddress::new(&one.host, one.port) {
                known.brokers.insert(address, now);
            }
        }
        known.brokers.retain(|_, named| now.saturating_duration_since(*named) < NAMED_AGE_MAX);
        while known.brokers.len() > NAMED_MAX {
            let oldest = known.brokers.iter().min_by_key(|(_, named)| **named);
            let Some(oldest) = oldest.map(|(address, _)| address.clone()) else { break };
            known.brokers.remove(&oldest);
        }
        Ok(())
    }

    /// The brokers that were named lately, and whether the last answer names each.
    pub(super) fn all(&self, now: Instant) -> BTreeMap<BrokerAddress, bool> {
        let known = self.lock();
        let last = known.brokers.values().max().copied();
        let lately = |named: &Instant| now.saturating_duration_since(*named) < NAMED_AGE_MAX;
        let named = known.brokers.iter().filter(|(_, named)| lately(named));
        named.map(|(address, named)| (address.clone(), Some(*named) == last)).collect()
    }

    /// Notes that a broker has answered a request.
    pub(super) fn record_answered(&self, address: &BrokerAddress) {
        self.lock().failures.remove(address);
    }

    /// Notes that a broker did not answer, or cannot be asked.
    pub(super) fn record_failed(&self, address: &BrokerAddress, now: Instant) {
        let mut known = self.lock();
        let in_row = known.failures.get(address).map_or(0, |(_, in_row)| *in_row);
        known.failures.insert(address.clone(), (now, in_row.saturating_add(1)));
        known.failures.retain(|_, (at, _)| now.saturating_duration_since(*at) < NAMED_AGE_MAX);
    }

    /// Whether a broker is to be asked after the others, because it has failed.
    pub(super) fn is_avoided(&self, address: &BrokerAddress, now: Instant) -> bool {
        let known = self.lock();
        known.failures.get(address).is_some_and(|(at, in_row)| {
            let time = AVOIDED_FOR.saturating_mul(2_u32.saturating_pow(in_row.saturating_sub(1)));
            now.saturating_duration_since(*at) < time.min(AVOIDED_FOR_MAX)
        })
    }

    /// Logs that this address belongs to another cluster: once for each address, or, if it is the whole
    /// cluster that is not the expected one, once for all of its addresses.
    pub(super) fn tell_foreign(&self, address: &BrokerAddress, other: &str) {
        let mut known = self.lock();
        let (own, source) = (known.id.clone().unwrap_or_default(), known.source);
        let is_told = source != ClusterIdSource::Broker && known.foreign.iter().any(|(_, id)| id == other);
        let is_new =
            known.foreign.len() < NAMED_MAX && known.foreign.insert((address.clone(), other.to_owned()));
        drop(known);
        if is_told || !is_new {
            return;
        }
        match source {
            ClusterIdSource::Broker => log::error!(
                "{JOB}: {address} belongs to the Kafka cluster {other}, and {own} is the one that is read: \
                 this address is not used; take it out of broker_list, or look at what the brokers of {own} \
                 advertise; if {other} replaces {own}, set kafka['cluster'] = '{other}'"
            ),
            ClusterIdSource::Journal => log::error!(
                "{JOB}: {address} belongs to the Kafka cluster {other}, and the log file's records are of \
                 {own}: nothing is read from {other} or committed to it; correct broker_list; if the topics \
                 were moved to {other} on purpose, set kafka['cluster'] = '{other}'"
            ),
            ClusterIdSource::Configuration => log::error!(
                "{JOB}: {address} belongs to the Kafka cluster {other}, and kafka['cluster'] is {own}: \
                 nothing is read from {other} or committed to it; correct one of broker_list and \
                 kafka['cluster']"
            ),
        }
    }

    /// Says which cluster this is before any broker is asked.
    pub(super) fn expect(&self, id: &str, source: ClusterIdSource) {
        let mut known = self.lock();
        (known.id, known.source) = (Some(id.to_owned()), source);
    }

    /// Which cluster this is, if that is known.
    pub(super) fn id(&self) -> Option<String> {
        self.lock().id.clone()
    }

    /// Whether it is known which cluster this is.
    pub(super) fn has_id(&self) -> bool {
        self.lock().id.is_some()
    }

    /// Forgets a broker that turned out to belong to another cluster.
    pub(super) fn forget(&self, address: &BrokerAddress) {
        self.lock().brokers.remove(address);
    }
}

#[cfg(test)]
mod tests;
