//! The sink of the job: outcomes go to their log files, and the settle thread syncs the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::file_appender::{FileAppender, discard};
use super::file_router::FileRouter;
use super::formatter::FormattedBatch;
use super::reopen_requests::ReopenRequests;
use super::run_error::{RunError, cannot_sync};
use super::source::Feedback;
use super::write_gate::WriteGate;
use crate::error::Fault;
use crate::logfile::{Checkpoint, FileNumber, Ledger, Settled, Settler};
use crate::pipeline;
use crate::recycle::BufferPool;
use crate::report::{Counters, Stage};
use crate::shutdown::Stop;

/// See the module.
pub(super) struct FileSink {
    pub(super) router: FileRouter,
    pub(super) files: Vec<FileAppender>,
    pub(super) ledger: Ledger,
    pub(super) requests: ReopenRequests,
    pub(super) buffers: BufferPool,
    pub(super) counters: Arc<Counters>,
    /// Counts requests to reopen the files.
    pub(super) stop: Stop,
    pub(super) gate: WriteGate,
}

impl pipeline::Sink for FileSink {
    type Outcome = FormattedBatch;
    type Feedback = Feedback;
    type Checkpoint = Checkpoint;
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
        let signals = self.stop.reopens();
        if self.requests.look(signals) {
            self.files.iter_mut().for_each(|file| file.is_asked = true);
        }
        for number in 0..self.files.len() {
            let Some(file) = self.files.get_mut(number) else { continue };
            let was_refused = file.refusal().is_some();
            if was_refused && !file.is_due(Instant::now()) {
                continue;
            }
            let mut ticked = file.tick(signals).map_err(RunError::from);
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
        if self.files.iter().all(|file| file.is_reopened(signals)) {
            self.requests.answer();
        }
        self.check_refusals()
    }

    fn unsettled(&self) -> u64 {
        self.ledger.unsettled()
    }

    fn needs_checkpoint(&self) -> bool {
        self.ledger.needs_checkpoint()
    }

    fn checkpoint(&mut self) -> Self::Checkpoint {
        self.gate.close();
        self.ledger.checkpoint()
    }

    fn end(&mut self) {
        self.files.iter_mut().for_each(FileAppender::end);
    }
}

/// The trouble of one file's disk is that file's: the others are written. A job with one file waits.
impl FileSink {
    fn write_file(&mut self, number: usize, messages: &mut Vec<Feedback>) -> Result<(), RunError> {
        let may_write = || self.gate.open(&self.ledger);
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

/// Syncs the files and their journal.
pub(super) struct FileSyncer {
    pub(super) settler: Settler,
    /// The files by their numbers in the journal.
    pub(super) paths: Vec<(FileNumber, PathBuf)>,
    pub(super) counters: Arc<Counters>,
}

impl FileSyncer {
    /// The files of which a sync has failed.
    fn failed_paths(&self) -> impl Iterator<Item = &Path> {
        let failed = self.settler.failed_files();
        let is_failed = move |(number, _): &&(FileNumber, PathBuf)| failed.contains(number);
        self.paths.iter().filter(is_failed).map(|(_, path)| path.as_path())
    }
}

impl pipeline::Settle for FileSyncer {
    type Checkpoint = Checkpoint;
    type Feedback = Feedback;
    type Error = RunError;

    fn settle(&mut self, checkpoint: Checkpoint) -> Result<Feedback, RunError> {
        let has_bytes = checkpoint.has_bytes();
        match self.settler.settle(checkpoint) {
            Ok(Settled { commits }) => {
                if has_bytes {
                    self.counters.health.up(Stage::Settling, "written again");
                }
                Ok(Feedback::Settled(Settled { commits }))
            }
            Err(error) => {
                let journal = self.settler.journal_path();
                Err(cannot_sync(self.failed_paths().next().unwrap_or(&journal), &error).into())
            }
        }
    }
}
