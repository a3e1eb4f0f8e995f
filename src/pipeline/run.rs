//! What the stages of one run share: its name, the stop, and the first fault that ends it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use super::PipelineError;
use crate::error::Fault;
use crate::report::Counters;
use crate::shutdown::Stop;
use crate::threads::Thread;

/// What the stages of one run share.
pub(super) struct PipelineRun<E> {
    pub(super) name: String,
    pub(super) stop: Stop,
    pub(super) counters: Arc<Counters>,
    /// Whether the sink is waiting to land what it has: reading on would only pile it up.
    pub(super) refused: AtomicBool,
    failed: AtomicBool,
    error: Mutex<Option<E>>,
}

impl<E: PipelineError> PipelineRun<E> {
    pub(super) fn new(name: &str, stop: &Stop, counters: &Arc<Counters>) -> Self {
        Self {
            name: name.to_owned(),
            stop: stop.clone(),
            counters: Arc::clone(counters),
            refused: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            error: Mutex::new(None),
        }
    }

    /// Ends the run at once; the first fault is the one that is told.
    pub(super) fn fail(&self, error: E) {
        self.end_with(error);
        self.failed.store(true, SeqCst);
    }

    /// The run will have ended by this fault; what is in hand still lands and settles.
    pub(super) fn end_with(&self, error: E) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// Waits for the stages to end, and gives the fault by which the run has ended.
    pub(super) fn end(&self, stages: Vec<Thread<()>>) -> Result<(), E> {
        for stage in stages {
            if let Err(panic) = stage.join() {
                self.end_with(Fault::Retry(format!("panicked and is rebuilt: {panic}")).into());
            }
        }
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}
