//! Appends outcomes to one log file: those that continue the written positions are joined to writes,
//! and the others are refused.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::completeness::Completeness;
use super::file_end::FileEnd;
use super::formatter::FormattedBatch;
use super::run_error::{RunError, cannot_sync};
use super::source::Feedback;
use super::split::split;
use super::watermarks::Watermarks;
use super::write_gate::WriteGate;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::logfile::{AppendError, Guard, Ledger, PositionChange};
use crate::plural::counted;
use crate::record::TopicPartition;
use crate::recycle::BufferPool;
use crate::report::{Counters, JobHealth, Stage};

/// Small outcomes are joined to writes of at most this many bytes.
const WRITE_BYTES_MAX: usize = 1024 * 1024;
/// The pause before a file that refuses is tried again: the first, and the longest.
const REFUSAL_PAUSE_FIRST: Duration = Duration::from_millis(100);
const REFUSAL_PAUSE_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct FileAppender {
    path: PathBuf,
    pub(super) end: FileEnd,
    pub(super) ledger: Ledger,
    /// Whether another process has asked that the file be reopened.
    pub(super) is_asked: bool,
    /// The number of the last signal to reopen that was served. `None` at first, because the file has just
    /// been opened.
    reopened: Option<u64>,
    /// Outcomes in lane order that were not examined yet.
    queue: VecDeque<FormattedBatch>,
    /// Outcomes that are being written. They must not change until the file has all of their lines.
    writing: Vec<FormattedBatch>,
    changes: Vec<PositionChange>,
    /// Whether outcomes wait until they may be written.
    pub(super) is_held: bool,
    watermarks: Watermarks,
    /// Finishes the files of periods that are complete.
    completeness: Option<Completeness>,
    /// Why nothing is written to this file at present, while other files of the job go on.
    refusal: Option<FileRefusal>,
    /// Logs that, once when it begins and once when it ends. Only if the job has several files.
    health: Option<Arc<JobHealth>>,
}

/// The disk of one file accepts no writes.
struct FileRefusal {
    why: String,
    /// When it is tried again.
    again: Instant,
    backoff: Backoff,
}

impl FileAppender {
    /// `watermarks` hear up to which time the records of a partition are written.
    pub(super) fn new(path: PathBuf, end: FileEnd, ledger: Ledger, watermarks: Watermarks) -> Self {
        let (queue, writing, changes) = (VecDeque::new(), Vec::new(), Vec::new());
        Self {
            path,
            end,
            ledger,
            watermarks,
            is_asked: false,
            reopened: None,
            queue,
            writing,
            changes,
            is_held: false,
            completeness: None,
            refusal: None,
            health: None,
        }
    }

    /// This is one of several files, whose troubles are logged by themselves.
    pub(super) fn among_others(mut self, health: Arc<JobHealth>) -> Self {
        self.health = Some(health);
        self
    }

    /// Files of periods are finished.
    pub(super) fn finishing(mut self, completeness: Option<Completeness>) -> Self {
        self.completeness = completeness;
        self
    }

    /// Sets the guard: nothing is written unless it allows that.
    pub(super) fn guarded(mut self, guard: Option<Guard>) -> Self {
        if let Some(guard) = guard {
            self.end.set_guard(guard);
        }
        self
    }

    /// Takes an outcome of one of this file's topics.
    pub(super) fn take(&mut self, batch: FormattedBatch) {
        self.queue.push_back(batch);
    }

    /// Whether an outcome that was taken is neither written nor dropped yet.
    pub(super) fn has_pending(&self) -> bool {
        !self.queue.is_empty() || !self.writing.is_empty()
    }

    /// The run ends.
    pub(super) fn end(&mut self) {
        if let Err(error) = self.end.end() {
            // The next start then takes what others append meanwhile for the rest of this write.
            log::debug!("{}: a write that was not begun is not taken back: {error}", self.path.display());
        }
    }

    /// Why nothing is written to this file at present.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_ref().map(|refusal| refusal.why.as_str())
    }

    /// How many outcomes are in a write that the disk refuses.
    pub(super) fn refused_outcomes(&self) -> u64 {
        let writing = self.writing.iter().filter(|_| self.refusal.is_some());
        writing.map(FormattedBatch::outcomes).sum()
    }

    /// Whether a file that refuses is to be tried again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| now >= refusal.again)
    }

    /// The disk accepts no writes. What waits behind the write under way is dropped and fetched again, so
    /// that memory holds no more than that one write. True if the disk accepted the write before.
    pub(super) fn refuse(
        &mut self,
        why: String,
        gate: &WriteGate,
        buffers: &BufferPool,
        counters: &Counters,
    ) -> bool {
        for batch in std::mem::take(&mut self.queue) {
            discard(batch, gate, buffers, counters);
        }
        self.is_held = false;
        if let Some(health) = &self.health {
            health.down(Stage::Writing, &why);
        }
        let begins = self.refusal.is_none();
        let new = || Backoff::new(REFUSAL_PAUSE_FIRST, REFUSAL_PAUSE_MAX);
        let mut backoff = self.refusal.take().map_or_else(new, |refusal| refusal.backoff);
        let again = Instant::now() + backoff.pause();
        self.refusal = Some(FileRefusal { why, again, backoff });
        begins
    }

    /// The disk was tried again. True if nothing is left to be written.
    pub(super) fn end_refusal(&mut self) -> bool {
        self.is_held = false;
        if self.has_pending() {
            // It may not be written yet, which says nothing about the disk.
            return false;
        }
        self.refusal = None;
        self.report_written();
        true
    }

    fn report_written(&self) {
        if let Some(health) = &self.health {
            health.up(Stage::Writing, "written again");
        }
    }

    fn fault(&self, error: AppendError) -> Fault {
        match error {
            AppendError::Guarded => Fault::RetryLogged,
            AppendError::Retry(why) => Fault::Retry(format!("cannot write {}: {why}", self.path.display())),
            AppendError::Restart(why) => cannot_sync(&self.path, &why),
        }
    }

    /// Takes outcomes that continue the written positions, up to the size of one write. Refuses the
    /// others.
    fn take_continuing(
        &mut self,
        gate: &WriteGate,
        buffers: &BufferPool,
        counters: &Counters,
        messages: &mut Vec<Feedback>,
    ) {
        let mut bytes = 0;
        let mut room = self.end.room();
        let mut positions: HashMap<TopicPartition, (u32, i64)> = HashMap::new();
        let mut files_left = self.end.files_max();
        let ledger = self.ledger.clone();
        let is_held_back = |partition: &TopicPartition| gate.is_shared() && ledger.is_refused(partition);
        while bytes < WRITE_BYTES_MAX
            && self.queue.front().is_some_and(|next| next.spans.len() <= files_left)
            && let Some(batch) = self.queue.pop_front()
        {
            let written =
                positions.get(&batch.partition).copied().or_else(|| self.ledger.written(&batch.partition));
            match written {
                Some((index, position))
                    if position == batch.from && continues(&batch) && !is_held_back(&batch.partition) =>
                {
                    let Some(batch) = self.cut_to_fit(batch, bytes, &mut room) else { return };
                    if let Some(truncated) = &batch.truncated {
                        let (partition, assignment) = (batch.partition.clone(), batch.assignment);
                        let position = batch.next;
                        messages.push(Feedback::Truncated {
                            partition,
                            assignment,
                            position,
                            truncated: truncated.clone(),
                        });
                    }
                    if batch.next == batch.from {
                        gate.record_done(batch.outcomes());
                        buffers.give_back(batch.lines);
                        continue;
                    }
                    bytes += batch.lines.len();
                    files_left -= batch.spans.len();
                    positions.insert(batch.partition.clone(), (index, batch.next));
                    self.changes.push(PositionChange { index, position: batch.next, last: batch.last });
                    self.writing.push(batch);
                }
                other => {
                    counters.refetched.fetch_add(batch.records + batch.filtered, Relaxed);
                    gate.record_done(batch.outcomes());
                    let FormattedBatch { partition, assignment, lines, .. } = batch;
                    buffers.give_back(lines);
                    if let Some((_, position)) = other {
                        messages.push(Feedback::Refused { partition, assignment, position });
                    }
                }
            }
        }
    }

    /// Cuts an outcome where the file would grow beyond the size of its rotation. `bytes` are those of the
    /// outcomes that are written before it. The part that is cut off stays first in the queue. `None` if no
    /// part fits.
    fn cut_to_fit(
        &mut self,
        batch: FormattedBatch,
        bytes: usize,
        room: &mut Option<(u64, u64)>,
    ) -> Option<FormattedBatch> {
        let Some((here, size)) = *room else { return Some(batch) };
        let left = here.saturating_sub(bytes as u64);
        let mut parts = VecDeque::from(split(batch, left, size));
        let first = parts.pop_front()?;
        if first.lines.len() as u64 > left {
            if bytes > 0 {
                parts.push_front(first);
                self.queue_first(parts);
                return None;
            }
            // This part begins a new file.
            *room = Some((size, size));
        }
        self.queue_first(parts);
        Some(first)
    }

    fn queue_first(&mut self, parts: VecDeque<FormattedBatch>) {
        parts.into_iter().rev().for_each(|part| self.queue.push_front(part));
    }

    /// Writes what may be written, batch by batch. `may_write` is called before each batch.
    pub(super) fn write(
        &mut self,
        gate: &WriteGate,
        may_write: &dyn Fn() -> bool,
        buffers: &BufferPool,
        counters: &Counters,
        messages: &mut Vec<Feedback>,
    ) -> Result<(), RunError> {
        self.recheck_ownership()?;
        loop {
            self.is_held = false;
            if self.writing.is_empty() {
                if !may_write() {
                    self.drop_released(gate, buffers, counters);
                    self.is_held = !self.queue.is_empty();
                    return Ok(());
                }
                self.take_continuing(gate, buffers, counters, messages);
            }
            if self.writing.is_empty() {
                return Ok(());
            }
            match self.end.append(&self.writing, &self.changes) {
                Ok(()) => {}
                Err(AppendError::Guarded) => {
                    self.is_held = true;
                    return Ok(());
                }
                Err(error) => return Err(self.fault(error).into()),
            }
            self.changes.clear();
            self.report_written();
            gate.record_done(self.writing.iter().map(FormattedBatch::outcomes).sum());
            for batch in self.writing.drain(..) {
                if let Some(time) = batch.last_time {
                    self.watermarks.record_written(&batch.partition, time);
                }
                counters.done.fetch_add(batch.records, Relaxed);
                counters.filtered.fetch_add(batch.filtered, Relaxed);
                counters.bytes.fetch_add(batch.lines.len() as u64, Relaxed);
                buffers.give_back(batch.lines);
            }
        }
    }

    /// Checks that the outcomes taken for the next write still belong to this member.
    fn recheck_ownership(&mut self) -> Result<(), RunError> {
        let is_lost = |batch: &FormattedBatch| self.ledger.written(&batch.partition).is_none();
        if !self.end.is_pending() {
            self.changes.clear();
            for batch in self.writing.drain(..).rev() {
                self.queue.push_front(batch);
            }
        } else if self.writing.iter().any(is_lost) {
            // Some of these outcomes' lines may be in the file already, and must not stay there.
            let path = self.path.display();
            let why = format!("{path}: the group took partitions away in the middle of a write");
            return Err(RunError::LostInWrite(why));
        }
        Ok(())
    }

    /// Drops outcomes of partitions that were released. This needs no permission to write.
    fn drop_released(&mut self, gate: &WriteGate, buffers: &BufferPool, counters: &Counters) {
        for batch in std::mem::take(&mut self.queue) {
            if self.ledger.written(&batch.partition).is_some() {
                self.queue.push_back(batch);
            } else {
                discard(batch, gate, buffers, counters);
            }
        }
    }

    /// Whether it was reopened after this many signals, and after the last request.
    pub(super) fn is_reopened(&self, signals: u64) -> bool {
        self.reopened == Some(signals) && !self.is_asked
    }

    /// Does what is due by the clock, and serves requests to reopen: signals, which `signals` counts, and
    /// those of other processes.
    pub(super) fn tick(&mut self, signals: u64) -> Result<(), Fault> {
        self.end.tick().map_err(|error| self.fault(error))?;
        if let Some(before) = self.completeness.as_mut().and_then(|one| one.complete_before(&self.ledger)) {
            let finished = self.end.finish(&before).map_err(|error| self.fault(error))?;
            if finished > 0 {
                log::debug!("{}: finished {}", self.path.display(), counted(finished as u64, "file"));
            }
        }
        if !self.is_reopened(signals) && self.end.reopen().map_err(|error| self.fault(error))? {
            (self.reopened, self.is_asked) = (Some(signals), false);
        }
        Ok(())
    }
}

/// Drops an outcome that will be fetched again.
pub(super) fn discard(batch: FormattedBatch, gate: &WriteGate, buffers: &BufferPool, counters: &Counters) {
    counters.refetched.fetch_add(batch.records + batch.filtered, Relaxed);
    gate.record_done(batch.outcomes());
    buffers.give_back(batch.lines);
}

/// Whether the outcome covers any offsets, or says why it covers none.
fn continues(batch: &FormattedBatch) -> bool {
    batch.next > batch.from || batch.next == batch.from && batch.truncated.is_some()
}
