//! One pipeline for every job: it knows threads, order, budgets and stopping, and
//! it knows no Kafka and no Redis.
//!
//! ```text
//! Source ──tasks──▶ Worker × N ──outcomes──▶ Sink ──▶ settle ──notes──▶ Source
//! poll              work                     land     sync              commit
//! ```
//!
//! A job whose outcomes need no order has no sink: its workers finish the work, and
//! nothing comes back. Each arrow is a channel, and a stage ends because the channel before it closed:
//! stopping the source therefore lets everything in hand run through to its end.

mod budget;
mod driver;
mod inflight;
mod pool;
mod run;
mod sink_loop;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::Fault;

pub use driver::{Parts, run, run_direct};

/// One piece of work on its way: near 1 MiB, never a single record.
#[derive(Debug)]
pub struct PolledTask<T> {
    /// Outcomes of one lane reach the sink in the order of their polling.
    pub lane: u32,
    /// What the task holds in memory, in bytes.
    pub bytes: u64,
    /// The work itself.
    pub task: T,
}

/// What ends a run. A job whose runs end in ways of their own has a type of its own for it;
/// for the others [`Fault`] will do.
pub trait PipelineError: From<Fault> + Send + 'static {
    /// The fault, if any job can meet it.
    fn fault(&self) -> Option<&Fault>;
}

impl PipelineError for Fault {
    fn fault(&self) -> Option<&Fault> {
        Some(self)
    }
}

/// Where work comes from. One thread polls it and tells it what has settled.
pub trait Source {
    /// What a worker gets.
    type Task;
    /// What comes back from the sink: settled positions, or what was dropped and is to be fetched again.
    type Feedback;
    /// What ends its run.
    type Error: PipelineError;

    /// Adds what there is to `items`; waits for it until `until` at most.
    ///
    /// # Errors
    /// Every error ends the run, after what the source produced is settled or dropped.
    fn poll(&mut self, until: Instant, tasks: &mut Vec<PolledTask<Self::Task>>) -> Result<(), Self::Error>;

    /// Called while nothing may be polled: the sink has no room, or the run is at its end
    /// and works off what it has.
    ///
    /// # Errors
    /// As [`Source::poll`].
    fn idle(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// At the first stop: adds what is in hand already and would be lost otherwise.
    fn drain(&mut self, _tasks: &mut Vec<PolledTask<Self::Task>>) {}

    /// Hears what became of its tasks.
    fn feedback(&mut self, message: Self::Feedback);

    /// The last call: no task is in work any more and every note has been heard;
    /// commit and take leave until `until` at most.
    fn finish(&mut self, until: Instant);
}

/// One of a fixed pool. A worker that fails or panics is thrown away and rebuilt,
/// and its task is tried again by its successor.
pub trait Worker {
    /// What the source gave.
    type Task;
    /// What the sink gets.
    type Outcome;

    /// Whether a task that fails after the first stop is let go, since it is kept
    /// elsewhere and comes again. Otherwise it is tried until the stop says now.
    const MAY_ABANDON: bool = false;

    /// Does the work; the outcome's bytes replace the task's in the job's budget.
    ///
    /// # Errors
    /// `Retry` and `RetryLogged`: try the same task again. `Fatal`: the job ends.
    fn work(&mut self, task: &Self::Task) -> Result<(Self::Outcome, u64), Fault>;
}

/// Where outcomes land, in lane order. Only for jobs that need order.
pub trait Sink {
    /// What a worker made.
    type Outcome;
    /// What the source is told.
    type Feedback;
    /// What the settle thread needs to make durable what has landed so far.
    type Checkpoint;
    /// What ends its run.
    type Error: PipelineError;

    /// Lands outcomes from the front of `ready`, in order, removing what has landed or was refused.
    ///
    /// # Errors
    /// `Retry` and `RetryLogged`: the rest is still in `ready`; call again. Every other error
    /// ends the run.
    fn write(
        &mut self,
        ready: &mut VecDeque<Self::Outcome>,
        messages: &mut Vec<Self::Feedback>,
    ) -> Result<(), Self::Error>;

    /// Does what is due though nothing may have come: called several times a second.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn tick(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Whether outcomes were left that may not write yet, though nothing is wrong: `write`
    /// is called again soon.
    fn holds_back(&self) -> bool {
        false
    }

    /// Bytes landed since the last checkpoint.
    fn unsettled(&self) -> u64;

    /// Whether a checkpoint would settle anything.
    fn needs_checkpoint(&self) -> bool;

    /// Takes all that has landed so far for settling.
    fn checkpoint(&mut self) -> Self::Checkpoint;
}

/// Makes a checkpoint durable, in a thread of its own, while the sink lands on.
pub trait Settle {
    /// From the sink.
    type Checkpoint;
    /// To the source: these positions may be committed.
    type Feedback;
    /// What ends its run.
    type Error: PipelineError;

    /// Returns when the checkpoint would survive a loss of power.
    ///
    /// # Errors
    /// Any error means that nothing is known of what was to be settled: the run
    /// ends and the job is rebuilt from what the disk really holds.
    fn settle(&mut self, checkpoint: Self::Checkpoint) -> Result<Self::Feedback, Self::Error>;
}

/// The figures a pipeline runs by. They come from the configuration, so that
/// tests run in milliseconds.
#[derive(Debug, Clone)]
pub struct PipelineLimits {
    /// Threads in the pool.
    pub workers: usize,
    /// Bytes held between poll and landing; as much again may wait to be settled.
    pub memory: u64,
    /// The least time between two settlings.
    pub settle_min: Duration,
    /// The longest that something landed waits to be settled.
    pub settle_max: Duration,
}

impl PipelineLimits {
    /// For a pipeline without a sink, which settles nothing.
    pub fn direct(workers: usize, memory: u64) -> Self {
        Self { workers, memory, settle_min: Duration::ZERO, settle_max: Duration::ZERO }
    }
}
