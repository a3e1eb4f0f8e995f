//! The source: batches taken from the work list.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::NAME;
use super::dead_report::DeadReport;
use crate::error::Fault;
use crate::pipeline::{self, PolledTask};
use crate::plural::counted;
use crate::queue::{Taker, WorkBatch};
use crate::report::Counters;

/// The source of the job.
pub(super) struct Batches {
    pub(super) taker: Taker,
    pub(super) counters: Arc<Counters>,
    pub(super) dead: DeadReport,
}

impl pipeline::Source for Batches {
    /// The worker that has done the batch takes it out, together with its slot.
    type Task = Mutex<Option<WorkBatch>>;
    type Feedback = Infallible;
    type Error = Fault;

    fn poll(&mut self, until: Instant, items: &mut Vec<PolledTask<Self::Task>>) -> Result<(), Fault> {
        if let Some(batch) = self.taker.take(until) {
            items.push(PolledTask { lane: 0, bytes: batch.bytes(), task: Mutex::new(Some(batch)) });
        }
        self.counters.lag.store(self.taker.waiting(), Relaxed);
        self.dead.log_if_due(Instant::now());
        let taken_over = self.taker.taken_over();
        if taken_over > 0 {
            self.counters.taken_over.fetch_add(taken_over, Relaxed);
            log::info!("{NAME}: took over {} whose pandad is gone", counted(taken_over, "item"));
        }
        Ok(())
    }

    fn feedback(&mut self, feedback: Infallible) {
        match feedback {}
    }

    fn finish(&mut self, _until: Instant) {
        self.dead.log_rest();
        let handed_back = self.taker.end();
        if handed_back > 0 {
            log::info!("{NAME}: put {} back on the work list", counted(handed_back, "unfinished item"));
        }
    }
}
