//! What the stages of one run share: its name, the stop, and the first error that ends it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use super::PipelineError;
use crate::error::Fault;
use crate::report::Counters;
use crate::shutdown::Stop;
use crate::threads::Thread;

/// See the module.
pub(super) struct PipelineRun<E> {
    pub(super) name: String,
    pub(super) stop: Stop,
    pub(super) counters: Arc<Counters>,
    /// Whether the disk refuses the sink's writes. Further polling would only fill memory.
    pub(super) refused: AtomicBool,
    failed: AtomicBool,
    error: Mutex<Option<E>>,
}

impl<E: PipelineError> PipelineRun<E> {
    pub(super) fn new(name: &str, stop: &Stop, counters: &Arc<Counters>) -> Self {
        counters.phase.begin_run();
        Self {
            name: name.to_owned(),
            stop: stop.clone(),
            counters: Arc::clone(counters),
            refused: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            error: Mutex::new(None),
        }
    }

    /// Ends the run at once. The run returns its first error, to which later errors were added.
    pub(super) fn fail(&self, error: E) {
        self.end_with(error);
        self.failed.store(true, SeqCst);
    }

    /// The run will end with this error, after everything in flight has been written and settled.
    pub(super) fn end_with(&self, error: E) {
        match &mut *self.error.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(first) => first.add_later(error),
            none => *none = Some(error),
        }
    }

    /// Adds an error to the one that ends the run, if there is one.
    pub(super) fn add_later(&self, error: E) {
        if let Some(first) = &mut *self.error.lock().unwrap_or_else(PoisonError::into_inner) {
            first.add_later(error);
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(SeqCst)
    }

    /// Waits for the stages to end, and returns the error that ended the run.
    pub(super) fn end(&self, stages: Vec<Thread<()>>) -> Result<(), E> {
        for stage in stages {
            if let Err(panic) = stage.join() {
                self.end_with(Fault::Retry(format!("panicked and is rebuilt: {panic}")).into());
            }
        }
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}
