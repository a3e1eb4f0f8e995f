//! The sink's loop and the settle thread: outcomes land in lane order, and what
//! has landed is settled when starved or full, or when the timer says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select};

use super::budget::Budget;
use super::inflight::Inflight;
use super::pool::Finished;
use super::run::PipelineRun;
use super::{PipelineLimits, Settle, Sink};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::report::Stage;

const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);
/// How often a sink that gets nothing is given the chance to do what is due.
const TICK_INTERVAL: Duration = Duration::from_millis(250);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How soon the sink is asked again for what it held back: the longer that lasts, the later.
const HELD_RETRY_INTERVALS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));
/// For how long a run that is at its end waits for that.
const HELD_AT_END_MAX: Duration = Duration::from_secs(3);

/// The settle thread: makes each checkpoint durable and tells the source.
///
/// A fault ends it; its closed channel then tells the sink.
pub(super) fn settle_loop<T: Settle>(
    mut settle: T,
    checkpoints: &Receiver<T::Checkpoint>,
    settled: &Sender<()>,
    notes: &Sender<T::Feedback>,
    run: &PipelineRun,
) {
    for checkpoint in checkpoints {
        match settle.settle(checkpoint) {
            Ok(note) => {
                // The source hears it before the sink hands over the next one. When
                // either is gone the run is at its end and nobody needs to hear.
                let _gone = notes.send(note);
                let _gone = settled.send(());
            }
            Err(fault) => return run.fail(fault),
        }
    }
}

/// The sink's stage.
pub(super) struct SinkLoop<K: Sink> {
    sink: K,
    limits: PipelineLimits,
    budget: Budget,
    /// Dropped at the end, which ends the settle thread.
    checkpoints: Sender<K::Checkpoint>,
    settled: Receiver<()>,
    notes: Sender<K::Feedback>,
    run: Arc<PipelineRun>,
    inflight: Inflight<(u64, K::Outcome)>,
    ready: VecDeque<K::Outcome>,
    /// Bytes of what is in `ready`, given back when it is empty.
    ready_bytes: u64,
    backoff: Backoff,
    retry_at: Option<Instant>,
    /// Since when the sink has held something back, and since when nothing more comes.
    held_since: Option<Instant>,
    at_end_since: Option<Instant>,
    /// Whether a checkpoint is with the settle thread.
    settling: bool,
    last_settle: Instant,
    /// Since when something is unsettled: in the sink, and with the settle thread.
    since: Option<Instant>,
    since_settling: Option<Instant>,
}

impl<K: Sink> SinkLoop<K> {
    pub(super) fn new(
        sink: K,
        limits: PipelineLimits,
        budget: Budget,
        checkpoints: Sender<K::Checkpoint>,
        settled: Receiver<()>,
        notes: Sender<K::Feedback>,
        run: Arc<PipelineRun>,
    ) -> Self {
        Self {
            sink,
            limits,
            budget,
            checkpoints,
            settled,
            notes,
            run,
            inflight: Inflight::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            backoff: Backoff::new(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX),
            retry_at: None,
            held_since: None,
            at_end_since: None,
            settling: false,
            last_settle: Instant::now(),
            since: None,
            since_settling: None,
        }
    }

    /// Lands and settles until the workers have ended and everything is settled.
    pub(super) fn run(mut self, outcomes: &Receiver<Finished<K::Outcome>>) {
        let closed = never();
        let mut open = true;
        while !self.run.has_failed() && !self.run.stop.is_forced() {
            let starved = self.receive(if open { outcomes } else { &closed }, &mut open);
            if self.retry_at.is_none_or(|at| Instant::now() >= at) {
                self.write();
            }
            if !open && self.retry_at.is_some() && !self.may_still_land() {
                // Stopping, and the disk still refuses: what is in hand comes again
                // after the next start, so waiting for room would only delay the stop.
                self.ready.clear();
                self.retry_at = None;
            }
            if !self.settling && self.may_settle(starved || !open) {
                self.hand_over();
            }
            let in_hand = !self.ready.is_empty() || self.retry_at.is_some();
            if !open && !in_hand && !self.settling && !self.sink.needs_checkpoint() {
                return;
            }
        }
    }

    /// At the end of a run: whether what is held back is worth waiting for.
    fn may_still_land(&mut self) -> bool {
        let at_end = *self.at_end_since.get_or_insert_with(Instant::now);
        self.held_since.is_some() && at_end.elapsed() < HELD_AT_END_MAX
    }

    /// Waits for an outcome, a settling or the next thing due. True if no outcome came.
    fn receive(&mut self, outcomes: &Receiver<Finished<K::Outcome>>, open: &mut bool) -> bool {
        // With as much landed and unsettled as the budget, nothing more is taken in.
        let full = self.sink.unsettled() >= self.limits.memory;
        let nothing = never();
        let outcomes = if full && self.settling { &nothing } else { outcomes };
        select! {
            recv(outcomes) -> finished => match finished {
                Ok(finished) => {
                    self.take(finished);
                    for finished in outcomes.try_iter() {
                        self.take(finished);
                    }
                    return false;
                }
                Err(_) => *open = false,
            },
            recv(self.settled) -> done => match done {
                Ok(()) => {
                    self.settling = false;
                    self.since_settling = None;
                    self.show_oldest();
                }
                // The settle thread has ended by a fault, which it has reported, or
                // by a panic, which the driver reports when it joins it.
                Err(_) => self.run.fail(Fault::Retry("the settle thread ended".to_owned())),
            },
            default(self.patience()) => {}
        }
        outcomes.is_empty()
    }

    /// Until the next thing is due: a retry, or a settling.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let retry = self.retry_at.map(|at| at.saturating_duration_since(now));
        let settle = (!self.settling && self.sink.needs_checkpoint())
            .then(|| (self.last_settle + self.limits.settle_min).saturating_duration_since(now));
        retry.into_iter().chain(settle).min().unwrap_or(TICK_INTERVAL).min(TICK_INTERVAL)
    }

    fn take(&mut self, finished: Finished<K::Outcome>) {
        let mut in_order = VecDeque::new();
        self.inflight.finished(finished.ticket, (finished.bytes, finished.outcome), &mut in_order);
        for (bytes, outcome) in in_order {
            self.ready_bytes += bytes;
            self.ready.push_back(outcome);
        }
    }

    /// One try to do what is due and to land what is in order.
    fn write(&mut self) {
        let mut notes = Vec::new();
        let mut written = self.sink.tick();
        // What was refused the last time may be in the sink's own hands.
        if written.is_ok() && (!self.ready.is_empty() || self.retry_at.is_some()) {
            written = self.sink.write(&mut self.ready, &mut notes);
        }
        for note in notes {
            // The source is gone only when the run has ended.
            let _gone = self.notes.send(note);
        }
        if (self.sink.unsettled() > 0 || written.is_err()) && self.since.is_none() {
            self.since = Some(Instant::now());
            self.show_oldest();
        }
        match written {
            // Whether the disk takes what it refused before is not known by that.
            Ok(()) if self.sink.holds_back() => {
                let now = Instant::now();
                let since = *self.held_since.get_or_insert(now);
                self.retry_at = Some(
                    now + (now.duration_since(since) / 8)
                        .clamp(HELD_RETRY_INTERVALS.0, HELD_RETRY_INTERVALS.1),
                );
            }
            Ok(()) => {
                self.budget.give_back(std::mem::take(&mut self.ready_bytes));
                self.retry_at = None;
                self.held_since = None;
                self.backoff.reset();
                self.run.counters.health.up(Stage::Writing, "written again");
                self.refuse(false);
            }
            Err(fault @ (Fault::Retry(_) | Fault::RetryLogged)) => {
                if let Fault::Retry(why) = fault {
                    self.run.counters.health.down(Stage::Writing, &why);
                }
                self.held_since = None;
                self.refuse(true);
                self.retry_at = Some(Instant::now() + self.backoff.pause());
            }
            Err(fault) => self.run.fail(fault),
        }
    }

    fn refuse(&self, refused: bool) {
        self.run.refused.store(refused, SeqCst);
        self.run.counters.disk_refuses.store(refused, Relaxed);
    }

    /// Settle when starved or full, never more often than the least time between two.
    fn may_settle(&self, starved: bool) -> bool {
        let waited = self.last_settle.elapsed();
        let due = starved && waited >= self.limits.settle_min
            || self.sink.unsettled() >= self.limits.memory / 2
            || waited >= self.limits.settle_max;
        due && self.sink.needs_checkpoint()
    }

    fn hand_over(&mut self) {
        let checkpoint = self.sink.checkpoint();
        self.settling = true;
        self.last_settle = Instant::now();
        self.since_settling = self.since.take();
        self.show_oldest();
        if self.checkpoints.send(checkpoint).is_err() {
            self.run.fail(Fault::Retry("the settle thread ended".to_owned()));
        }
    }

    fn show_oldest(&self) {
        self.run.counters.set_oldest_unsettled(self.since_settling.or(self.since));
    }
}
