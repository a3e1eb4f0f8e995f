//! The sink: continuity is checked here, then lines go to the log files. And the
//! settle thread's part.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::file_router::FileRouter;
use super::formatter::FormattedBatch;
use super::run_error::RunError;
use super::source::Feedback;
use super::write_gate::WriteGate;
use crate::error::Fault;
use crate::logfile::{
    AppendError, Checkpoint, Guard, Ledger, Lock, LogWriter, Piece, PositionChange, Settled, Settler,
};
use crate::pipeline;
use crate::record::TopicPartition;
use crate::recycle::BufferPool;
use crate::report::{Counters, Stage};
use crate::shutdown::Stop;

/// Small outcomes are written together up to this many bytes.
const WRITE_BYTES_MAX: usize = 1024 * 1024;

/// See the module.
pub(super) struct FileSink {
    pub(super) router: FileRouter,
    pub(super) files: Vec<FileAppender>,
    pub(super) buffers: BufferPool,
    pub(super) counters: Arc<Counters>,
    /// Somebody may ask for the files to be reopened, so often as this says.
    pub(super) stop: Stop,
    pub(super) gate: WriteGate,
}

/// One of the files, as far as it is appended to.
pub(super) struct FileAppender {
    path: PathBuf,
    writer: LogWriter,
    ledger: Ledger,
    /// Tells whoever asked that the file was reopened.
    lock: Lock,
    /// What stop said when it was last reopened; nothing yet, for it has just been opened.
    reopened: Option<u64>,
    /// In order, and not looked at yet.
    queue: VecDeque<FormattedBatch>,
    /// Being written: kept as it is until the file has all of it.
    batch: Vec<FormattedBatch>,
    changes: Vec<PositionChange>,
    /// Whether the queue waits for leave to land.
    held: bool,
}

impl FileAppender {
    pub(super) fn new(path: PathBuf, writer: LogWriter, ledger: Ledger, lock: Lock) -> Self {
        let (queue, batch, changes) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { path, writer, ledger, lock, reopened: None, queue, batch, changes, held: false }
    }

    /// Nothing is written unless the guard allows it.
    pub(super) fn guarded(mut self, guard: Option<Guard>) -> Self {
        if let Some(guard) = guard {
            self.writer.set_guard(guard);
        }
        self
    }

    fn fault(&self, error: AppendError) -> Fault {
        match error {
            AppendError::Guarded => Fault::RetryLogged,
            AppendError::Retry(why) => Fault::Retry(format!("cannot write {}: {why}", self.path.display())),
            AppendError::Restart(why) => {
                Fault::Restart(format!("cannot sync {}: {why}", self.path.display()))
            }
        }
    }

    /// Takes outcomes that continue what has landed; refuses the others.
    fn fill(
        &mut self,
        gate: &WriteGate,
        buffers: &BufferPool,
        counters: &Counters,
        notes: &mut Vec<Feedback>,
    ) {
        let mut bytes = 0;
        let mut positions: HashMap<TopicPartition, (u32, i64)> = HashMap::new();
        while bytes < WRITE_BYTES_MAX
            && let Some(lined) = self.queue.pop_front()
        {
            let landed =
                positions.get(&lined.partition).copied().or_else(|| self.ledger.written(&lined.partition));
            match landed {
                Some((index, position)) if position == lined.from && continues(&lined) => {
                    if let Some(short) = &lined.short {
                        let (partition, assignment) = (lined.partition.clone(), lined.assignment);
                        let position = lined.next;
                        notes.push(Feedback::Truncated {
                            partition,
                            assignment,
                            position,
                            short: short.clone(),
                        });
                    }
                    if lined.next == lined.from {
                        buffers.give_back(lined.lines);
                        gate.record_done(1);
                        continue;
                    }
                    bytes += lined.lines.len();
                    positions.insert(lined.partition.clone(), (index, lined.next));
                    self.changes.push(PositionChange { index, position: lined.next, last: lined.last });
                    self.batch.push(lined);
                }
                other => {
                    counters.refetched.fetch_add(lined.records, Relaxed);
                    let FormattedBatch { partition, assignment, lines, .. } = lined;
                    buffers.give_back(lines);
                    gate.record_done(1);
                    if let Some((_, position)) = other {
                        notes.push(Feedback::Refused { partition, assignment, position });
                    }
                }
            }
        }
    }

    /// Lands what may, batch by batch. `may_write` is asked before each.
    fn write(
        &mut self,
        gate: &WriteGate,
        may_write: &dyn Fn() -> bool,
        buffers: &BufferPool,
        counters: &Counters,
        notes: &mut Vec<Feedback>,
    ) -> Result<(), RunError> {
        self.look_again()?;
        loop {
            self.held = false;
            if self.batch.is_empty() {
                if !may_write() {
                    self.drop_lost(gate, buffers, counters);
                    self.held = !self.queue.is_empty();
                    return Ok(());
                }
                self.fill(gate, buffers, counters, notes);
            }
            if self.batch.is_empty() {
                return Ok(());
            }
            let pieces: Vec<Piece<'_>> =
                self.batch.iter().map(|lined| Piece { bytes: &lined.lines, crc: &lined.crc }).collect();
            match self.writer.append(&pieces, &self.changes) {
                Ok(()) => {}
                Err(AppendError::Guarded) => {
                    self.held = true;
                    return Ok(());
                }
                Err(error) => return Err(self.fault(error).into()),
            }
            self.changes.clear();
            gate.record_done(self.batch.len() as u64);
            for lined in self.batch.drain(..) {
                counters.done.fetch_add(lined.records, Relaxed);
                counters.bytes.fetch_add(lined.lines.len() as u64, Relaxed);
                buffers.give_back(lined.lines);
            }
        }
    }

    /// What was about to be written may be somebody else's by now.
    fn look_again(&mut self) -> Result<(), RunError> {
        let is_lost = |lined: &FormattedBatch| self.ledger.written(&lined.partition).is_none();
        if !self.writer.is_pending() {
            self.changes.clear();
            for lined in self.batch.drain(..).rev() {
                self.queue.push_front(lined);
            }
        } else if self.batch.iter().any(is_lost) {
            // Half of it may be in the file, and must not stay there.
            let path = self.path.display();
            let why = format!("{path}: a write that was not finished is another pandad's by now");
            return Err(RunError::LostInWrite(why));
        }
        Ok(())
    }

    /// Drops what is not ours any more, though nothing may land.
    fn drop_lost(&mut self, gate: &WriteGate, buffers: &BufferPool, counters: &Counters) {
        for lined in std::mem::take(&mut self.queue) {
            if self.ledger.written(&lined.partition).is_some() {
                self.queue.push_back(lined);
            } else {
                counters.refetched.fetch_add(lined.records, Relaxed);
                buffers.give_back(lined.lines);
                gate.record_done(1);
            }
        }
    }

    fn tick(&mut self, asked: u64) -> Result<(), Fault> {
        self.writer.tick().map_err(|error| self.fault(error))?;
        if self.reopened != Some(asked) && self.writer.reopen().map_err(|error| self.fault(error))? {
            self.reopened = Some(asked);
            self.lock.record_reopened();
        }
        Ok(())
    }
}

/// Whether an outcome moves on, or says why it does not.
fn continues(lined: &FormattedBatch) -> bool {
    lined.next > lined.from || lined.next == lined.from && lined.short.is_some()
}

impl pipeline::Sink for FileSink {
    type Outcome = FormattedBatch;
    type Feedback = Feedback;
    type Checkpoint = Vec<(usize, Checkpoint)>;
    type Error = RunError;

    fn write(
        &mut self,
        ready: &mut VecDeque<FormattedBatch>,
        notes: &mut Vec<Feedback>,
    ) -> Result<(), RunError> {
        for lined in ready.drain(..) {
            match self.files.get_mut(self.router.of(&lined.partition.topic)) {
                Some(file) => file.queue.push_back(lined),
                None => self.gate.record_done(1),
            }
        }
        let others: Vec<Ledger> = self.files.iter().map(|file| file.ledger.clone()).collect();
        let may_write = || self.gate.open(others.iter());
        let (gate, buffers, counters) = (&self.gate, &self.buffers, &self.counters);
        self.files.iter_mut().try_for_each(|file| file.write(gate, &may_write, buffers, counters, notes))
    }

    fn holds_back(&self) -> bool {
        self.files.iter().any(|file| file.held)
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

/// The settle thread's part: the settlers, in the order of the files.
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
                    return Err(Fault::Restart(format!("cannot sync {}: {error}", path.display())).into());
                }
            }
        }
        if bytes {
            self.counters.health.up(Stage::Settling, "written again");
        }
        Ok(Feedback::Settled(Settled { commits }))
    }
}
