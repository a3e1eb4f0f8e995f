//! Goal: a topic that was deleted and recreated has new records at old offsets, and all of them
//! are read. Method: the new topic is longer than the old one was, or shorter, or empty at first.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, kafka, victim};
use crate::support::wait::seconds;
use crate::support::{all, unique};

/// Ten old records; then more than ten new ones. The new records name another partition, so that the
/// checker can distinguish them from the old ones.
fn made_anew(while_it_runs: bool) {
    let victim = victim();
    let while_it = if while_it_runs { "while pandad runs" } else { "while pandad is stopped" };
    let tested = victim.kafka.tested(&format!("the topic is recreated {while_it}"));
    let topic = unique("anew");
    victim.kafka.create(&topic, 1);
    Produce::seq(&victim.kafka, &topic, 10).run();
    let mut daemon = Daemon::new(&Inv::log(&victim.kafka, &topic, &unique("anew")));
    daemon.start();
    daemon.wait_written(&[10], seconds(30));
    if !while_it_runs {
        daemon.stop();
    }
    // A running pandad must find that the topic is missing. By the end of the pause its attempts must be so
    // rare that at the next one the new topic is longer than the old one was.
    victim.kafka.remake(&topic, 1, if while_it_runs { 8 } else { 0 });
    Produce::seq(&victim.kafka, &topic, 50).with("--base", 1).run();
    if !while_it_runs {
        daemon.start();
    }
    daemon.wait_log("recreated or truncated", seconds(60));
    daemon.finish(&[10, 50], seconds(30));
    tested.passed("60 records");
}

#[test]
fn topic_recreated_while_running() {
    made_anew(true);
}

#[test]
fn topic_recreated_while_stopped() {
    made_anew(false);
}

/// When the topic is recreated that is shorter than what was read of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shorter {
    WhileStopped,
    WhileRunning,
    /// It is empty until pandad has seen it.
    EmptyAtFirst,
}

/// Twenty old records, then five new ones: the id of the topic says that the log is another one.
fn shorter(kafka: &Kafka, when: Shorter) {
    let tested = kafka.tested(&format!("the topic is recreated with fewer records: {when:?}"));
    let topic = unique("shorter");
    kafka.create(&topic, 1);
    Produce::seq(kafka, &topic, 20).run();
    let mut daemon = Daemon::new(&Inv::log(kafka, &topic, &unique("shorter")));
    daemon.start();
    daemon.wait_written(&[20], seconds(30));
    if when == Shorter::WhileStopped {
        daemon.stop();
    }
    kafka.remake(&topic, 1, 2);
    let produce = || Produce::seq(kafka, &topic, 5).with("--base", 1).run();
    if when == Shorter::EmptyAtFirst {
        daemon.wait_log("the topic was recreated: its id is ", seconds(60));
    }
    produce();
    if when == Shorter::WhileStopped {
        daemon.start();
    }
    daemon.wait_written(&[20, 5], seconds(60));
    let told = daemon.log_lines("the topic was recreated: its id is ");
    assert!(
        matches!(&told[..], [line] if line.contains("going on at its first record, offset 0")),
        "{told:?}"
    );
    // The new topic is the one that is known now.
    daemon.stop();
    daemon.start();
    Produce::seq(kafka, &topic, 3).with("--base", 1).with("--first", 5).run();
    daemon.wait_written(&[20, 8], seconds(60));
    assert_eq!(daemon.log_lines("recreated"), Vec::<String>::new());
    daemon.finish(&[20, 8], seconds(30));
    tested.passed("28 records");
}

#[test]
fn a_topic_that_is_recreated_with_fewer_records_is_read() {
    let versions: &[&str] = if all() { &["2.8.2", "3.9.1", "4.1.0"] } else { &["3.9.1"] };
    std::thread::scope(|scope| {
        for version in versions {
            for when in [Shorter::WhileStopped, Shorter::WhileRunning, Shorter::EmptyAtFirst] {
                scope.spawn(move || shorter(&kafka(version), when));
            }
        }
    });
}
