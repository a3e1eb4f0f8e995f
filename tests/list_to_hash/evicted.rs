//! Goal: an instance that lives keeps its batches, although the server deletes its heartbeat because the
//! memory is full. Method: caches of other clients fill the memory of the list's server while a batch is in
//! flight.

use crate::support::daemon::Daemon;
use crate::support::eviction::{POLICY, evicting, under_pressure, wait_evicting};
use crate::support::queue::Queue;
use crate::support::redis::{Redis, newest};
use crate::support::wait;
use crate::support::wait::seconds;

const TAKEN_OVER: &str = "took over";

#[test]
fn evicted_heartbeat_is_no_end() {
    for version in newest() {
        let queue = Queue::on(evicting(&version), Redis::up(&version), 500);
        let tested = queue.ar.tested("list_to_hash", "evictions on the list's server");
        let inv = queue.inv().set("panda_server_section", "queue['life']", "2");
        let (mut still, mut other) = (Daemon::new(&inv), Daemon::new(&inv));
        still.start_and_wait();
        queue.ar.hang();
        queue.push(0..200);
        under_pressure(&queue.list, || {
            wait_evicting(&queue.list);
            wait::until("a batch is taken", seconds(20), || !queue.batches().is_empty());
            other.start_and_wait();
            std::thread::sleep(seconds(7));
            assert!(other.log_lines(TAKEN_OVER).is_empty(), "{:?}", other.log_lines(TAKEN_OVER));
            // The beat of an instance whose process is gone counts no more.
            still.kill9();
            other.wait_log(TAKEN_OVER, seconds(20));
        });
        queue.ar.resume();
        queue.push(200..500);
        queue.wait_done(&mut other, seconds(30));
        other.stop();
        assert_eq!(other.log_lines(POLICY).len(), 1);
        tested.passed("500 items");
    }
}
