//! The sink of the job: outcomes go to their log files, and the settle thread syncs the files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::failed_syncs::FailedSyncs;
use super::file_appender::{FileAppender, discard};
use super::file_router::FileRouter;
use super::formatter::FormattedBatch;
use super::run_error::{RunError, cannot_sync};
use super::source::Feedback;
use super::write_gate::WriteGate;
use crate::error::Fault;
use crate::logfile::{Checkpoint, Ledger, Settled, Settler};
use crate::pipeline;
use crate::recycle::BufferPool;
use crate::report::{Counters, Stage};
use crate::shutdown::Stop;

/// See the module.
pub(super) struct FileSink {
    pub(super) router: FileRouter,
    pub(super) files: Vec<FileAppender>,
    pub(super) buffers: BufferPool,
    pub(super) counters: Arc<Counters>,
    /// Counts requests to reopen the files.
    pub(super) stop: Stop,
    pub(super) gate: WriteGate,
}

impl pipeline::Sink for FileSink {
    type Outcome = FormattedBatch;
    type Feedback = Feedback;
    type Checkpoint = Vec<(usize, Checkpoint)>;
    type Error = RunError;

    fn take(&mut self, batch: FormattedBatch) {
        let number = self.router.of(&batch.partition.topic);
        match number.and_then(|number| self.files.get_mut(number)) {
            Some(file) if file.refusal().is_none() => file.take(batch),
            // It is fetched again when the file accepts writes.
            _ => discard(batch, &self.gate, &self.buffers, &self.counters),
        }
    }

    fn has_pending(&self) -> bool {
        self.files.iter().any(|file| file.refusal().is_none() && file.has_pending())
    }

    fn write(&mut self, messages: &mut Vec<Feedback>) -> Result<(), RunError> {
        for number in 0..self.files.len() {
            let is_open = self.files.get(number).is_some_and(|file| file.refusal().is_none());
            if is_open {
                let written = self.write_file(number, messages);
                self.contain(number, written, messages)?;
            }
        }
        self.check_refusals()
    }

    fn holds_back(&self) -> bool {
        self.files.iter().any(|file| file.is_held)
    }

    fn tick(&mut self, messages: &mut Vec<Feedback>) -> Result<(), RunError> {
        let asked = self.stop.reopens();
        for number in 0..self.files.len() {
            let Some(file) = self.files.get_mut(number) else { continue };
            let was_refused = file.refusal().is_some();
            if was_refused && !file.is_due(Instant::now()) {
                continue;
            }
            let mut ticked = file.tick(asked).map_err(RunError::from);
            if was_refused && ticked.is_ok() {
                ticked = self.write_file(number, messages);
            }
            let is_taken = ticked.is_ok();
            self.contain(number, ticked, messages)?;
            let file = self.files.get_mut(number).filter(|_| was_refused && is_taken);
            if file.is_some_and(FileAppender::end_refusal) {
                messages.push(Feedback::FileAccepts(number));
            }
        }
        self.check_refusals()
    }

    fn unsettled(&self) -> u64 {
        self.files.iter().map(|file| file.ledger.unsettled()).sum()
    }

    fn needs_checkpoint(&self) -> bool {
        self.files.iter().any(|file| file.ledger.needs_checkpoint())
    }

    fn checkpoint(&mut self) -> Self::Checkpoint {
        self.gate.close();
        let wanting = self.files.iter_mut().enumerate().filter(|(_, file)| file.ledger.needs_checkpoint());
        wanting.map(|(number, file)| (number, file.ledger.checkpoint())).collect()
    }

    fn end(&mut self) {
        self.files.iter_mut().for_each(FileAppender::end);
    }
}

/// The trouble of one file's disk is that file's: the others are written. A job with one file waits.
impl FileSink {
    fn write_file(&mut self, number: usize, messages: &mut Vec<Feedback>) -> Result<(), RunError> {
        let ledgers: Vec<Ledger> = self.files.iter().map(|file| file.ledger.clone()).collect();
        let may_write = || self.gate.open(ledgers.iter());
        let (gate, buffers, counters) = (&self.gate, &self.buffers, &self.counters);
        let Some(file) = self.files.get_mut(number) else { return Ok(()) };
        file.write(gate, &may_write, buffers, counters, messages)
    }

    /// If one of several files refuses, that is remembered of the file, and is no error of the sink.
    fn contain(
        &mut self,
        number: usize,
        done: Result<(), RunError>,
        messages: &mut Vec<Feedback>,
    ) -> Result<(), RunError> {
        let is_only = self.files.len() < 2;
        match (done, self.files.get_mut(number)) {
            (Err(RunError::Fault(Fault::Retry(why))), Some(file)) if !is_only => {
                if file.refuse(why, &self.gate, &self.buffers, &self.counters) {
                    messages.push(Feedback::FileRefuses(number));
                }
                Ok(())
            }
            (done, _) => done,
        }
    }

    /// If every file refuses, the job waits, as a job with one file does.
    fn check_refusals(&self) -> Result<(), RunError> {
        self.gate.record_refused(self.files.iter().map(FileAppender::refused_outcomes).sum());
        if self.files.iter().any(|file| file.refusal().is_none()) {
            return Ok(());
        }
        let why = self.files.iter().find_map(FileAppender::refusal);
        why.map_or(Ok(()), |why| Err(Fault::Retry(why.to_owned()).into()))
    }
}

/// Syncs the files and their journals. `settlers` are in the order of the files.
pub(super) struct FileSyncer {
    pub(super) settlers: Vec<(PathBuf, Settler)>,
    pub(super) counters: Arc<Counters>,
    pub(super) failed_syncs: FailedSyncs,
}

impl pipeline::Settle for FileSyncer {
    type Checkpoint = Vec<(usize, Checkpoint)>;
    type Feedback = Feedback;
    type Error = RunError;

    fn settle(&mut self, checkpoints: Self::Checkpoint) -> Result<Feedback, RunError> {
        let mut commits = Vec::new();
        let mut bytes = false;
        for (number, checkpoint) in checkpoints {
            let Some((path, settler)) = self.settlers.get_mut(number) else { continue };
            bytes |= checkpoint.has_bytes();
            match settler.settle(checkpoint) {
                Ok(settled) => commits.extend(settled.commits),
                Err(error) => {
                    self.failed_syncs.record(path);
                    return Err(cannot_sync(path, &error).into());
                }
            }
        }
        if bytes {
            self.counters.health.up(Stage::Settling, "written again");
        }
        Ok(Feedback::Settled(Settled { commits }))
    }
}
