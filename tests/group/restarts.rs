//! Goal: several pandads, each with a file of its own, share one topic across restarts, offset
//! resets, kills and pauses, and after a change from standalone. Random sequences of many faults
//! are in chaos.rs.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::pandads::{Group, PARTITIONS, SESSION, assert_whole, new_brokers, partitions_of};
use crate::support::produce::Produce;
use crate::support::servers::{kafka, readable};
use crate::support::tail::Tail;
use crate::support::wait::{millis, seconds};
use crate::support::{all, unique, wait};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One member after the other is stopped and started: no record is doubled.
#[test]
fn rolling_restart_duplicates_nothing() {
    for kafka in if all() { new_brokers() } else { vec![kafka("1.1.1")] } {
        let tested = kafka.tested("rolling restarts of three members: no duplicates");
        let (records, rounds) = if all() { (400_000, 10) } else { (24_000, 2) };
        let mut group = Group::new(&kafka, 3, records);
        group.daemons.iter_mut().for_each(Daemon::start_and_wait);
        group.wait_balanced(3);
        let producing = group.produce(if all() { 4_000 } else { 2_000 });
        for round in 0..rounds * 3 {
            let daemon = &mut group.daemons[round % 3];
            let took = daemon.stop();
            daemon.start_and_wait();
            println!("stopped in {took:?}");
            std::thread::sleep(millis(500));
        }
        producing.finish();
        group.wait_written(seconds(60));
        group.stop_all();
        let found = group.found();
        assert_whole(&found);
        assert_eq!(found.across, 0, "{found}");
        tested.passed(format_args!("{records} records, {} restarts", rounds * 3));
    }
}

/// Stop all, reset, start: every member reads from the offset that was set.
#[test]
fn every_member_honours_resets() {
    for kafka in if all() { new_brokers() } else { vec![kafka("3.9.1")] } {
        let tested = kafka.tested("offset resets of a group of three members");
        let rounds: u64 = if all() { 10 } else { 2 };
        let per = 600u64;
        let mut group = Group::new(&kafka, 3, per * PARTITIONS as u64);
        group.produce(0).finish();
        let mut expected = per * PARTITIONS as u64;
        let mut dice = fastrand::Rng::new();
        for round in 0..=rounds {
            if round > 0 {
                // The reset goes back or forward: the lines from there on are written once more, in some
                // file.
                let to = dice.u64(0..per);
                expected += (per - to) * PARTITIONS as u64;
                for partition in 0..PARTITIONS {
                    group.kafka.set_offset(&group.group, &group.topic, partition, to as i64);
                }
            }
            group.daemons.iter_mut().for_each(Daemon::start);
            let lines = |group: &Group| -> u64 {
                group.daemons.iter().map(|one| Tail::new(&one.file, 0).read()).sum()
            };
            wait::until("all lines of the round", seconds(60), || {
                std::thread::sleep(millis(90));
                lines(&group) >= expected
            });
            std::thread::sleep(millis(300));
            assert_eq!(lines(&group), expected, "round {round}");
            group.stop_all();
            assert_eq!(lines(&group), expected, "round {round}, after the stop");
        }
        tested.passed(format_args!("{rounds} resets, {PARTITIONS} partitions"));
    }
}

/// One member, twelve partitions: records that come after a kill -9 are in the file within a second of
/// the start.
#[test]
fn first_line_after_kill_9_comes_at_once() {
    let mut brokers = readable();
    brokers.extend(all().then(|| kafka("4.1.0")));
    for kafka in brokers {
        let tested = kafka.tested("the first new line after a kill -9 of the only member");
        let mut group = Group::new(&kafka, 1, 240);
        let mut slowest = Duration::ZERO;
        let kills = if all() { 5 } else { 2 };
        group.daemons[0].start_and_wait();
        group.wait_balanced(1);
        for round in 0..kills {
            let daemon = &mut group.daemons[0];
            // The journal has the member's id by then.
            std::thread::sleep(millis(300));
            daemon.kill9();
            let first = round * 20;
            let produce = Produce::seq(&kafka, &group.topic, 240).with("--partitions", PARTITIONS);
            produce.with("--first", first).run();
            let before = Tail::new(&daemon.file, 0).read();
            let began = Instant::now();
            daemon.start();
            wait::until("the first new line", seconds(30), || Tail::new(&daemon.file, 0).read() > before);
            slowest = slowest.max(began.elapsed());
            daemon.wait_written_at_least((round + 1) * 240, seconds(30));
        }
        println!("Kafka {}: the first new line after {slowest:?} at most", kafka.version);
        let limit = if all() { seconds(1) } else { SESSION / 2 };
        assert!(slowest < limit, "{slowest:?}");
        let each = vec![20 * kills; PARTITIONS];
        group.daemons[0].stop();
        group.daemons[0].assert_whole(&each);
        tested.passed(format_args!("{kills} kills"));
    }
}

/// When a killed member's session is over, its partitions belong to the others.
#[test]
fn killed_member_is_replaced_in_time() {
    for kafka in if all() { new_brokers() } else { vec![kafka("3.9.1")] } {
        let tested = kafka.tested("a member is killed: its partitions are reassigned in time");
        let mut group = Group::new(&kafka, 3, 12);
        group.daemons.iter_mut().for_each(Daemon::start_and_wait);
        group.wait_balanced(3);
        group.daemons[2].kill9();
        let began = Instant::now();
        group.wait_balanced(2);
        let took = began.elapsed();
        println!("Kafka {}: shared again after {took:?}, session {SESSION:?}", kafka.version);
        assert!(took < SESSION + if all() { seconds(1) } else { seconds(4) }, "{took:?}");
        group.stop_all();
        tested.passed(format_args!("session {} ms", SESSION.as_millis()));
    }
}

/// A member is paused in mid-stream for longer than its session, while another one takes over.
#[test]
fn paused_member_writes_only_its_own() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a member paused for longer than its session, in mid-stream");
    let rounds = if all() { 8 } else { 1 };
    let mut group = Group::new(&kafka, 2, 30_000 * rounds);
    group.daemons.iter_mut().for_each(Daemon::start_and_wait);
    group.wait_balanced(2);
    let producing = group.produce(2_500);
    let mut batches = Vec::new();
    for round in 0..rounds {
        let paused = round as usize % 2;
        std::thread::sleep(millis(700));
        group.daemons[paused].signal(Signal::STOP);
        batches.push(group.at_risk(paused));
        std::thread::sleep(SESSION + seconds(3));
        group.daemons[paused].signal(Signal::CONT);
        std::thread::sleep(millis(1_500));
    }
    producing.finish();
    group.wait_written(seconds(60));
    group.stop_all();
    let found = group.found();
    assert_whole(&found);
    let explained = found.explained(&batches);
    assert!(explained.unexplained.is_empty(), "doubled and in no settle batch: {:?}", explained.unexplained);
    println!("{explained}");
    tested.passed(format_args!("{rounds} pauses, {} records", 30_000 * rounds));
}

/// A standalone pandad's group becomes coordinated and standalone again, at the same positions.
#[test]
fn standalone_group_becomes_coordinated() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("from standalone to coordinated and back, in one group");
    let (topic, name) = (unique("switch"), unique("switch"));
    kafka.create(&topic, PARTITIONS);
    let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &name));
    let member = Group::inv(&kafka, &topic, &name).text();
    let alone = Inv::log(&kafka, &topic, &name).text();
    for (round, text) in [&alone, &member, &alone, &member].into_iter().enumerate() {
        let produce = Produce::seq(&kafka, &topic, 1_200).with("--partitions", PARTITIONS);
        produce.with("--first", round * 100).run();
        std::fs::write(daemon.dir.join("test.inv"), text).unwrap();
        daemon.start();
        let each = vec![(round as u64 + 1) * 100; PARTITIONS];
        daemon.finish(&each, seconds(60));
    }
    tested.passed("4 runs, 4800 records");
}

/// A copy of log file and journal starts: the original stays down and logs why.
#[test]
fn journal_copy_replaces_the_original() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a copy of a journal is started: the original exits with 78");
    let mut group = Group::new(&kafka, 2, 12);
    let (first, second) = (0, 1);
    group.daemons[first].start_and_wait();
    group.wait_balanced(1);
    let journal = |daemon: &Daemon| PathBuf::from(format!("{}.journal", daemon.file.display()));
    let (daemon, copy) = (&group.daemons[first], &group.daemons[second]);
    std::fs::copy(journal(daemon), journal(copy)).unwrap();
    std::fs::copy(&daemon.file, &copy.file).unwrap();
    group.daemons[second].start_and_wait();
    let ended = group.daemons[first].wait_exit(seconds(30));
    assert_eq!(ended.code(), Some(78));
    assert!(group.daemons[first].log().contains("the same journal"), "it says why");
    wait::until("the copy is assigned all partitions", seconds(30), || {
        partitions_of(&group.daemons[second]) == PARTITIONS
    });
    group.daemons[second].stop();
    tested.passed("");
}
