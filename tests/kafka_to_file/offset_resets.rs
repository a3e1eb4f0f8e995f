//! Goal: an operator sets the group's offset while pandad is down, and reading goes on exactly
//! there. Method: back, forward, and to values that pandad itself had committed, by the tools of
//! each version.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, brokers};
use crate::support::tail::places;
use crate::support::{all, unique, wait};

/// New records before each round.
const MORE: i64 = 100;

#[test]
fn operator_resets_are_honoured() {
    for kafka in brokers() {
        for by in kafka.clients() {
            // In the short form each broker is read by the client that is the default for it.
            if all() || (by == ClientKind::Native) == kafka.at_least(0, 11) {
                resets(&kafka, by, if all() { 10 } else { 3 });
            }
        }
    }
}

fn resets(kafka: &Kafka, by: ClientKind, rounds: i64) {
    // The tool came with 0.11; before it, operators used a client.
    let by_tool = kafka.at_least(1, 0);
    let how = if by_tool { "kafka-consumer-groups" } else { "librdkafka" };
    let client = by.word();
    let tested = kafka.tested(&format!("offset resets by {how}, read by the {client} client"));
    let (topic, group) = (unique("resets"), unique("resets"));
    kafka.create(&topic, 1);
    let mut daemon = Daemon::new(&Inv::log(kafka, &topic, &group).client(kafka, by));
    let mut expected: Vec<u64> = Vec::new();
    let mut dice = fastrand::Rng::new();
    let mut targets = Vec::new();
    for round in 0..=rounds {
        let end = (round + 1) * MORE;
        Produce::seq(kafka, &topic, MORE as u64).with("--first", round * MORE).run();
        let from = match round {
            0 => 0,
            // The resets go, in turn: exactly to the present offset; to the offset that was committed
            // before it; to any earlier offset; forward, over records that are then never read.
            1 => round * MORE,
            2 => (round - 1) * MORE,
            odd if odd % 2 == 1 => round * MORE + dice.i64(1..MORE),
            _ => dice.i64(0..round * MORE),
        };
        if round > 0 {
            targets.push(from);
            if by_tool {
                kafka.reset_by_the_tool(&group, &topic, from);
            } else {
                kafka.set_offset(&group, &topic, 0, from);
            }
        }
        expected.extend(from as u64..end as u64);
        daemon.start();
        daemon.wait_written_at_least(expected.len() as u64, wait::seconds(30));
        // The kill comes in the middle of a commit, or after it.
        if dice.bool() {
            daemon.kill9();
        } else {
            daemon.stop();
        }
        assert!(
            places(&daemon.file) == expected,
            "round {round}, reset to {from}: {:?}",
            ends(&places(&daemon.file))
        );
    }
    // Without a reset a start adds nothing, whatever happened to the last commit.
    daemon.start_and_wait();
    std::thread::sleep(wait::millis(1500));
    daemon.stop();
    assert!(places(&daemon.file) == expected, "a start without a reset: {:?}", ends(&places(&daemon.file)));
    println!("reset to {targets:?}");
    tested.passed(format_args!("{rounds} resets"));
}

/// The first and the last number of each run of consecutive records.
fn ends(lines: &[u64]) -> Vec<(u64, u64)> {
    lines.chunk_by(|one, next| one + 1 == *next).map(|part| (part[0], part[part.len() - 1])).collect()
}
