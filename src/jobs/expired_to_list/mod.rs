//! The job `expired_to_list`: keys that expire become items on the work list. The job consists of the
//! watch of the server where keys expire, and a pipeline without a sink.

mod source;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Job, redis_server};
use crate::config::{self, ExpiredToListConfig as Section};
use crate::error::{ConfigFault, Fault};
use crate::expiry::{ExpiryWatch, Inbox, KeyFilter, Reconciliation, WatchConfig, WatchedServer};
use crate::pipeline;
use crate::queue;
use crate::report::{CountedUnit, Counters};
use crate::shutdown::Stop;
use crate::status::JobRoute;

pub(super) const NAME: &str = "expired_to_list";

/// See the module.
pub(super) struct ExpiredToListJob {
    section: Section,
    memory: u64,
    counters: Arc<Counters>,
}

impl ExpiredToListJob {
    pub(super) fn new(section: Section, memory: u64) -> Self {
        Self { section, memory, counters: Counters::shared(NAME, CountedUnit::Keys) }
    }
}

impl Job for ExpiredToListJob {
    fn name(&self) -> &'static str {
        NAME
    }

    fn route(&self) -> JobRoute {
        let Section { expire, list, list_key, prefix, .. } = &self.section;
        let (expire, list) =
            (redis_server("redis_kv_expire", expire, ""), redis_server("redis_list", list, ""));
        let keys = match prefix.as_str() {
            "" => "every key that expires".to_owned(),
            prefix => format!("keys {prefix}* that expire"),
        };
        JobRoute {
            from: format!("{keys} on {expire}"),
            to: format!("the work list {list_key} on {list}"),
            group: String::new(),
        }
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Nothing to check: the job uses no file and no lock of this machine.
    fn prepare(&mut self) -> Result<(), Vec<ConfigFault>> {
        Ok(())
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
        let Section { group_name, worker_name, workers, prefix, expire, list, list_key, .. } = &self.section;
        let client = format!("{group_name}:{worker_name}");
        let watched = |name, redis| {
            WatchedServer::new(NAME, redis_server(name, redis, &client), &self.counters.conditions)
        };
        let (expire, list) = (watched("redis_kv_expire", expire), watched("redis_list", list));
        let inbox = Inbox::new(NAME, self.memory);
        log::info!(
            "{NAME}: running, keys that expire on {} go to {list_key} on {}",
            expire.server,
            list.server
        );
        let config = WatchConfig {
            job: NAME,
            expire,
            list,
            list_key: list_key.clone(),
            filter: KeyFilter { prefix: prefix.clone().into_bytes(), never: queue::OWN_KEY_PREFIX.to_vec() },
            reconciliation: match self.section.reconcile {
                config::ReconcileMode::No => Reconciliation::Off,
                config::ReconcileMode::DryRun => Reconciliation::DryRun,
                config::ReconcileMode::Yes => Reconciliation::On,
            },
            rate: self.section.rate,
            memory: self.section.memory,
        };
        let (watch, push) = ExpiryWatch::start(config, inbox.clone(), &self.counters)?;
        let [done, lost, overflowed] = [&self.counters.done, &self.counters.lost, &self.counters.overflowed]
            .map(|counter| counter.load(Relaxed));
        let source = source::ExpiredKeySource {
            watch,
            inbox,
            accounted_before: done + lost + overflowed,
            reconciles: self.section.reconcile == config::ReconcileMode::Yes,
            counters: Arc::clone(&self.counters),
        };
        let counters = Arc::clone(&self.counters);
        let build_worker = move || worker::PushWorker { push: push.clone(), counters: Arc::clone(&counters) };
        let limits = pipeline::PipelineLimits::direct(*workers, self.memory);
        pipeline::run_direct(NAME, &limits, source, build_worker, stop, &self.counters)
    }
}
