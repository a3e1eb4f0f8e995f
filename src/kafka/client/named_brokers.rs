//! Remembers the brokers that a cluster has named, so that these can be asked, too, when those of the
//! configuration are gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::BrokerAddress;
use crate::kafka::protocol::messages::ClusterMetadata;

/// A broker that was not named for so long is forgotten.
const NAMED_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How many brokers are remembered: those that were named last.
const NAMED_MAX: usize = 1000;

/// The brokers that one cluster has named. All clients of the cluster share them.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedBrokers(Arc<Mutex<NamedCluster>>);

#[derive(Debug, Default)]
struct NamedCluster {
    /// `None` if no broker has told it: before Kafka 0.10.1 they do not know it.
    id: Option<String>,
    /// When each broker was named last.
    brokers: BTreeMap<BrokerAddress, Instant>,
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

    /// Takes what a broker says of the cluster. If a broker of the configuration names another cluster, that
    /// one counts from now on: the configuration says which cluster is read.
    ///
    /// # Errors
    /// The broker is none of the configuration, and names another cluster.
    pub(super) fn record(
        &self,
        metadata: &ClusterMetadata,
        is_configured: bool,
        now: Instant,
    ) -> Result<(), OtherCluster> {
        let mut known = self.lock();
        match (&known.id, &metadata.cluster_id) {
            (Some(own), Some(other)) if own != other => {
                if !is_configured {
                    return Err(OtherCluster { own: own.clone(), other: other.clone() });
                }
                known.brokers.clear();
                known.id = Some(other.clone());
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

    /// The brokers that were named lately.
    pub(super) fn all(&self, now: Instant) -> Vec<BrokerAddress> {
        let known = self.lock();
        let lately = |named: &Instant| now.saturating_duration_since(*named) < NAMED_AGE_MAX;
        known.brokers.iter().filter(|(_, named)| lately(named)).map(|(address, _)| address.clone()).collect()
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
mod tests {
    use super::*;
    use crate::kafka::protocol::messages::metadata::BrokerMetadata;

    fn metadata(id: Option<&str>, ports: std::ops::Range<i32>) -> ClusterMetadata {
        let brokers = ports.map(|port| BrokerMetadata { node: port, host: "h".to_owned(), port });
        let cluster_id = id.map(str::to_owned);
        ClusterMetadata { cluster_id, brokers: brokers.collect(), topics: Vec::new() }
    }

    fn at(port: i32) -> BrokerAddress {
        BrokerAddress::new("h", port).unwrap()
    }

    #[test]
    fn a_broker_that_is_named_no_longer_is_forgotten_after_a_day() {
        let (named, now) = (NamedBrokers::default(), Instant::now());
        named.record(&metadata(Some("c"), 1..3), true, now).unwrap();
        let later = now + NAMED_AGE_MAX - Duration::from_secs(1);
        named.record(&metadata(Some("c"), 2..4), false, later).unwrap();
        assert_eq!(named.all(later), [at(1), at(2), at(3)]);
        assert_eq!(named.all(now + NAMED_AGE_MAX), [at(2), at(3)]);
    }

    #[test]
    fn those_named_last_are_kept() {
        let (named, now) = (NamedBrokers::default(), Instant::now());
        named.record(&metadata(None, 1..10), true, now).unwrap();
        let all = metadata(None, 10..10 + i32::try_from(NAMED_MAX).unwrap());
        named.record(&all, true, now + Duration::from_secs(1)).unwrap();
        let kept = named.all(now);
        assert_eq!((kept.len(), kept.contains(&at(9)), kept.contains(&at(10))), (NAMED_MAX, false, true));
    }

    /// The address of a broker that is gone may belong to a broker of another cluster by now.
    #[test]
    fn a_broker_of_another_cluster_is_told_from_a_configuration_that_names_another() {
        let (named, now) = (NamedBrokers::default(), Instant::now());
        named.record(&metadata(Some("c"), 1..3), true, now).unwrap();
        let (own, other) = ("c".to_owned(), "d".to_owned());
        assert_eq!(named.record(&metadata(Some("d"), 5..6), false, now), Err(OtherCluster { own, other }));
        assert_eq!(named.all(now), [at(1), at(2)]);
        named.record(&metadata(None, 3..4), false, now).unwrap();
        named.record(&metadata(Some("d"), 5..6), true, now).unwrap();
        assert_eq!(named.all(now), [at(5)]);
    }
}
