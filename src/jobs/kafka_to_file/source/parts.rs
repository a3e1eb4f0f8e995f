//! What the source is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::outages::PartitionOutages;
use super::sweep_pace::SweepPace;
use super::{KafkaSource, NAME};
use crate::config::StartPolicy;
use crate::jobs::kafka_to_file::shared_ledger::SharedLedger;
use crate::jobs::kafka_to_file::watermarks::Watermarks;
use crate::jobs::kafka_to_file::write_gate::WriteGate;
use crate::kafka::{Fetcher, GroupClient};
use crate::report::{Counters, Outage, ServerKind};
use crate::shutdown::Stop;

/// A shorter outage is not logged: errors while a coordinator loads end without help.
const GROUP_OUTAGE_PATIENCE: Duration = Duration::from_secs(2);

/// The parts of the source.
pub(in crate::jobs::kafka_to_file) struct SourceParts {
    pub(in crate::jobs::kafka_to_file) fetcher: Box<dyn Fetcher>,
    pub(in crate::jobs::kafka_to_file) group_client: Box<dyn GroupClient>,
    pub(in crate::jobs::kafka_to_file) ledger: SharedLedger,
    /// Says which cluster is read, if that is known.
    pub(in crate::jobs::kafka_to_file) cluster_id: Box<dyn Fn() -> Option<String> + Send>,
    pub(in crate::jobs::kafka_to_file) start: StartPolicy,
    /// The path of the .inv.
    pub(in crate::jobs::kafka_to_file) inv: String,
    /// The brokers as configured, for whoever looks at the process.
    pub(in crate::jobs::kafka_to_file) brokers: String,
    pub(in crate::jobs::kafka_to_file) counters: Arc<Counters>,
    pub(in crate::jobs::kafka_to_file) gate: WriteGate,
    pub(in crate::jobs::kafka_to_file) watermarks: Watermarks,
    /// How long a member stays in its group while its disk accepts no writes: `kafka['full_disk_s']`.
    pub(in crate::jobs::kafka_to_file) full_disk_patience: Duration,
    /// Says whether a file is open that was not when the run began.
    pub(in crate::jobs::kafka_to_file) is_file_back: Box<dyn Fn() -> bool + Send>,
    pub(in crate::jobs::kafka_to_file) stop: Stop,
}

impl KafkaSource {
    pub(in crate::jobs::kafka_to_file) fn new(from: SourceParts) -> Self {
        let conditions = from.counters.conditions.clone();
        let brief = |what: &str| {
            let outage = Outage::new(format!("{NAME}: {what}")).shown_as(conditions.thing(what));
            outage.log_after(GROUP_OUTAGE_PATIENCE)
        };
        Self {
            fetcher: from.fetcher,
            group_client: from.group_client,
            ledger: from.ledger,
            cluster_id: from.cluster_id,
            start: from.start,
            inv: from.inv,
            counters: from.counters,
            partitions: BTreeMap::new(),
            assignments: 0,
            broker_outage: Outage::new(format!("{NAME}: Kafka"))
                .shown_as(conditions.server(ServerKind::Kafka, from.brokers)),
            look_up_outage: brief("the look-up of leaders"),
            group_outage: brief("the group"),
            outages: PartitionOutages::shown_in(from.watermarks.clone()),
            sweep_pace: SweepPace::default(),
            starts_logged: BTreeSet::new(),
            backlog: None,
            gate: from.gate,
            watermarks: from.watermarks,
            tasks: 0,
            release: None,
            has_left: false,
            refused_since: None,
            full_disk_patience: from.full_disk_patience,
            refusing: BTreeSet::new(),
            is_file_back: from.is_file_back,
            stop: from.stop,
        }
    }
}
