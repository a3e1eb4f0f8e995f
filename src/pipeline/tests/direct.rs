//! A pipeline without a sink.

use super::*;

/// A source that counts down. At the stop it still has tasks to drain.
struct Countdown {
    left: u64,
    taken: u64,
    finished: Arc<World>,
}

impl Source for Countdown {
    type Task = u64;
    type Feedback = std::convert::Infallible;
    type Error = Fault;

    fn poll(&mut self, until: Instant, items: &mut Vec<PolledTask<u64>>) -> Result<(), Fault> {
        if self.left == 0 {
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(MS));
            return Ok(());
        }
        self.left -= 1;
        items.push(PolledTask { lane: 0, bytes: 10, task: self.left });
        Ok(())
    }

    fn drain(&mut self, items: &mut Vec<PolledTask<u64>>) {
        items.extend((0..self.taken).map(|n| PolledTask { lane: 0, bytes: 10, task: 1000 + n }));
    }

    fn feedback(&mut self, message: Self::Feedback) {
        match message {}
    }

    fn finish(&mut self, _: Instant) {
        self.finished.finished.store(true, SeqCst);
    }
}

struct Doer<const ABANDONS: bool>(Arc<World>);

impl<const ABANDONS: bool> Worker for Doer<ABANDONS> {
    type Task = u64;
    type Outcome = ();
    const MAY_ABANDON: bool = ABANDONS;

    fn work(&mut self, task: &u64) -> Result<((), u64), Fault> {
        if self.0.sink_refuses.load(SeqCst) {
            return Err(Fault::RetryLogged);
        }
        self.0.written.lock().unwrap().push((0, *task));
        Ok(((), 0))
    }
}

fn start_direct<const ABANDONS: bool>(world: &Arc<World>, left: u64, taken: u64) -> Running<Fault> {
    let (handle, stop) = shutdown::pair();
    let counters = Counters::shared("test", CountedUnit::Items);
    let limits = PipelineLimits { workers: 2, memory: 50, settle_min: MS, settle_max: MS };
    let (worker_world, source_world, run_counters) =
        (Arc::clone(world), Arc::clone(world), Arc::clone(&counters));
    let thread = crate::threads::spawn("run", move || {
        let source = Countdown { left, taken, finished: source_world };
        let build = move || Doer::<ABANDONS>(Arc::clone(&worker_world));
        run_direct("test_job", &limits, source, build, &stop, &run_counters)
    })
    .unwrap();
    Running { world: Arc::clone(world), counters, stop: handle, thread }
}

#[test]
fn without_a_sink_polled_and_drained_tasks_are_all_done() {
    let world = Arc::new(World::default());
    let running = start_direct::<false>(&world, 100, 7);
    wait_until("all done", || world.written.lock().unwrap().len() == 100);
    running.stop.request();
    assert_eq!(running.thread.join(), Ok(Ok(())));
    let mut done: Vec<u64> = world.written.lock().unwrap().iter().map(|(_, n)| *n).collect();
    done.sort_unstable();
    assert_eq!(done, (0..100).chain(1000..1007).collect::<Vec<u64>>());
    assert!(world.finished.load(SeqCst));
}

#[test]
fn a_stop_abandons_failing_tasks_only_if_the_worker_may() {
    let world = Arc::new(World { sink_refuses: true.into(), ..World::default() });
    let leaves = start_direct::<true>(&world, 100, 0);
    let stays = start_direct::<false>(&world, 100, 0);
    std::thread::sleep(MS * 20);
    leaves.stop.request();
    stays.stop.request();
    assert_eq!(leaves.thread.join(), Ok(Ok(())));
    std::thread::sleep(MS * 20);
    assert!(!stays.thread.is_finished());
    stays.stop.force();
    assert_eq!(stays.thread.join(), Ok(Ok(())));
}
