//! The sink's stage and the settle thread. Outcomes are written in lane order. Written outcomes are settled
//! when no outcome waits, when the budget is half full, or when the longest time between two settlings is
//! over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select};

use super::budget::Budget;
use super::inflight::Inflight;
use super::pool::Finished;
use super::run::PipelineRun;
use super::{PipelineError, PipelineLimits, Settle, Sink};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::report::Stage;

/// The first and the longest pause after a refused write.
const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A sink that receives nothing is called at least this often, for work that is due by the clock.
pub(super) const TICK_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest and the longest pause before a sink that holds outcomes back is called again. The pause
/// grows with the time for which the outcomes have been held back.
const HELD_PAUSE_MIN: Duration = Duration::from_millis(2);
const HELD_PAUSE_MAX: Duration = Duration::from_millis(50);
/// At the end of a run, the stage waits this long for held-back outcomes.
pub(super) const HELD_AT_END_MAX: Duration = Duration::from_secs(3);

/// The settle thread: makes each checkpoint durable and informs the source.
///
/// An error ends the thread. Its closed channel then informs the sink.
pub(super) fn settle_loop<T: Settle>(
    mut settle: T,
    checkpoints: &Receiver<T::Checkpoint>,
    settled: &Sender<()>,
    feedback: &Sender<T::Feedback>,
    run: &PipelineRun<T::Error>,
) {
    for checkpoint in checkpoints {
        match settle.settle(checkpoint) {
            Ok(message) => {
                // The source gets its message before the sink may hand over the next checkpoint. The
                // send fails only at the end of the run, when nobody needs the message.
                let _run_ended = feedback.send(message);
                let _run_ended = settled.send(());
            }
            Err(error) => return run.fail(error),
        }
    }
}

/// The sink's stage.
pub(super) struct SinkLoop<K: Sink> {
    sink: K,
    limits: PipelineLimits,
    budget: Budget,
    /// The channel to the settle thread, which ends when this sender is dropped.
    checkpoints: Sender<K::Checkpoint>,
    settled: Receiver<()>,
    feedback: Sender<K::Feedback>,
    run: Arc<PipelineRun<K::Error>>,
    inflight: Inflight<(u64, K::Outcome)>,
    /// Bytes of the sink's outcomes that are still in the budget.
    pending_bytes: u64,
    /// Whether the sink's outcomes are given up: the run is ending, and the disk refuses them.
    has_given_up: bool,
    backoff: Backoff,
    /// When the sink is called again after it refused or held back outcomes.
    retry_at: Option<Instant>,
    /// Since when the sink has held outcomes back.
    held_since: Option<Instant>,
    /// Whether the workers have ended, so that no further outcome will come.
    is_at_end: bool,
    /// Since when the end of the run has waited for held-back outcomes.
    end_waits_since: Option<Instant>,
    /// Whether the settle thread has a checkpoint.
    is_settling: bool,
    last_settle: Instant,
    /// Since when the sink has had something unsettled.
    unsettled_since: Option<Instant>,
    /// Since when the bytes in the settle thread's checkpoint had been unsettled.
    settling_since: Option<Instant>,
}

impl<K: Sink> SinkLoop<K> {
    pub(super) fn new(
        sink: K,
        limits: PipelineLimits,
        budget: Budget,
        checkpoints: Sender<K::Checkpoint>,
        settled: Receiver<()>,
        feedback: Sender<K::Feedback>,
        run: Arc<PipelineRun<K::Error>>,
    ) -> Self {
        Self {
            sink,
            limits,
            budget,
            checkpoints,
            settled,
            feedback,
            run,
            inflight: Inflight::new(),
            pending_bytes: 0,
            has_given_up: false,
            backoff: Backoff::new(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX),
            retry_at: None,
            held_since: None,
            is_at_end: false,
            end_waits_since: None,
            is_settling: false,
            last_settle: Instant::now(),
            unsettled_since: None,
            settling_since: None,
        }
    }

    /// Writes and settles until the workers have ended and everything is settled.
    pub(super) fn run(mut self, outcomes: &Receiver<Finished<K::Outcome>>) {
        while !self.run.has_failed() && !self.run.stop.is_forced() {
            let is_starved = self.receive(outcomes, Instant::now());
            if self.step(is_starved, Instant::now) {
                break;
            }
        }
        if !self.run.stop.is_forced() {
            self.sink.end();
        }
    }

    /// Does what is due. True if the stage has come to its end. A write may take long, so the clock is read
    /// after each write: pauses count from the end of the write.
    pub(super) fn step(&mut self, is_starved: bool, clock: impl Fn() -> Instant) -> bool {
        if self.retry_at.is_none_or(|at| clock() >= at) {
            self.write(&clock);
        }
        let (is_at_end, now) = (self.is_at_end, clock());
        if is_at_end && self.held_since.is_some() {
            self.end_waits_since.get_or_insert(now);
        }
        if is_at_end && self.retry_at.is_some() && !self.is_worth_waiting(now) {
            // The job stops and the disk still refuses. Unwritten outcomes are fetched again
            // after the next start, so waiting for room would only delay the stop.
            self.has_given_up = true;
            self.retry_at = None;
        }
        if !self.is_settling && self.is_settle_due(is_starved || is_at_end, now) {
            self.hand_over(now);
        }
        is_at_end && !self.is_writing() && !self.is_settling && !self.sink.needs_checkpoint()
    }

    /// Whether the sink has something to write.
    fn is_writing(&self) -> bool {
        !self.has_given_up && (self.sink.has_pending() || self.retry_at.is_some())
    }

    /// At the end of a run: whether held-back outcomes may soon be written after all.
    fn is_worth_waiting(&self, now: Instant) -> bool {
        let is_recent = |since| now.saturating_duration_since(since) < HELD_AT_END_MAX;
        self.held_since.is_some() && self.end_waits_since.is_none_or(is_recent)
    }

    #[cfg(test)]
    pub(super) fn workers_have_ended(&mut self) {
        self.is_at_end = true;
    }

    /// Waits for an outcome, a settling or the next time at which something is due. True if no
    /// outcome came.
    fn receive(&mut self, outcomes: &Receiver<Finished<K::Outcome>>, now: Instant) -> bool {
        // No outcome is taken while the unsettled bytes reach the budget and are being settled.
        let is_full = self.is_settling && self.sink.unsettled() >= self.limits.memory;
        let nothing = never();
        let outcomes = if is_full || self.is_at_end { &nothing } else { outcomes };
        select! {
            recv(outcomes) -> finished => match finished {
                Ok(finished) => {
                    self.take(finished);
                    for finished in outcomes.try_iter() {
                        self.take(finished);
                    }
                    return false;
                }
                Err(_) => self.is_at_end = true,
            },
            recv(self.settled) -> done => match done {
                Ok(()) => {
                    self.is_settling = false;
                    self.settling_since = None;
                    self.report_oldest();
                }
                // The settle thread has reported the error that ended it. If it ended by a panic, the
                // driver reports that when it joins the thread.
                Err(_) => self.run.fail(settle_thread_ended()),
            },
            default(self.next_due(now)) => {}
        }
        outcomes.is_empty()
    }

    /// How long until the next retry, settling or tick is due.
    pub(super) fn next_due(&self, now: Instant) -> Duration {
        let retry = self.retry_at.map(|at| at.saturating_duration_since(now));
        let settle = (!self.is_settling && self.sink.needs_checkpoint())
            .then(|| (self.last_settle + self.limits.settle_min).saturating_duration_since(now));
        retry.into_iter().chain(settle).min().unwrap_or(TICK_INTERVAL).min(TICK_INTERVAL)
    }

    fn take(&mut self, finished: Finished<K::Outcome>) {
        let mut in_order = VecDeque::new();
        self.inflight.finished(finished.ticket, (finished.bytes, finished.outcome), &mut in_order);
        for (bytes, outcome) in in_order {
            self.pending_bytes += bytes;
            self.sink.take(outcome);
        }
    }

    /// Lets the sink do what is due by the clock, and write the outcomes that it has.
    fn write(&mut self, clock: impl Fn() -> Instant) {
        let mut messages = Vec::new();
        let mut written = self.sink.tick(&mut messages);
        if written.is_ok() && self.is_writing() {
            written = self.sink.write(&mut messages);
        }
        for message in messages {
            // If this fails, the run has ended and the source is gone.
            let _run_ended = self.feedback.send(message);
        }
        let now = clock();
        if (self.sink.unsettled() > 0 || written.is_err()) && self.unsettled_since.is_none() {
            self.unsettled_since = Some(now);
            self.report_oldest();
        }
        let refusal = match written {
            Ok(()) if self.sink.holds_back() => {
                // Holding back does not show whether a disk that refused before accepts writes again.
                let held = now.saturating_duration_since(*self.held_since.get_or_insert(now));
                self.retry_at = Some(now + (held / 8).clamp(HELD_PAUSE_MIN, HELD_PAUSE_MAX));
                return;
            }
            Ok(()) => {
                self.budget.give_back(std::mem::take(&mut self.pending_bytes));
                self.retry_at = None;
                self.held_since = None;
                self.backoff.reset();
                // Giving up outcomes shows nothing about the disk.
                if !self.has_given_up {
                    self.run.counters.health.up(Stage::Writing, "written again");
                    self.set_refused(false);
                }
                return;
            }
            Err(error) => error,
        };
        match refusal.fault() {
            Some(Fault::Retry(why)) => self.run.counters.health.down(Stage::Writing, why),
            Some(Fault::RetryLogged) => {}
            _ => return self.run.fail(refusal),
        }
        self.held_since = None;
        self.set_refused(true);
        self.retry_at = Some(now + self.backoff.pause());
    }

    fn set_refused(&self, refused: bool) {
        self.run.refused.store(refused, SeqCst);
        self.run.counters.disk_refuses.store(refused, Relaxed);
    }

    /// Whether there is something to settle and it should be settled now. If no outcome waits, the sink
    /// settles as soon as the least time between two settlings has passed. A busy sink settles when half
    /// the budget is unsettled or the longest time has passed.
    fn is_settle_due(&self, is_starved: bool, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.last_settle);
        let due = is_starved && waited >= self.limits.settle_min
            || self.sink.unsettled() >= self.limits.memory / 2
            || waited >= self.limits.settle_max;
        due && self.sink.needs_checkpoint()
    }

    fn hand_over(&mut self, now: Instant) {
        let checkpoint = self.sink.checkpoint();
        self.is_settling = true;
        self.last_settle = now;
        self.settling_since = self.unsettled_since.take();
        self.report_oldest();
        if self.checkpoints.send(checkpoint).is_err() {
            self.run.fail(settle_thread_ended());
        }
    }

    fn report_oldest(&self) {
        self.run.counters.set_oldest_unsettled(self.settling_since.or(self.unsettled_since));
    }
}

fn settle_thread_ended<E: PipelineError>() -> E {
    Fault::Retry("the settle thread ended".to_owned()).into()
}
