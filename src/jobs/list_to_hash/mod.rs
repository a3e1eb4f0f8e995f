//! The job `list_to_hash`: items of the work list become fields deleted from hashes, and no
//! item is lost.

mod dead_report;
mod deletion;
mod item;
mod marker;
mod source;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{Job, redis_server};
use crate::config::ListToHashConfig as Section;
use crate::error::{ConfigFault, Fault};
use crate::pipeline;
use crate::queue::{BatchSlots, QueueKeys, QueueLease, Taker, Targets};
use crate::redis::{Health, Link};
use crate::report::{CountedUnit, Counters};
use crate::shutdown::Stop;

pub(super) const NAME: &str = "list_to_hash";
/// Batches for each worker: one that it does, and one that is ready.
const BATCHES_PER_WORKER: u32 = 2;

/// The job, with its section of the configuration.
pub(super) struct ListToHash {
    section: Section,
    memory: u64,
    counters: Arc<Counters>,
}

impl ListToHash {
    pub(super) fn new(section: Section, memory: u64) -> Self {
        Self { section, memory, counters: Counters::shared(NAME, CountedUnit::Items) }
    }
}

impl Job for ListToHash {
    fn name(&self) -> &'static str {
        NAME
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Nothing to check: the job uses no file and no lock of this machine.
    fn prepare(&mut self) -> Result<(), Vec<ConfigFault>> {
        Ok(())
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
        let Section { group_name, worker_name, workers, list, list_key, ar, hashes, .. } = &self.section;
        let client = format!("{group_name}:{worker_name}");
        let list = Arc::new(redis_server("redis_list", list, &client));
        let ar = Arc::new(redis_server("redis_ar", ar, &client));
        let (list_health, ar_health) = (Health::new(NAME, &list), Health::new(NAME, &ar));
        let markers = self.section.markers.as_ref().map(|markers| {
            let expire = Arc::new(redis_server("redis_kv_expire", &markers.expire, &client));
            marker::MarkerSettings::new(expire, &ar, markers.prefix.clone())
        });
        let keys = QueueKeys::new(list_key);
        let in_work = u32::try_from(*workers).unwrap_or(u32::MAX / 4) * BATCHES_PER_WORKER;
        let slots = BatchSlots::new(in_work);
        let lease = QueueLease::new(self.section.life);
        let shared = Arc::new(deletion::DeleterContext {
            hashes: hashes.clone(),
            keys: keys.clone(),
            slots: slots.clone(),
            lease: lease.clone(),
            counters: Arc::clone(&self.counters),
            no_hashes: Mutex::new(HashMap::new()),
            dead: dead_report::DeadReport::default(),
        });
        let targets = Targets::of(&ar, hashes);
        let source = source::Batches {
            taker: Taker::start(NAME, &list, &list_health, keys, slots, &lease, targets)?,
            counters: Arc::clone(&self.counters),
            dead: shared.dead.clone(),
        };
        log::info!(
            "{NAME}: running, for each item of {list_key} on {list} the user's field of each hash on {ar} is \
             deleted; hashes: {}",
            hashes.len()
        );
        if let Some(markers) = &markers {
            log::info!("{NAME}: the fields of users who came back are kept: {markers}");
        }
        let build_worker = move || {
            worker::Deleter::new(
                Link::new(Arc::clone(&ar), ar_health.clone()),
                Link::new(Arc::clone(&list), list_health.role("acknowledge")),
                markers.as_ref().map(marker::MarkerSettings::for_worker),
                Arc::clone(&shared),
            )
        };
        let limits = pipeline::PipelineLimits::direct(*workers, self.memory);
        pipeline::run_direct(NAME, &limits, source, build_worker, stop, &self.counters)
    }
}

#[cfg(test)]
mod tests;
