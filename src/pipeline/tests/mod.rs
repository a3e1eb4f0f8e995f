//! The pipeline with parts in memory that fail, panic and stall.

mod direct;
mod ends;
mod sink_clock;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::report::{CountedUnit, Counters};
use crate::shutdown::{self, StopHandle};

const MS: Duration = Duration::from_millis(1);

/// The state that the parts of one test share.
#[derive(Default)]
struct World {
    /// The outcomes that were written and have settled: (lane, number).
    settled: Mutex<Vec<(u32, u64)>>,
    written: Mutex<Vec<(u32, u64)>>,
    polled: AtomicU64,
    /// Bytes that were polled and are not written yet; `most_held` is the largest number so far.
    held: AtomicU64,
    most_held: AtomicU64,
    sink_refuses: AtomicBool,
    sink_holds_back: AtomicBool,
    idle_calls: AtomicU64,
    settle_fails: AtomicBool,
    settle_hangs: AtomicBool,
    /// Polls that may not wait for anything.
    hurried_polls: AtomicU64,
    source_panics: AtomicBool,
    source_leaves: AtomicBool,
    idle_leaves: AtomicBool,
    sink_leaves: AtomicBool,
    sink_has_ended: AtomicBool,
    finished: AtomicBool,
    worker_faults: AtomicU64,
    slow_worker: AtomicBool,
}

/// The error of a run of this job. `Left` is known to no other job.
#[derive(Debug, PartialEq)]
enum TestError {
    Fault(Fault),
    Left(&'static str),
    Both(&'static str, &'static str),
}

impl From<Fault> for TestError {
    fn from(fault: Fault) -> Self {
        TestError::Fault(fault)
    }
}

impl PipelineError for TestError {
    fn fault(&self) -> Option<&Fault> {
        match self {
            TestError::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    fn add_later(&mut self, later: TestError) {
        if let (TestError::Left(first), TestError::Left(later)) = (&*self, &later) {
            *self = TestError::Both(first, later);
        }
    }
}

struct Numbers {
    world: Arc<World>,
    lanes: u32,
    each: u64,
    next: BTreeMap<u32, u64>,
}

impl Source for Numbers {
    type Task = (u32, u64);
    type Feedback = Vec<(u32, u64)>;
    type Error = TestError;

    fn poll(&mut self, until: Instant, items: &mut Vec<PolledTask<Self::Task>>) -> Result<(), TestError> {
        if self.world.source_leaves.load(SeqCst) {
            return Err(TestError::Left("source"));
        }
        assert!(!self.world.source_panics.swap(false, SeqCst), "panic of the source");
        if until <= Instant::now() {
            self.world.hurried_polls.fetch_add(1, SeqCst);
        }
        let before = items.len();
        for lane in 0..self.lanes {
            let next = self.next.entry(lane).or_default();
            if *next < self.each {
                items.push(PolledTask { lane, bytes: 10, task: (lane, *next) });
                *next += 1;
                self.world.polled.fetch_add(1, SeqCst);
                let held = self.world.held.fetch_add(10, SeqCst) + 10;
                self.world.most_held.fetch_max(held, SeqCst);
            }
        }
        if items.len() == before {
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(MS));
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<(), TestError> {
        self.world.idle_calls.fetch_add(1, SeqCst);
        if self.world.idle_leaves.swap(false, SeqCst) {
            return Err(TestError::Left("idle"));
        }
        Ok(())
    }

    fn feedback(&mut self, message: Self::Feedback) {
        self.world.settled.lock().unwrap().extend(message);
    }

    fn finish(&mut self, until: Instant) {
        self.world.finished.store(until > Instant::now(), SeqCst);
    }
}

struct Doubler(Arc<World>);

impl Worker for Doubler {
    type Task = (u32, u64);
    type Outcome = (u32, u64);

    fn work(&mut self, task: &(u32, u64)) -> Result<((u32, u64), u64), Fault> {
        if self.0.slow_worker.load(SeqCst) {
            std::thread::sleep(MS * (fastrand::u32(0..3)));
        }
        // Every third attempt fails, by a panic or by an error.
        match self.0.worker_faults.fetch_sub(1, SeqCst) {
            0 => self.0.worker_faults.store(0, SeqCst),
            n if n > 1 << 60 => self.0.worker_faults.store(0, SeqCst),
            n if n % 2 == 0 => panic!("panic of the worker"),
            _ => return Err(Fault::Retry("error of the worker".to_owned())),
        }
        Ok((*task, 10))
    }
}

struct Shelf {
    world: Arc<World>,
    pending: VecDeque<(u32, u64)>,
    unsettled: Vec<(u32, u64)>,
}

impl Sink for Shelf {
    type Outcome = (u32, u64);
    type Feedback = Vec<(u32, u64)>;
    type Checkpoint = Vec<(u32, u64)>;
    type Error = TestError;

    fn take(&mut self, outcome: (u32, u64)) {
        self.pending.push_back(outcome);
    }

    fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn write(&mut self, _: &mut Vec<Self::Feedback>) -> Result<(), TestError> {
        if self.world.sink_leaves.load(SeqCst) {
            return Err(TestError::Left("sink"));
        }
        while let Some(outcome) = self.pending.front().copied() {
            if self.world.sink_holds_back.load(SeqCst) {
                return Ok(());
            }
            if self.world.sink_refuses.load(SeqCst) {
                return Err(Fault::Retry("no space left".to_owned()).into());
            }
            self.pending.pop_front();
            self.world.written.lock().unwrap().push(outcome);
            self.world.held.fetch_sub(10, SeqCst);
            self.unsettled.push(outcome);
        }
        Ok(())
    }

    fn end(&mut self) {
        self.world.sink_has_ended.store(true, SeqCst);
    }

    fn holds_back(&self) -> bool {
        self.has_pending()
    }

    fn unsettled(&self) -> u64 {
        self.unsettled.len() as u64 * 10
    }

    fn needs_checkpoint(&self) -> bool {
        !self.unsettled.is_empty()
    }

    fn checkpoint(&mut self) -> Self::Checkpoint {
        std::mem::take(&mut self.unsettled)
    }
}

struct Clerk(Arc<World>);

impl Settle for Clerk {
    type Checkpoint = Vec<(u32, u64)>;
    type Feedback = Vec<(u32, u64)>;
    type Error = TestError;

    fn settle(&mut self, checkpoint: Self::Checkpoint) -> Result<Self::Feedback, TestError> {
        while self.0.settle_hangs.load(SeqCst) {
            std::thread::sleep(MS);
        }
        if self.0.settle_fails.load(SeqCst) {
            return Err(Fault::Retry("fsync failed".to_owned()).into());
        }
        Ok(checkpoint)
    }
}

struct Running<E> {
    world: Arc<World>,
    counters: Arc<Counters>,
    stop: StopHandle,
    thread: crate::threads::Thread<Result<(), E>>,
}

fn start(world: World, lanes: u32, each: u64) -> Running<TestError> {
    let world = Arc::new(world);
    let (handle, stop) = shutdown::pair();
    let counters = Counters::shared("test", CountedUnit::Records);
    let limits = PipelineLimits { workers: 3, memory: 200, settle_min: MS, settle_max: MS * 50 };
    let (parts_world, run_counters) = (Arc::clone(&world), Arc::clone(&counters));
    let thread = crate::threads::spawn("run", move || {
        let world = parts_world;
        let worker_world = Arc::clone(&world);
        let parts = Parts {
            source: Numbers { world: Arc::clone(&world), lanes, each, next: BTreeMap::new() },
            build_worker: move || Doubler(Arc::clone(&worker_world)),
            sink: Shelf { world: Arc::clone(&world), pending: VecDeque::new(), unsettled: Vec::new() },
            settle: Clerk(world),
        };
        run("test_job", &limits, parts, &stop, &run_counters)
    })
    .unwrap();
    Running { world, counters, stop: handle, thread }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "this did not become true: {what}");
        std::thread::sleep(MS);
    }
}

/// Each lane is complete and in order.
fn assert_in_order(list: &[(u32, u64)], lanes: u32, each: u64) {
    for lane in 0..lanes {
        let numbers: Vec<u64> = list.iter().filter(|(l, _)| *l == lane).map(|(_, n)| *n).collect();
        assert_eq!(numbers, (0..each).collect::<Vec<u64>>(), "lane {lane}");
    }
}

#[test]
fn failing_workers_lose_repeat_and_reorder_nothing() {
    let world = World { worker_faults: 9.into(), slow_worker: true.into(), ..World::default() };
    let running = start(world, 3, 50);
    wait_until("all settled", || running.world.settled.lock().unwrap().len() == 150);
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
    assert_in_order(&running.world.written.lock().unwrap(), 3, 50);
    assert_in_order(&running.world.settled.lock().unwrap(), 3, 50);
    assert!(running.world.finished.load(SeqCst), "the source has time for its last commit");
    assert_eq!(running.world.hurried_polls.load(SeqCst), 0);
    assert!(running.counters.panics.load(SeqCst) > 0);
}

/// While a disk is slow to sync, no more than the budget is written beyond what is being settled: a loss of
/// power costs no more work than that.
#[test]
fn a_sync_that_hangs_stops_writing_at_the_budget() {
    let running = start(World { settle_hangs: true.into(), ..World::default() }, 2, 2000);
    wait_until("some written", || running.world.written.lock().unwrap().len() >= 20);
    let written = || running.world.written.lock().unwrap().len();
    let mut before = 0;
    // Until nothing more is written.
    wait_until("writing stops", || {
        std::thread::sleep(MS * 100);
        std::mem::replace(&mut before, written()) == written()
    });
    assert!(before < 1000, "{before} of 4000");
    assert!(running.counters.oldest_unsettled_ms() >= 100, "the state line says for how long");
    running.world.settle_hangs.store(false, SeqCst);
    wait_until("all settled", || running.world.settled.lock().unwrap().len() == 4000);
    wait_until("the state line says so", || running.counters.oldest_unsettled_ms() == 0);
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
}

#[test]
fn the_first_stop_settles_what_was_polled() {
    let running = start(World { slow_worker: true.into(), ..World::default() }, 2, u64::MAX);
    wait_until("some written", || running.world.written.lock().unwrap().len() > 20);
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
    let settled = running.world.settled.lock().unwrap().len() as u64;
    assert_eq!(settled, running.world.polled.load(SeqCst));
}

#[test]
fn a_refusing_sink_stops_polling_and_loses_nothing() {
    let running = start(World { sink_refuses: true.into(), ..World::default() }, 2, 200);
    wait_until("the disk is said to refuse", || running.counters.disk_refuses.load(SeqCst));
    std::thread::sleep(MS * 30);
    // The budget is 200 bytes, and one poll may exceed it.
    assert!(running.world.most_held.load(SeqCst) <= 220, "{:?}", running.world.most_held);
    running.world.sink_refuses.store(false, SeqCst);
    wait_until("all settled", || running.world.settled.lock().unwrap().len() == 400);
    assert!(!running.counters.disk_refuses.load(SeqCst));
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
    assert_in_order(&running.world.written.lock().unwrap(), 2, 200);
}

/// No later outcome arrives that would cause another attempt.
#[test]
fn a_refused_last_outcome_is_tried_again() {
    let running = start(World { sink_refuses: true.into(), ..World::default() }, 1, 1);
    wait_until("the disk is said to refuse", || running.counters.disk_refuses.load(SeqCst));
    std::thread::sleep(MS * 300);
    assert!(running.counters.disk_refuses.load(SeqCst), "the sink still refuses");
    assert!(running.counters.oldest_unsettled_ms() >= 200, "{}", running.counters.oldest_unsettled_ms());
    running.world.sink_refuses.store(false, SeqCst);
    wait_until("the outcome has settled", || running.world.settled.lock().unwrap().len() == 1);
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
}

#[test]
fn a_stop_while_the_sink_refuses_ends_at_once() {
    let running = start(World { sink_refuses: true.into(), ..World::default() }, 2, 200);
    wait_until("the disk is said to refuse", || running.counters.disk_refuses.load(SeqCst));
    running.stop.request();
    let asked = Instant::now();
    assert_eq!(running.thread.join(), Ok(Ok(())));
    assert!(asked.elapsed() < Duration::from_secs(4));
    assert_eq!(running.world.settled.lock().unwrap().len(), 0);
    assert!(running.world.sink_has_ended.load(SeqCst), "the sink was told");
}

/// Outcomes that may not be written yet do not mean that the disk fails. They stay within the budget, and
/// the pipeline calls `idle` of the source in the meantime.
#[test]
fn outcomes_held_back_are_written_once_they_may_be() {
    let world = World { sink_holds_back: true.into(), ..World::default() };
    let running = start(world, 2, 200);
    wait_until("the budget is full", || running.world.held.load(SeqCst) >= 200);
    std::thread::sleep(MS * 50);
    assert!(running.world.written.lock().unwrap().is_empty());
    assert!(running.world.most_held.load(SeqCst) <= 240, "outcomes held back count as held");
    assert!(!running.counters.disk_refuses.load(SeqCst));
    assert!(running.world.idle_calls.load(SeqCst) > 0);
    running.world.sink_holds_back.store(false, SeqCst);
    wait_until("all settled", || running.world.settled.lock().unwrap().len() == 400);
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
    assert_in_order(&running.world.written.lock().unwrap(), 2, 200);
}

/// If the outcomes may never be written, the run ends all the same.
#[test]
fn a_stop_waits_briefly_for_outcomes_held_back() {
    let world = World { sink_holds_back: true.into(), ..World::default() };
    let running = start(world, 1, 10);
    wait_until("all is in flight", || running.world.polled.load(SeqCst) == 10);
    running.stop.request();
    std::thread::sleep(MS * 300);
    assert!(!running.thread.is_finished());
    running.world.sink_holds_back.store(false, SeqCst);
    assert_eq!(running.thread.join(), Ok(Ok(())));
    assert_eq!(running.world.settled.lock().unwrap().len(), 10);
    // Now the outcomes may never be written.
    let world = World { sink_holds_back: true.into(), ..World::default() };
    let running = start(world, 1, 10);
    wait_until("all is in flight", || running.world.polled.load(SeqCst) == 10);
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
    assert!(running.world.written.lock().unwrap().is_empty());
}
