//! Goal: pandad waits for a broker that is down, restarts, hangs or does not have the topic yet. Method:
//! one line is logged when the outage begins and one when it ends, with its duration, and no record is
//! missing or doubled.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::victim;
use crate::support::wait::seconds;
use crate::support::{all, unique};

/// The lines of an outage: `unreachable` at the start, `lost` later, or that it closed the connection.
fn down(daemon: &Daemon) -> Vec<String> {
    let says = |line: &String| {
        ["unreachable", "lost", "closed the connection"].iter().any(|word| line.contains(word))
    };
    daemon.log_lines("WARN").into_iter().filter(says).collect()
}

#[track_caller]
fn assert_one_outage(daemon: &Daemon) {
    let (down, up) = (down(daemon), daemon.log_lines("back after"));
    assert_eq!((down.len(), up.len()), (1, 1), "one line down and one up: {down:#?} {up:#?}");
    println!("{}\n{}", down[0], up[0]);
}

#[test]
fn broker_down_at_start_is_waited_for() {
    let victim = victim();
    let tested = victim.kafka.tested("the broker is down at the start");
    let topic = unique("late");
    victim.kafka.create(&topic, 2);
    Produce::seq(&victim.kafka, &topic, 1000).with("--partitions", 2).run();
    let mut daemon = Daemon::new(&Inv::log(&victim.kafka, &topic, &unique("late")));
    victim.stop();
    daemon.start();
    daemon.wait_log("unreachable", seconds(30));
    let cpu = daemon.cpu();
    std::thread::sleep(seconds(5));
    let share = (daemon.cpu() - cpu).as_secs_f64() / 5.0 * 100.0;
    println!("while it waits: CPU {share:.1} %");
    assert!(share < 4.0, "{share:.1} % CPU while it waits");
    victim.start();
    daemon.wait_log("back after", seconds(60));
    daemon.finish(&[500, 500], seconds(30));
    assert_one_outage(&daemon);
    tested.passed("1000 records");
}

#[test]
fn restarted_broker_loses_nothing() {
    let victim = victim();
    let tested = victim.kafka.tested("the broker restarts in mid-stream");
    let topic = unique("restart");
    victim.kafka.create(&topic, 4);
    let produce = Produce::seq(&victim.kafka, &topic, 12_000).with("--partitions", 4).with("--rate", 600);
    let producing = produce.with("--codec", "snappy").start();
    let mut daemon = Daemon::new(&Inv::log(&victim.kafka, &topic, &unique("restart")));
    daemon.start();
    daemon.wait_written_at_least(1000, seconds(30));
    victim.stop();
    victim.start();
    daemon.wait_log("back after", seconds(60));
    assert_one_outage(&daemon);
    if all() {
        // A killed broker is forgotten by ZooKeeper only after its session.
        victim.kill();
        victim.start();
    }
    producing.finish();
    daemon.finish(&[3000; 4], seconds(60));
    tested.passed("12000 records");
}

#[test]
fn hung_broker_loses_nothing() {
    let victim = victim();
    let tested = victim.kafka.tested("a broker that hangs");
    let topic = unique("pause");
    victim.kafka.create(&topic, 2);
    let produce = Produce::seq(&victim.kafka, &topic, 10_000).with("--partitions", 2).with("--rate", 600);
    let producing = produce.start();
    let mut daemon = Daemon::new(&Inv::log(&victim.kafka, &topic, &unique("pause")));
    daemon.start();
    daemon.wait_written_at_least(1000, seconds(30));
    victim.hang();
    // This pause is shorter than ZooKeeper's session, and longer than a request should take.
    std::thread::sleep(seconds(4));
    victim.resume();
    producing.finish();
    daemon.finish(&[5000, 5000], seconds(120));
    tested.passed("10000 records");
}

/// This broker creates no topics by itself.
#[test]
fn missing_topic_is_waited_for() {
    let victim = victim();
    let tested = victim.kafka.tested("a topic that does not exist yet");
    let topic = unique("not-yet");
    let mut daemon = Daemon::new(&Inv::log(&victim.kafka, &topic, &unique("not-yet")));
    daemon.start();
    daemon.wait_log(&topic, seconds(30));
    std::thread::sleep(seconds(3));
    assert!(daemon.running(), "it did not wait");
    victim.kafka.create(&topic, 2);
    Produce::seq(&victim.kafka, &topic, 1000).with("--partitions", 2).run();
    daemon.finish(&[500, 500], seconds(60));
    tested.passed("1000 records");
}
