//! The fixed pool of workers. A panic costs one attempt at one task: the worker is replaced, and
//! the task is tried again.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::budget::Budget;
use super::inflight::Ticket;
use super::run::PipelineRun;
use super::{PipelineError, PolledTask, Worker};
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::report::Outage;
use crate::threads;

/// The pause after a failed attempt. The first is short, because the whole lane waits.
const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// An outcome, its place in its lane, and its size in bytes.
pub(super) struct Finished<O> {
    pub(super) ticket: Ticket,
    pub(super) bytes: u64,
    pub(super) outcome: O,
}

/// One worker thread. It runs until its channel has closed and is empty, or until the stop is
/// forced.
///
/// The first stop changes nothing for work that succeeds: everything polled is worked on.
pub(super) fn work<W: Worker, E: PipelineError>(
    build: impl Fn() -> W,
    tasks: &Receiver<(Ticket, PolledTask<W::Task>)>,
    deliver: impl Fn(Finished<W::Outcome>) -> bool,
    budget: &Budget,
    run: &PipelineRun<E>,
) {
    let mut worker = build();
    let mut outage =
        Outage::new(format!("{}: worker", run.name)).shown_as(run.counters.conditions.thing("a worker"));
    for (ticket, polled) in tasks {
        let mut backoff = Backoff::new(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX);
        let (outcome, bytes) = loop {
            match threads::contain(|| worker.work(&polled.task)) {
                Ok(Ok(done)) => break done,
                Ok(Err(Fault::RetryLogged)) => {}
                Ok(Err(Fault::Retry(why) | Fault::Restart(why))) => outage.down(Instant::now(), &why),
                Ok(Err(never @ Fault::Fatal(_))) => return run.fail(never.into()),
                Err(panic) => {
                    run.counters.panics.fetch_add(1, Relaxed);
                    outage.down(Instant::now(), &format!("panicked and is rebuilt: {panic}"));
                }
            }
            if run.stop.is_requested() && W::MAY_ABANDON {
                return;
            }
            worker = build();
            if run.stop.wait_forced(backoff.pause()) || run.has_failed() {
                return;
            }
        };
        outage.up(Instant::now(), "back");
        budget.take(bytes);
        budget.give_back(polled.bytes);
        // The memory of the task is free before the outcome waits for the sink.
        drop(polled);
        // An error has ended the sink, which has reported it.
        if !deliver(Finished { ticket, bytes, outcome }) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::inflight::Tickets;
    use crate::report::{CountedUnit, Counters};
    use std::cell::Cell;
    use std::sync::{Arc, Weak};

    /// Its outcome tells whether the task is still in memory.
    struct Watching;

    impl Worker for Watching {
        type Task = Arc<()>;
        type Outcome = Weak<()>;

        fn work(&mut self, task: &Arc<()>) -> Result<(Weak<()>, u64), Fault> {
            Ok((Arc::downgrade(task), 1))
        }
    }

    #[test]
    fn the_memory_of_a_task_is_free_before_its_outcome_is_delivered() {
        let (sender, tasks) = crossbeam_channel::unbounded();
        let polled = PolledTask { lane: 0, bytes: 1, task: Arc::new(()) };
        sender.send((Tickets::default().take(0), polled)).unwrap();
        drop(sender);
        let (_handle, stop) = crate::shutdown::pair();
        let run = PipelineRun::<Fault>::new("test", &stop, &Counters::shared("test", CountedUnit::Items));
        let left = Cell::new(None);
        let deliver = |done: Finished<Weak<()>>| {
            left.set(Some(done.outcome.strong_count()));
            true
        };
        work(|| Watching, &tasks, deliver, &Budget::new(9), &run);
        assert_eq!(left.get(), Some(0));
    }

    /// Fails once.
    struct Failing<'a, const MAY_ABANDON: bool>(&'a Cell<u32>);

    impl<const MAY_ABANDON: bool> Worker for Failing<'_, MAY_ABANDON> {
        type Task = ();
        type Outcome = ();

        const MAY_ABANDON: bool = MAY_ABANDON;

        fn work(&mut self, (): &()) -> Result<((), u64), Fault> {
            self.0.set(self.0.get() + 1);
            if self.0.get() == 1 { Err(Fault::RetryLogged) } else { Ok(((), 1)) }
        }
    }

    fn attempts<const MAY_ABANDON: bool>(stops: bool) -> u32 {
        let (sender, tasks) = crossbeam_channel::unbounded();
        sender.send((Tickets::default().take(0), PolledTask { lane: 0, bytes: 1, task: () })).unwrap();
        drop(sender);
        let (handle, stop) = crate::shutdown::pair();
        if stops {
            handle.request();
        }
        let run = PipelineRun::<Fault>::new("test", &stop, &Counters::shared("test", CountedUnit::Items));
        let attempts = Cell::new(0);
        work(|| Failing::<MAY_ABANDON>(&attempts), &tasks, |_| true, &Budget::new(9), &run);
        attempts.get()
    }

    /// Only at a stop, and only work that is stored elsewhere.
    #[test]
    fn a_failing_task_is_abandoned_only_if_it_may_be() {
        assert_eq!((attempts::<false>(false), attempts::<false>(true)), (2, 2));
        assert_eq!((attempts::<true>(false), attempts::<true>(true)), (2, 1));
    }
}
