//! The sink's stage on a disk whose writes take long. Each write advances the clock of the test.

use std::cell::Cell;
use std::rc::Rc;

use crossbeam_channel::{Receiver, bounded, unbounded};

use super::*;
use crate::pipeline::run::PipelineRun;
use crate::pipeline::sink_loop::{HELD_AT_END_MAX, SinkLoop, TICK_INTERVAL};

const SECOND: Duration = Duration::from_secs(1);
/// How long one write takes.
const WRITE: Duration = Duration::from_secs(30);

/// A sink that writes nothing.
struct SlowDisk {
    clock: Rc<Cell<Instant>>,
    /// How long each attempt takes.
    takes: Rc<Cell<Duration>>,
    calls: Rc<Cell<u32>>,
    refuses: bool,
    /// Whether what is due by the clock is refused.
    tick_refuses: Rc<Cell<bool>>,
    /// Bytes that are always unsettled.
    unsettled: u64,
}

impl Sink for SlowDisk {
    type Outcome = ();
    type Feedback = ();
    type Checkpoint = ();
    type Error = Fault;

    fn take(&mut self, (): ()) {}

    fn has_pending(&self) -> bool {
        true
    }

    fn write(&mut self, _: &mut Vec<()>) -> Result<(), Fault> {
        self.clock.set(self.clock.get() + self.takes.get());
        self.calls.set(self.calls.get() + 1);
        if self.refuses { Err(Fault::Retry("no space left".to_owned())) } else { Ok(()) }
    }

    fn tick(&mut self, _: &mut Vec<()>) -> Result<(), Fault> {
        if self.tick_refuses.get() { Err(Fault::RetryLogged) } else { Ok(()) }
    }

    fn holds_back(&self) -> bool {
        !self.refuses
    }

    fn unsettled(&self) -> u64 {
        self.unsettled
    }

    fn needs_checkpoint(&self) -> bool {
        self.unsettled > 0
    }

    fn checkpoint(&mut self) {}
}

/// A stage, its clock, and the number of its writes.
struct Stage {
    sink: SinkLoop<SlowDisk>,
    clock: Rc<Cell<Instant>>,
    takes: Rc<Cell<Duration>>,
    tick_refuses: Rc<Cell<bool>>,
    calls: Rc<Cell<u32>>,
    checkpoints: Receiver<()>,
}

impl Stage {
    fn new(refuses: bool) -> Stage {
        Stage::with(refuses, 0, SECOND)
    }

    fn with(refuses: bool, unsettled: u64, settle_max: Duration) -> Stage {
        Stage::settling(refuses, unsettled, MS, settle_max)
    }

    fn settling(refuses: bool, unsettled: u64, settle_min: Duration, settle_max: Duration) -> Stage {
        let (clock, calls) = (Rc::new(Cell::new(Instant::now())), Rc::default());
        let (takes, tick_refuses) = (Rc::new(Cell::new(WRITE)), Rc::new(Cell::new(false)));
        let disk = SlowDisk {
            clock: Rc::clone(&clock),
            takes: Rc::clone(&takes),
            calls: Rc::clone(&calls),
            refuses,
            tick_refuses: Rc::clone(&tick_refuses),
            unsettled,
        };
        let limits = PipelineLimits { workers: 1, memory: 100, settle_min, settle_max };
        let (_handle, stop) = shutdown::pair();
        let run = PipelineRun::new("test", &stop, &Counters::shared("test", CountedUnit::Records));
        let (budget, feedback) = (crate::pipeline::budget::Budget::new(100), unbounded().0);
        let (to_settle, checkpoints) = bounded(1);
        let sink = SinkLoop::new(disk, limits, budget, to_settle, bounded(1).1, feedback, Arc::new(run));
        Stage { sink, clock, takes, tick_refuses, calls, checkpoints }
    }

    /// Lets time pass, does what is due, and returns whether that was the end.
    fn step_after(&mut self, pause: Duration) -> bool {
        self.clock.set(self.clock.get() + pause);
        let clock = Rc::clone(&self.clock);
        self.sink.step(true, || clock.get())
    }
}

/// However long a failing disk takes to refuse a write, a pause follows before the next write.
#[test]
fn pauses_count_from_the_end_of_a_refused_write() {
    let mut stage = Stage::new(true);
    stage.step_after(Duration::ZERO);
    stage.step_after(MS * 40);
    assert_eq!(stage.calls.get(), 1, "the pause of 50 ms or more has not passed");
    stage.step_after(SECOND);
    assert_eq!(stage.calls.get(), 2);
}

/// At the end of a run, held-back outcomes get their whole time, even after a long write.
#[test]
fn the_wait_for_held_back_outcomes_begins_after_a_write() {
    let mut stage = Stage::new(false);
    stage.sink.workers_have_ended();
    assert!(!stage.step_after(Duration::ZERO), "its time begins after the write");
    assert!(!stage.step_after(Duration::ZERO));
    assert!(stage.step_after(SECOND * 4), "and ends");
}

/// That time is as long as it is said to be.
#[test]
fn held_back_outcomes_are_given_up_in_time() {
    let mut stage = Stage::new(false);
    stage.takes.set(Duration::ZERO);
    stage.sink.workers_have_ended();
    assert!(!stage.step_after(Duration::ZERO));
    assert!(!stage.step_after(HELD_AT_END_MAX - MS));
    assert!(stage.step_after(MS));
}

/// While one outcome follows the other, written ones still settle when the longest time between two
/// settlings is over, and not before.
#[test]
fn a_steady_stream_settles_in_time() {
    let longest = WRITE * 4;
    let mut stage = Stage::with(false, 49, longest);
    for (step, is_due) in [(1, false), (2, false), (3, false), (4, true)] {
        let clock = Rc::clone(&stage.clock);
        assert!(!stage.sink.step(false, || clock.get()));
        assert_eq!(stage.checkpoints.try_recv().is_ok(), is_due, "after {step} writes");
        stage.clock.set(stage.clock.get() + SECOND);
    }
}

/// What is written settles early if it takes half of the memory.
#[test]
fn half_a_budget_settles_before_its_time() {
    for (unsettled, is_due) in [(49, false), (50, true)] {
        let mut stage = Stage::with(false, unsettled, WRITE * 4);
        let clock = Rc::clone(&stage.clock);
        assert!(!stage.sink.step(false, || clock.get()));
        assert_eq!(stage.checkpoints.try_recv().is_ok(), is_due, "{unsettled} of 100");
    }
}

/// The stage wakes when the next settling is due, or else with the next tick.
#[test]
fn the_stage_waits_for_what_is_due_next() {
    let (shortest, longest) = (MS * 100, WRITE * 100);
    let stage = Stage::settling(false, 0, shortest, longest);
    assert_eq!(stage.sink.next_due(stage.clock.get()), TICK_INTERVAL, "nothing is to be settled");
    let mut stage = Stage::settling(false, 1, shortest, longest);
    let due = stage.sink.next_due(stage.clock.get());
    assert!(due > MS * 50 && due <= shortest + MS * 50, "{due:?}");
    assert_eq!(stage.sink.next_due(stage.clock.get() + shortest * 2), Duration::ZERO);
    stage.step_after(Duration::ZERO);
    assert!(stage.checkpoints.try_recv().is_ok());
    let due = stage.sink.next_due(stage.clock.get() + MS * 40);
    assert_eq!(due, Duration::ZERO, "held-back outcomes are tried again, though it is settling");
}

/// What the clock asks for comes first, and a disk that refuses it gets nothing more.
#[test]
fn nothing_is_written_when_the_tick_is_refused() {
    let mut stage = Stage::new(false);
    stage.tick_refuses.set(true);
    stage.step_after(Duration::ZERO);
    assert_eq!(stage.calls.get(), 0);
    stage.tick_refuses.set(false);
    stage.step_after(SECOND);
    assert_eq!(stage.calls.get(), 1, "a refusal that is logged already is tried again");
}
