//! The sink's stage on a disk whose writes take long. Each write advances the clock of the test.

use std::cell::Cell;
use std::rc::Rc;

use crossbeam_channel::{bounded, unbounded};

use super::*;
use crate::pipeline::run::PipelineRun;
use crate::pipeline::sink_loop::SinkLoop;

const SECOND: Duration = Duration::from_secs(1);
/// How long one write takes.
const WRITE: Duration = Duration::from_secs(30);

/// A sink that writes nothing; each attempt takes [`WRITE`].
struct SlowDisk {
    clock: Rc<Cell<Instant>>,
    calls: Rc<Cell<u32>>,
    refuses: bool,
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
        self.clock.set(self.clock.get() + WRITE);
        self.calls.set(self.calls.get() + 1);
        if self.refuses { Err(Fault::Retry("no space left".to_owned())) } else { Ok(()) }
    }

    fn holds_back(&self) -> bool {
        !self.refuses
    }

    fn unsettled(&self) -> u64 {
        0
    }

    fn needs_checkpoint(&self) -> bool {
        false
    }

    fn checkpoint(&mut self) {}
}

/// A stage, its clock, and the number of its writes.
struct Stage {
    sink: SinkLoop<SlowDisk>,
    clock: Rc<Cell<Instant>>,
    calls: Rc<Cell<u32>>,
}

impl Stage {
    fn new(refuses: bool) -> Stage {
        let (clock, calls) = (Rc::new(Cell::new(Instant::now())), Rc::default());
        let disk = SlowDisk { clock: Rc::clone(&clock), calls: Rc::clone(&calls), refuses };
        let limits = PipelineLimits { workers: 1, memory: 100, settle_min: MS, settle_max: SECOND };
        let (_handle, stop) = shutdown::pair();
        let run = PipelineRun::new("test", &stop, &Counters::shared("test", CountedUnit::Records));
        let (budget, feedback) = (crate::pipeline::budget::Budget::new(100), unbounded().0);
        let sink = SinkLoop::new(disk, limits, budget, bounded(1).0, bounded(1).1, feedback, Arc::new(run));
        Stage { sink, clock, calls }
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
