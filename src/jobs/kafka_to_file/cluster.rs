//! Which cluster the job reads, and the names of its claims there.

use crate::config::KafkaToFileConfig as Section;
use crate::jobs::kafka_cluster;
use crate::kafka::{ClaimNamer, Cluster, ClusterIdSource};
use crate::logfile::Ledger;

/// The cluster of the configuration. The journal knows whether this pandad is a silent member, and whose
/// records the file has.
pub(super) fn of(section: &Section, ledger: &Ledger) -> Cluster {
    let silent = ledger.member().is_some_and(|member| member.silent);
    let cluster = kafka_cluster(section, silent);
    expect_cluster(&cluster, &section.kafka.cluster, ledger);
    cluster
}

/// Says which cluster is read: the one of the configuration, or else that of the journal.
fn expect_cluster(cluster: &Cluster, configured: &str, journal: &Ledger) {
    match (configured, journal.cluster_id()) {
        ("", None) => {}
        ("", Some(id)) => cluster.versions_seen.expect_cluster(&id, ClusterIdSource::Journal),
        (id, _) => cluster.versions_seen.expect_cluster(id, ClusterIdSource::Configuration),
    }
}

/// Gives the epoch of the claim for an offset that somebody else has set.
pub(super) fn claim_names(ledger: Ledger) -> ClaimNamer {
    Box::new(move |partition, offset, generation| ledger.claim_name(partition, offset, generation))
}
