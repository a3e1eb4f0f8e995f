//! The sink: continuity is checked here, then lines go to the log files. And the
//! settle thread's part.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Buffers;
use super::files::Which;
use super::source::Note;
use super::worker::Lined;
use crate::error::Fault;
use crate::logfile::{AppendError, Change, Checkpoint, Ledger, Lock, Piece, Settled, Settler, Writer};
use crate::pipeline;
use crate::record::TopicPartition;
use crate::report::{Counters, Stage};
use crate::shutdown::Stop;

/// Small outcomes are written together up to this many bytes.
const BATCH: usize = 1024 * 1024;

/// See the module.
pub(super) struct Land {
    pub(super) which: Which,
    pub(super) files: Vec<File>,
    pub(super) buffers: Buffers,
    pub(super) counters: Arc<Counters>,
    /// Somebody may ask for the files to be reopened, so often as this says.
    pub(super) stop: Stop,
}

/// One of the files, as far as it is appended to.
pub(super) struct File {
    path: PathBuf,
    writer: Writer,
    ledger: Ledger,
    /// Tells whoever asked that the file was reopened.
    lock: Lock,
    /// What stop said when it was last reopened; nothing yet, for it has just been opened.
    reopened: Option<u64>,
    /// In order, and not looked at yet.
    queue: VecDeque<Lined>,
    /// Being written: kept as it is until the file has all of it.
    batch: Vec<Lined>,
    changes: Vec<Change>,
}

impl File {
    pub(super) fn new(path: PathBuf, writer: Writer, ledger: Ledger, lock: Lock) -> Self {
        let (queue, batch, changes) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { path, writer, ledger, lock, reopened: None, queue, batch, changes }
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
    fn fill(&mut self, buffers: &Buffers, counters: &Counters, notes: &mut Vec<Note>) {
        let mut bytes = 0;
        let mut positions: HashMap<TopicPartition, (u32, i64)> = HashMap::new();
        while bytes < BATCH
            && let Some(lined) = self.queue.pop_front()
        {
            let landed =
                positions.get(&lined.partition).copied().or_else(|| self.ledger.landed(&lined.partition));
            match landed {
                Some((index, position)) if position == lined.from && continues(&lined) => {
                    if let Some(short) = &lined.short {
                        let (partition, want) = (lined.partition.clone(), lined.want);
                        let position = lined.next;
                        notes.push(Note::Short { partition, want, position, short: short.clone() });
                    }
                    if lined.next == lined.from {
                        buffers.give_back(lined.lines);
                        continue;
                    }
                    bytes += lined.lines.len();
                    positions.insert(lined.partition.clone(), (index, lined.next));
                    self.changes.push(Change { index, position: lined.next, last: lined.last });
                    self.batch.push(lined);
                }
                other => {
                    counters.dropped.fetch_add(lined.records, Relaxed);
                    let Lined { partition, want, lines, .. } = lined;
                    buffers.give_back(lines);
                    if let Some((_, position)) = other {
                        notes.push(Note::Refused { partition, want, position });
                    }
                }
            }
        }
    }

    fn land(&mut self, buffers: &Buffers, counters: &Counters, notes: &mut Vec<Note>) -> Result<(), Fault> {
        loop {
            if self.batch.is_empty() {
                self.fill(buffers, counters, notes);
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
                counters.done.fetch_add(lined.records, Relaxed);
                counters.bytes.fetch_add(lined.lines.len() as u64, Relaxed);
                buffers.give_back(lined.lines);
            }
        }
    }

    fn tick(&mut self, asked: u64) -> Result<(), Fault> {
        self.writer.tick().map_err(|error| self.fault(error))?;
        if self.reopened != Some(asked) && self.writer.reopen().map_err(|error| self.fault(error))? {
            self.reopened = Some(asked);
            self.lock.note_reopened();
        }
        Ok(())
    }
}

/// Whether an outcome moves on, or says why it does not.
fn continues(lined: &Lined) -> bool {
    lined.next > lined.from || lined.next == lined.from && lined.short.is_some()
}

impl pipeline::Sink for Land {
    type Outcome = Lined;
    type Note = Note;
    type Checkpoint = Vec<(usize, Checkpoint)>;

    fn land(&mut self, ready: &mut VecDeque<Lined>, notes: &mut Vec<Note>) -> Result<(), Fault> {
        for lined in ready.drain(..) {
            if let Some(file) = self.files.get_mut(self.which.of(&lined.partition.topic)) {
                file.queue.push_back(lined);
            }
        }
        self.files.iter_mut().try_for_each(|file| file.land(&self.buffers, &self.counters, notes))
    }

    fn tick(&mut self) -> Result<(), Fault> {
        let asked = self.stop.reopens();
        self.files.iter_mut().try_for_each(|file| file.tick(asked))
    }

    fn unsettled(&self) -> u64 {
        self.files.iter().map(|file| file.writer.unsettled()).sum()
    }

    fn wants_checkpoint(&self) -> bool {
        self.files.iter().any(|file| file.writer.wants_checkpoint())
    }

    fn checkpoint(&mut self) -> Self::Checkpoint {
        let wanting = self.files.iter_mut().enumerate().filter(|(_, file)| file.writer.wants_checkpoint());
        wanting.map(|(number, file)| (number, file.writer.checkpoint())).collect()
    }
}

/// The settle thread's part: the settlers, in the order of the files.
pub(super) struct Sync {
    pub(super) settlers: Vec<(PathBuf, Settler)>,
    pub(super) counters: Arc<Counters>,
}

impl pipeline::Settle for Sync {
    type Checkpoint = Vec<(usize, Checkpoint)>;
    type Note = Note;

    fn settle(&mut self, checkpoints: Self::Checkpoint) -> Result<Note, Fault> {
        let mut commits = Vec::new();
        let mut bytes = false;
        for (number, checkpoint) in checkpoints {
            let Some((path, settler)) = self.settlers.get_mut(number) else { continue };
            bytes |= checkpoint.has_bytes();
            match settler.settle(checkpoint) {
                Ok(settled) => commits.extend(settled.commits),
                Err(error) => return Err(Fault::Rebuild(format!("cannot sync {}: {error}", path.display()))),
            }
        }
        if bytes {
            self.counters.standing.up(Stage::Settling, "written again");
        }
        Ok(Note::Settled(Settled { commits }))
    }
}
