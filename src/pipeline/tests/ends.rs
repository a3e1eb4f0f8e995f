//! How a run ends: which error it returns, and what is settled then.

use super::*;

#[test]
fn a_settle_fault_ends_the_run_for_a_restart() {
    let running = start(World { settle_fails: true.into(), ..World::default() }, 1, u64::MAX);
    assert_eq!(running.thread.join(), Ok(Err(Fault::Retry("fsync failed".to_owned()).into())));
    assert!(running.world.settled.lock().unwrap().is_empty());
}

/// If the source ends by an error that only the job knows, the records that it polled are still written and
/// settled. If the sink ends by one, they are not.
#[test]
fn errors_that_only_the_job_knows_are_returned_unchanged() {
    let running = start(World::default(), 1, u64::MAX);
    wait_until("some settled", || !running.world.settled.lock().unwrap().is_empty());
    running.world.source_leaves.store(true, SeqCst);
    assert_eq!(running.thread.join(), Ok(Err(TestError::Left("source"))));
    let settled = running.world.settled.lock().unwrap().len() as u64;
    assert_eq!(settled, running.world.polled.load(SeqCst));
    let running = start(World { sink_leaves: true.into(), ..World::default() }, 1, u64::MAX);
    assert_eq!(running.thread.join(), Ok(Err(TestError::Left("sink"))));
    assert!(running.world.settled.lock().unwrap().is_empty());
    assert!(!running.counters.disk_refuses.load(SeqCst), "the disk does not refuse");
}

/// Errors that the source returns while the run completes what is in flight are kept as well.
#[test]
fn errors_of_an_ending_run_are_kept_with_the_first() {
    let world = World { slow_worker: true.into(), sink_holds_back: true.into(), ..World::default() };
    let running = start(world, 1, 10);
    wait_until("all are polled", || running.world.polled.load(SeqCst) == 10);
    running.world.source_leaves.store(true, SeqCst);
    let calls = running.world.idle_calls.load(SeqCst);
    wait_until("the run is ending", || running.world.idle_calls.load(SeqCst) > calls);
    running.world.idle_leaves.store(true, SeqCst);
    wait_until("the error is reported", || !running.world.idle_leaves.load(SeqCst));
    running.world.sink_holds_back.store(false, SeqCst);
    assert_eq!(running.thread.join(), Ok(Err(TestError::Both("source", "idle"))));
}

/// After a stop, errors that the source returns while the run completes are dropped.
#[test]
fn errors_after_a_stop_do_not_fail_the_run() {
    let running = start(World { sink_holds_back: true.into(), ..World::default() }, 1, 10);
    wait_until("all are polled", || running.world.polled.load(SeqCst) == 10);
    running.stop.request();
    let calls = running.world.idle_calls.load(SeqCst);
    wait_until("the run is ending", || running.world.idle_calls.load(SeqCst) > calls);
    running.world.idle_leaves.store(true, SeqCst);
    wait_until("the error is reported", || !running.world.idle_leaves.load(SeqCst));
    running.world.sink_holds_back.store(false, SeqCst);
    assert_eq!(running.thread.join(), Ok(Ok(())));
}

#[test]
fn a_panic_of_the_source_ends_the_run_after_settling() {
    let running = start(World::default(), 1, u64::MAX);
    wait_until("some settled", || !running.world.settled.lock().unwrap().is_empty());
    running.world.source_panics.store(true, SeqCst);
    let ended = running.thread.join().unwrap();
    assert!(
        matches!(&ended, Err(TestError::Fault(Fault::Retry(why))) if why.contains("panic of the source")),
        "{ended:?}"
    );
    let settled = running.world.settled.lock().unwrap().len() as u64;
    assert_eq!(settled, running.world.polled.load(SeqCst));
}

#[test]
fn the_second_stop_ends_tasks_that_the_first_waits_for() {
    let running = start(World { worker_faults: (1 << 40).into(), ..World::default() }, 1, 10);
    wait_until("the worker fails", || running.counters.panics.load(SeqCst) > 0);
    running.stop.request();
    std::thread::sleep(MS * 20);
    assert!(!running.thread.is_finished(), "workers never see the first stop");
    running.stop.force();
    assert_eq!(running.thread.join(), Ok(Ok(())));
}
