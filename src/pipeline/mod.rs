//! One pipeline for every job. It knows threads, order, budgets and the stop; it does not know Kafka or
//! Redis.
//!
//! ```text
//! Source ──tasks──▶ Worker × N ──outcomes──▶ Sink ──▶ settle ──feedback──▶ Source
//! poll              work                     write    sync                 commit
//! ```
//!
//! Each arrow is a channel, and a stage ends because the channel before it has closed. So when the source
//! stops, everything in flight still passes through all stages. A job whose outcomes need no order has no
//! sink: its workers finish the work, and no outcome comes back.

mod budget;
mod driver;
mod inflight;
mod pool;
mod run;
mod sink_loop;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::error::Fault;

pub use driver::{Parts, run, run_direct};

/// A piece of work on its way: about 1 MiB, never a single record.
#[derive(Debug)]
pub struct PolledTask<T> {
    /// Outcomes of one lane reach the sink in the order in which their tasks were polled.
    pub lane: u32,
    /// Memory that the task holds, in bytes.
    pub bytes: u64,
    /// The task itself, for a worker.
    pub task: T,
}

/// The error that ends a run. A job with errors of its own defines a type for these; for other jobs
/// [`Fault`] is enough.
pub trait PipelineError: From<Fault> + Send + 'static {
    /// The fault, if the error is one that any job can have. The pipeline tries again after faults that
    /// allow it.
    fn fault(&self) -> Option<&Fault>;

    /// Adds a later error of the same run. The run ends with the first error; an error type whose later
    /// errors must not be lost keeps these here.
    fn add_later(&mut self, _later: Self)
    where
        Self: Sized,
    {
    }
}

impl PipelineError for Fault {
    fn fault(&self) -> Option<&Fault> {
        Some(self)
    }
}

/// Where work comes from. One thread polls it and passes it the feedback.
pub trait Source {
    /// The input of a worker.
    type Task;
    /// The message that the sink and the settle thread send: settled positions, or records that must be
    /// fetched again.
    type Feedback;
    /// The error that ends the run.
    type Error: PipelineError;

    /// Appends work to `tasks`. Waits for work until `until` at most.
    ///
    /// # Errors
    /// Every error ends the run, after everything polled has been settled or dropped.
    fn poll(&mut self, until: Instant, tasks: &mut Vec<PolledTask<Self::Task>>) -> Result<(), Self::Error>;

    /// Called while nothing may be polled: the sink has no room, or the run is ending and completes
    /// what is in flight.
    ///
    /// # Errors
    /// As of [`Source::poll`].
    fn idle(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Called at the first stop: appends the work that the source holds and would otherwise lose.
    fn drain(&mut self, _tasks: &mut Vec<PolledTask<Self::Task>>) {}

    /// Receives a message about earlier tasks.
    fn feedback(&mut self, message: Self::Feedback);

    /// The last call: nothing is in flight and all feedback has been received. The source commits
    /// and leaves its group; `until` limits how long that may take.
    fn finish(&mut self, until: Instant);
}

/// One worker of a fixed pool. A worker that fails or panics is replaced, and its successor tries the task
/// again.
pub trait Worker {
    /// The input, from the source.
    type Task;
    /// The result, for the sink.
    type Outcome;

    /// Whether a task that fails after the first stop is abandoned, because it is stored elsewhere and will
    /// come again. Otherwise it is tried until the stop is forced.
    const MAY_ABANDON: bool = false;

    /// Does the work. The returned number of bytes replaces the task's in the job's budget.
    ///
    /// # Errors
    /// `Retry`, `RetryLogged` and `Restart`: the same task is tried again. `Fatal`: the job ends.
    fn work(&mut self, task: &Self::Task) -> Result<(Self::Outcome, u64), Fault>;
}

/// Where outcomes are written, in lane order. Only for jobs that need an order.
pub trait Sink {
    /// The result of a worker.
    type Outcome;
    /// Messages to the source.
    type Feedback;
    /// The input of the settle thread: everything written so far.
    type Checkpoint;
    /// The error that ends the run.
    type Error: PipelineError;

    /// Hands the next outcome of a lane over to the sink.
    fn take(&mut self, outcome: Self::Outcome);

    /// Whether an outcome that was taken is neither written nor refused yet.
    fn has_pending(&self) -> bool;

    /// Writes the outcomes that were taken, in the order of each lane.
    ///
    /// # Errors
    /// `Retry` and `RetryLogged`: call again; the sink still has the outcomes that are not written. Every
    /// other error ends the run.
    fn write(&mut self, messages: &mut Vec<Self::Feedback>) -> Result<(), Self::Error>;

    /// Does what is due by the clock. Called several times a second, also while no outcome arrives.
    ///
    /// # Errors
    /// As of [`Sink::write`].
    fn tick(&mut self, _messages: &mut Vec<Self::Feedback>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Whether the sink holds outcomes that may not be written yet, although nothing has failed. If so,
    /// `write` is called again soon.
    fn holds_back(&self) -> bool;

    /// Bytes written since the last checkpoint.
    fn unsettled(&self) -> u64;

    /// Whether a checkpoint would settle anything.
    fn needs_checkpoint(&self) -> bool;

    /// Takes everything written so far, to be settled.
    fn checkpoint(&mut self) -> Self::Checkpoint;

    /// The run ends, and nothing is written any more. Not called if the stop is forced.
    fn end(&mut self) {}
}

/// Makes checkpoints durable, in a separate thread, while the sink goes on writing.
pub trait Settle {
    /// What the sink hands over to be settled.
    type Checkpoint;
    /// A message to the source: these positions may be committed.
    type Feedback;
    /// The error that ends the run.
    type Error: PipelineError;

    /// Returns when the checkpoint would survive a loss of power.
    ///
    /// # Errors
    /// After any error, it is unknown how much of the checkpoint the disk holds. The run ends, and the job
    /// is built again from what the disk holds.
    fn settle(&mut self, checkpoint: Self::Checkpoint) -> Result<Self::Feedback, Self::Error>;
}

/// The limits of a pipeline. They come from the configuration; tests set shorter ones, so that they take
/// milliseconds.
#[derive(Debug, Clone)]
pub struct PipelineLimits {
    /// Threads in the pool.
    pub workers: usize,
    /// Bytes held between poll and write. The same number of bytes again may wait to be settled.
    pub memory: u64,
    /// The least time between two settlings.
    pub settle_min: Duration,
    /// The longest that written outcomes wait to be settled.
    pub settle_max: Duration,
}

impl PipelineLimits {
    /// The limits of a pipeline without a sink, which settles nothing.
    pub fn direct(workers: usize, memory: u64) -> Self {
        Self { workers, memory, settle_min: Duration::ZERO, settle_max: Duration::ZERO }
    }
}
