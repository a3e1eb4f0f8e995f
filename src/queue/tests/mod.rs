//! Instances that share a work list, on a server in the process.

mod dead_list;
mod taking;

use std::time::{Duration, Instant};

use super::*;
use crate::host::Process;
use crate::redis::fake_server::FakeRedis;

const TTL: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(20);
const LIST: &str = "work";

/// One instance.
struct Instance {
    taker: Taker,
    slots: BatchSlots,
    lease: QueueLease,
}

fn keys() -> QueueKeys {
    QueueKeys::new(LIST)
}

impl Instance {
    fn of(redis: &FakeRedis) -> Self {
        Self::with_targets(redis, Targets::default())
    }

    fn with_targets(redis: &FakeRedis, targets: Targets) -> Self {
        let (slots, lease) = (BatchSlots::new(4), QueueLease::new(TTL));
        let taker =
            Taker::start("test", &redis.server(), &redis.health(), keys(), slots.clone(), &lease, targets);
        let instance = Self { taker: taker.unwrap(), slots, lease };
        wait_until("the first heartbeat", || instance.lease.term().is_some());
        instance
    }

    /// The next batch.
    #[track_caller]
    fn takes(&mut self) -> WorkBatch {
        let until = Instant::now() + LONG;
        loop {
            assert!(Instant::now() < until, "no batch came");
            if let Some(batch) = self.taker.take(Instant::now() + Duration::from_millis(50)) {
                return batch;
            }
        }
    }

    /// Ends the batch as a worker does, whose items are done.
    fn does(&self, redis: &FakeRedis, batch: WorkBatch) {
        assert!(batch.is_held(&self.lease));
        batch.record_delete_sent();
        redis.remove(&batch.key);
        batch.end(&self.slots);
    }
}

fn items(batch: &WorkBatch) -> Vec<String> {
    batch.items.iter().map(|item| String::from_utf8(item.to_vec()).unwrap()).collect()
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The heartbeat of a process of this machine that has ended.
fn of_ended_process() -> String {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let id = child.id();
    child.wait().unwrap();
    let this = Process::this().to_string();
    let (machine, _) = this.rsplit_once(' ').unwrap();
    format!("{machine} {id}")
}
