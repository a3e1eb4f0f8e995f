//! Goal: a job that fails for good leaves the others alone, or ends them, as on_failure says.
//! Method: the legacy client is asked to read Kafka 4, which it cannot.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::queue::Queue;
use crate::support::redis::NEWEST;
use crate::support::servers::kafka;
use crate::support::unique;
use crate::support::wait::seconds;
use rustix::process::Signal;

#[test]
fn failed_job_stays_or_ends_the_process() {
    let kafka = kafka("4.1.0");
    let tested = kafka.tested("a job fails for good, the others go on or settle");
    let topic = unique("failed-job");
    kafka.create(&topic, 1);
    let fails = Inv::log(&kafka, &topic, &unique("failed-job"))
        .job("kafka['client']", "crate")
        .job("kafka['isolation']", "read_uncommitted");
    let queue = Queue::up(NEWEST, 200);
    let both = fails.and(queue.inv());

    let mut daemon = Daemon::new(&both);
    daemon.start();
    daemon.wait_log("kafka_to_file: failed: ", seconds(30));
    queue.push(0..200);
    queue.wait_done(&mut daemon, seconds(30));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(10)).code(), Some(1));
    assert!(daemon.log().contains("kafka_to_file: ended; state=failed records=0 "), "the state names it");
    assert!(daemon.log().contains("pandad: a job has failed for good: kafka_to_file: "));
    queue.assert_clean();

    let mut daemon = Daemon::new(&both.set("daemon_section", "on_failure", "exit"));
    daemon.start();
    assert_eq!(daemon.wait_exit(seconds(30)).code(), Some(1), "it ends by itself");
    assert!(
        daemon.log().contains("kafka_to_file: failed for good: ")
            && daemon.log().contains("list_to_hash: ended")
    );
    queue.assert_clean();
    tested.passed("200 items");
}
