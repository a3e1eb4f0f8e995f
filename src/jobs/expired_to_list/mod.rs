//! The job `expired_to_list`: keys that expire become items on the work list.

mod source;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Job, server};
use crate::config::ExpiredToList as Section;
use crate::error::{ConfigFault, Fault};
use crate::expiry::{Filter, Inbox, Listener};
use crate::pipeline;
use crate::queue;
use crate::redis::{Health, Link};
use crate::report::{Counters, Shown};
use crate::shutdown::Stop;

pub(super) const NAME: &str = "expired_to_list";

/// See the module.
pub(super) struct ExpiredToList {
    section: Section,
    memory: u64,
    counters: Arc<Counters>,
}

impl ExpiredToList {
    pub(super) fn new(section: Section, memory: u64) -> Self {
        Self { section, memory, counters: Counters::shared(NAME, Shown::Keys) }
    }
}

impl Job for ExpiredToList {
    fn name(&self) -> &'static str {
        NAME
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Nothing that it needs is local.
    fn prepare(&mut self) -> Result<(), Vec<ConfigFault>> {
        Ok(())
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Fault> {
        let Section { group_name, worker_name, workers, prefix, expire, list, list_key, .. } = &self.section;
        let client = format!("{group_name}:{worker_name}");
        let expire = Arc::new(server("redis_kv_expire", expire, &client));
        let list = Arc::new(server("redis_list", list, &client));
        let (expire_health, list_health) = (Health::new(NAME, &expire), Health::new(NAME, &list));
        let inbox = Inbox::new(NAME, self.memory);
        let filter = Filter { prefix: prefix.clone().into_bytes(), never: queue::OWN.to_vec() };
        log::info!("{NAME}: running, keys that expire on {expire} go to {list_key} on {list}");
        let source = source::Heard {
            _listener: Listener::start(NAME, expire, expire_health, filter, inbox.clone())?,
            inbox,
            before: self.counters.done.load(Relaxed) + self.counters.lost.load(Relaxed),
            counters: Arc::clone(&self.counters),
        };
        let (list_key, counters) = (list_key.clone(), Arc::clone(&self.counters));
        let build_worker = move || worker::Pusher {
            list: Link::new(Arc::clone(&list), list_health.clone()),
            key: list_key.clone(),
            counters: Arc::clone(&counters),
        };
        let limits = pipeline::Limits::direct(*workers, self.memory);
        pipeline::run_direct(NAME, &limits, source, build_worker, stop, &self.counters)
    }
}
