//! Goal: a topic that was deleted and recreated has new records at old offsets, and all of them
//! are read. Method: the new topic is longer than the old one was.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::victim;
use crate::support::unique;
use crate::support::wait::seconds;

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
