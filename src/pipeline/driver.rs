//! Runs one pipeline: starts the stages, drives the source, joins everything.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never, select, unbounded};

use super::budget::Budget;
use super::inflight::{Ticket, Tickets};
use super::pool::Finished;
use super::run::PipelineRun;
use super::sink_loop::{self, SinkLoop};
use super::{PipelineError, PipelineLimits, PolledTask, Settle, Sink, Source, Worker, pool};
use crate::error::Fault;
use crate::report::Counters;
use crate::shutdown::Stop;
use crate::threads::{self, Thread};

/// The longest wait of one poll, so that feedback and the stop are noticed soon.
const POLL_MAX: Duration = Duration::from_millis(100);
/// The pause between two calls of `idle` while the source may not poll.
const IDLE_INTERVAL: Duration = Duration::from_millis(5);
/// How long the source has to finish after everything has settled.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// The parts of a pipeline.
pub struct Parts<S, B, K, T> {
    /// Where work comes from.
    pub source: S,
    /// Builds a worker: once for each thread, and again after a failure.
    pub build_worker: B,
    /// Where outcomes are written.
    pub sink: K,
    /// The stage that makes written outcomes durable.
    pub settle: T,
}

/// Runs until the stop, or until an error after which the parts cannot be used any more.
///
/// On return, every thread of the run has ended, and everything written is settled, unless the stop
/// was forced.
///
/// # Errors
/// The first error that ended the run. `Retry` and `Restart`: build new parts and run again.
/// `Fatal`: the job has failed for good.
pub fn run<S, B, W, K, T>(
    name: &str,
    limits: &PipelineLimits,
    parts: Parts<S, B, K, T>,
    stop: &Stop,
    counters: &Arc<Counters>,
) -> Result<(), S::Error>
where
    S: Source,
    S::Task: Send + 'static,
    S::Feedback: Send + 'static,
    W: Worker<Task = S::Task> + 'static,
    W::Outcome: Send + 'static,
    B: Fn() -> W + Send + Sync + 'static,
    K: Sink<Outcome = W::Outcome, Feedback = S::Feedback, Error = S::Error> + Send + 'static,
    K::Checkpoint: Send + 'static,
    T: Settle<Checkpoint = K::Checkpoint, Feedback = S::Feedback, Error = S::Error> + Send + 'static,
{
    let run = Arc::new(PipelineRun::new(name, stop, counters));
    let budget = Budget::new(limits.memory);
    let (task_sender, tasks) = bounded::<(Ticket, PolledTask<S::Task>)>(limits.workers * 2);
    let (outcome_sender, outcomes) = unbounded();
    let (feedback_sender, messages) = unbounded();
    let (settle_sender, to_settle) = bounded(1);
    let (settled_sender, settled) = bounded(1);

    // Only the workers hold these senders, so the sink's channel closes when the last of them ends.
    let deliver = move |finished| outcome_sender.send(finished).is_ok();
    let mut stages = start_workers(&run, limits.workers, parts.build_worker, tasks, &budget, deliver)?;
    let (settle_run, settle_feedback) = (Arc::clone(&run), feedback_sender.clone());
    let settle = parts.settle;
    stages.push(start(&format!("{}-settle", short(name)), move || {
        sink_loop::settle_loop(settle, &to_settle, &settled_sender, &settle_feedback, &settle_run);
    })?);
    let sink = SinkLoop::new(
        parts.sink,
        limits.clone(),
        budget.clone(),
        settle_sender,
        settled,
        feedback_sender,
        Arc::clone(&run),
    );
    let sink_run = Arc::clone(&run);
    stages.push(start(&format!("{}-sink", short(name)), move || {
        // The source may be waiting for room that only the sink could make, so the run must end.
        if let Err(panic) = threads::contain(|| sink.run(&outcomes)) {
            sink_run.fail(Fault::Retry(format!("the sink panicked and is rebuilt: {panic}")).into());
        }
    })?);

    let mut source = parts.source;
    drive(&mut source, task_sender, &messages, &budget, &run);
    complete(&mut source, &messages, &run);
    source.finish(Instant::now() + FINISH_MAX);
    run.end(stages)
}

/// Runs a pipeline without a sink: a task is finished when a worker has done it, in any order. Otherwise as
/// [`run`].
///
/// # Errors
/// As of [`run`].
pub fn run_direct<S, B, W>(
    name: &str,
    limits: &PipelineLimits,
    mut source: S,
    build_worker: B,
    stop: &Stop,
    counters: &Arc<Counters>,
) -> Result<(), S::Error>
where
    S: Source<Feedback = Infallible>,
    S::Task: Send + 'static,
    W: Worker<Task = S::Task, Outcome = ()> + 'static,
    B: Fn() -> W + Send + Sync + 'static,
{
    let run = Arc::new(PipelineRun::new(name, stop, counters));
    let budget = Budget::new(limits.memory);
    let (task_sender, tasks) = bounded(limits.workers * 2);
    let freed = budget.clone();
    let deliver = move |finished: Finished<()>| {
        freed.give_back(finished.bytes);
        true
    };
    let workers = start_workers(&run, limits.workers, build_worker, tasks, &budget, deliver)?;
    drive(&mut source, task_sender, &never(), &budget, &run);
    let ended = run.end(workers);
    source.finish(Instant::now() + FINISH_MAX);
    ended
}

/// Starts the pool. Only its threads hold the receiver of tasks and the way to deliver outcomes.
fn start_workers<B, W, E>(
    run: &Arc<PipelineRun<E>>,
    count: usize,
    build_worker: B,
    tasks: Receiver<(Ticket, PolledTask<W::Task>)>,
    budget: &Budget,
    deliver: impl Fn(Finished<W::Outcome>) -> bool + Clone + Send + 'static,
) -> Result<Vec<Thread<()>>, Fault>
where
    W: Worker + 'static,
    W::Task: Send + 'static,
    W::Outcome: Send + 'static,
    B: Fn() -> W + Send + Sync + 'static,
    E: PipelineError,
{
    let build_worker = Arc::new(build_worker);
    let worker = |number| {
        let (run, budget, build) = (Arc::clone(run), budget.clone(), Arc::clone(&build_worker));
        let (tasks, deliver) = (tasks.clone(), deliver.clone());
        let name = format!("{}-w{number}", short(&run.name));
        start(&name, move || pool::work(|| build(), &tasks, deliver, &budget, &run))
    };
    (0..count).map(worker).collect()
}

/// The source's loop. It ends at the first stop or error, which closes the workers' channel.
fn drive<S: Source>(
    source: &mut S,
    workers: Sender<(Ticket, PolledTask<S::Task>)>,
    messages: &Receiver<S::Feedback>,
    budget: &Budget,
    run: &PipelineRun<S::Error>,
) {
    let mut tickets = Tickets::default();
    let mut polled = Vec::new();
    while !run.stop.is_requested() && !run.has_failed() {
        for message in messages.try_iter() {
            source.feedback(message);
        }
        if !budget.has_room() || run.refused.load(SeqCst) {
            // Feedback is received here, too: commits go on while the disk is full.
            select! {
                recv(messages) -> message => if let Ok(message) = message { source.feedback(message) },
                recv(budget.freed()) -> _ => {}
                recv(run.stop.requested_channel()) -> _ => {}
                default(if run.refused.load(SeqCst) { POLL_MAX } else { IDLE_INTERVAL }) => {}
            }
            match threads::contain(|| source.idle()) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return run.end_with(error),
                Err(panic) => return run.end_with(source_panicked(&panic).into()),
            }
            continue;
        }
        match threads::contain(|| source.poll(Instant::now() + POLL_MAX, &mut polled)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return run.end_with(error),
            Err(panic) => return run.end_with(source_panicked(&panic).into()),
        }
        for task in polled.drain(..) {
            if !hand_out(task, &mut tickets, &workers, budget, run) {
                return;
            }
        }
    }
    source.drain(&mut polled);
    for task in polled {
        if !hand_out(task, &mut tickets, &workers, budget, run) {
            return;
        }
    }
}

/// Completes the run after the source has stopped. The stages end one after the other, and when the last
/// one has ended, the channel of messages closes.
fn complete<S: Source>(source: &mut S, messages: &Receiver<S::Feedback>, run: &PipelineRun<S::Error>) {
    loop {
        match messages.recv_timeout(IDLE_INTERVAL) {
            Ok(message) => source.feedback(message),
            Err(RecvTimeoutError::Timeout) => {
                // If a stop ended the run, `add_later` drops the error.
                if let Err(error) = source.idle() {
                    run.add_later(error);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
}

fn source_panicked(panic: &str) -> Fault {
    Fault::Retry(format!("the source panicked and is rebuilt: {panic}"))
}

/// Waits until a worker can take the task. False if the run must end.
fn hand_out<T, E>(
    task: PolledTask<T>,
    tickets: &mut Tickets,
    workers: &Sender<(Ticket, PolledTask<T>)>,
    budget: &Budget,
    run: &PipelineRun<E>,
) -> bool {
    budget.take(task.bytes);
    let ticket = tickets.take(task.lane);
    select! {
        send(workers, (ticket, task)) -> sent => sent.is_ok(),
        recv(run.stop.forced_channel()) -> _ => false,
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread<()>, Fault> {
    Ok(threads::spawn(name, body)?)
}

/// The beginning of the job's name. It leaves room for the stage's name within the 15 bytes that Linux
/// shows.
fn short(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}
