//! The sink of the job: outcomes go to their log files, and the settle thread syncs the files.

use std::path::PathBuf;
use std::sync::Arc;

use super::file_appender::FileAppender;
use super::file_router::FileRouter;
use super::formatter::FormattedBatch;
use super::run_error::{RunError, cannot_sync};
use super::source::Feedback;
use super::write_gate::WriteGate;
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
        match self.files.get_mut(self.router.of(&batch.partition.topic)) {
            Some(file) => file.take(batch),
            None => self.gate.record_done(1),
        }
    }

    fn has_pending(&self) -> bool {
        self.files.iter().any(FileAppender::has_pending)
    }

    fn write(&mut self, messages: &mut Vec<Feedback>) -> Result<(), RunError> {
        let others: Vec<Ledger> = self.files.iter().map(|file| file.ledger.clone()).collect();
        let may_write = || self.gate.open(others.iter());
        let (gate, buffers, counters) = (&self.gate, &self.buffers, &self.counters);
        self.files.iter_mut().try_for_each(|file| file.write(gate, &may_write, buffers, counters, messages))
    }

    fn holds_back(&self) -> bool {
        self.files.iter().any(|file| file.is_held)
    }

    fn tick(&mut self) -> Result<(), RunError> {
        let asked = self.stop.reopens();
        self.files.iter_mut().try_for_each(|file| file.tick(asked).map_err(RunError::from))
    }

    fn unsettled(&self) -> u64 {
        self.files.iter().map(|file| file.writer.unsettled()).sum()
    }

    fn needs_checkpoint(&self) -> bool {
        self.files.iter().any(|file| file.writer.needs_checkpoint())
    }

    fn checkpoint(&mut self) -> Self::Checkpoint {
        self.gate.close();
        let wanting = self.files.iter_mut().enumerate().filter(|(_, file)| file.writer.needs_checkpoint());
        wanting.map(|(number, file)| (number, file.writer.checkpoint())).collect()
    }
}

/// Syncs the files and their journals. `settlers` are in the order of the files.
pub(super) struct FileSyncer {
    pub(super) settlers: Vec<(PathBuf, Settler)>,
    pub(super) counters: Arc<Counters>,
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
