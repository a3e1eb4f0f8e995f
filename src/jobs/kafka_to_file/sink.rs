//! The sink: continuity is checked here, then lines go to the log file. And the
//! settle thread's part.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Buffers;
use super::source::Note;
use super::worker::Lined;
use crate::error::Fault;
use crate::logfile::{AppendError, Change, Checkpoint, Ledger, Lock, Piece, Settler, Writer};
use crate::pipeline;
use crate::record::TopicPartition;
use crate::report::Counters;
use crate::shutdown::Stop;

/// Small outcomes are written together up to this many bytes.
const BATCH: usize = 1024 * 1024;

/// See the module.
pub(super) struct Land {
    writer: Writer,
    ledger: Ledger,
    path: PathBuf,
    buffers: Buffers,
    counters: Arc<Counters>,
    /// Being written: kept as it is until the file has all of it.
    batch: Vec<Lined>,
    changes: Vec<Change>,
    reopening: Reopening,
}

/// Somebody asked for the file to be reopened, and wants to know when that is done.
pub(super) struct Reopening {
    pub(super) stop: Stop,
    pub(super) lock: Lock,
    pub(super) done: u64,
}

impl Land {
    pub(super) fn new(
        writer: Writer,
        ledger: Ledger,
        path: PathBuf,
        buffers: Buffers,
        counters: Arc<Counters>,
        reopening: Reopening,
    ) -> Self {
        Self { writer, ledger, path, buffers, counters, batch: Vec::new(), changes: Vec::new(), reopening }
    }

    fn fault(&self, error: AppendError) -> Fault {
        match error {
            AppendError::Wait(why) => Fault::Wait(format!("cannot write {}: {why}", self.path.display())),
            AppendError::Rebuild(why) => {
                Fault::Rebuild(format!("cannot sync {}: {why}", self.path.display()))
            }
        }
    }

    /// Takes outcomes that continue what has landed; refuses the others.
    fn fill(&mut self, ready: &mut VecDeque<Lined>, notes: &mut Vec<Note>) {
        let mut bytes = 0;
        let mut positions: HashMap<TopicPartition, (u32, i64)> = HashMap::new();
        while bytes < BATCH
            && let Some(lined) = ready.pop_front()
        {
            let landed =
                positions.get(&lined.partition).copied().or_else(|| self.ledger.landed(&lined.partition));
            match landed {
                Some((index, position)) if position == lined.from && lined.next > lined.from => {
                    bytes += lined.lines.len();
                    positions.insert(lined.partition.clone(), (index, lined.next));
                    self.changes.push(Change { index, position: lined.next, last: lined.last });
                    self.batch.push(lined);
                }
                other => {
                    self.counters.dropped.fetch_add(lined.records, Relaxed);
                    let Lined { partition, want, lines, .. } = lined;
                    self.buffers.give_back(lines);
                    if let Some((_, position)) = other {
                        notes.push(Note::Refused { partition, want, position });
                    }
                }
            }
        }
    }
}

impl pipeline::Sink for Land {
    type Outcome = Lined;
    type Note = Note;
    type Checkpoint = Checkpoint;

    fn land(&mut self, ready: &mut VecDeque<Lined>, notes: &mut Vec<Note>) -> Result<(), Fault> {
        loop {
            if self.batch.is_empty() {
                self.fill(ready, notes);
            }
            if self.batch.is_empty() {
                return Ok(());
            }
            let pieces: Vec<Piece<'_>> =
                self.batch.iter().map(|lined| Piece { bytes: &lined.lines, crc: &lined.crc }).collect();
            if let Err(error) = self.writer.append(&pieces, &self.changes) {
                return Err(self.fault(error));
            }
            self.changes.clear();
            for lined in self.batch.drain(..) {
                self.counters.done.fetch_add(lined.records, Relaxed);
                self.counters.bytes.fetch_add(lined.lines.len() as u64, Relaxed);
                self.buffers.give_back(lined.lines);
            }
        }
    }

    fn tick(&mut self) -> Result<(), Fault> {
        self.writer.tick().map_err(|error| self.fault(error))?;
        let asked = self.reopening.stop.reopens();
        if asked != self.reopening.done && self.writer.reopen().map_err(|error| self.fault(error))? {
            self.reopening.done = asked;
            self.reopening.lock.note_reopened();
        }
        Ok(())
    }

    fn unsettled(&self) -> u64 {
        self.writer.unsettled()
    }

    fn wants_checkpoint(&self) -> bool {
        self.writer.wants_checkpoint()
    }

    fn checkpoint(&mut self) -> Checkpoint {
        self.writer.checkpoint()
    }
}

/// The settle thread's part.
pub(super) struct Sync {
    settler: Settler,
    path: PathBuf,
}

impl Sync {
    pub(super) fn new(settler: Settler, path: PathBuf) -> Self {
        Self { settler, path }
    }
}

impl pipeline::Settle for Sync {
    type Checkpoint = Checkpoint;
    type Note = Note;

    fn settle(&mut self, checkpoint: Checkpoint) -> Result<Note, Fault> {
        match self.settler.settle(checkpoint) {
            Ok(settled) => Ok(Note::Settled(settled)),
            Err(error) => Err(Fault::Wait(format!("cannot sync {}: {error}", self.path.display()))),
        }
    }
}
