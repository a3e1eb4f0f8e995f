//! Several pandads, each with a file of its own, share one topic: killed, stopped, halted
//! and started, no record is missing, none is twice in one file, and at most one settle
//! batch for each kill is in two.

use crate::support::check::{Together, together};
use crate::support::daemon::{Daemon, Inv};
use crate::support::produce::{Produce, Producing};
use crate::support::servers::{Kafka, kafka, readable};
use crate::support::tail::Tail;
use crate::support::wait::{millis, seconds};
use crate::support::{all, unique, wait};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PARTITIONS: usize = 12;
const SESSION: Duration = seconds(6);

/// Pandads of one group and what they read.
struct Group {
    kafka: Kafka,
    topic: String,
    group: String,
    daemons: Vec<Daemon>,
    each: Vec<u64>,
}

impl Group {
    fn new(kafka: &Kafka, count: usize, records: u64) -> Group {
        let (topic, group) = (unique("group"), unique("group"));
        kafka.create(&topic, PARTITIONS);
        let each = (0..PARTITIONS as u64).map(|number| share(records, number)).collect();
        let inv = Group::inv(kafka, &topic, &group);
        let daemons = (0..count).map(|_| Daemon::new(&inv)).collect();
        Group { kafka: kafka.clone(), topic, group, daemons, each }
    }

    fn inv(kafka: &Kafka, topic: &str, group: &str) -> Inv {
        Inv::member(kafka, topic, group).job("kafka['session_ms']", &SESSION.as_millis().to_string())
    }

    fn produce(&self, rate: u64) -> Producing {
        let records = self.each.iter().sum();
        let produce = Produce::seq(&self.kafka, &self.topic, records).with("--partitions", PARTITIONS);
        produce.with("--rate", rate).with("--linger", 5).start()
    }

    fn files(&self) -> Vec<Vec<PathBuf>> {
        self.daemons.iter().map(Daemon::files).collect()
    }

    fn found(&self) -> Together {
        together(&self.each, &self.files()).unwrap()
    }

    /// Waits until every record is in some file.
    #[track_caller]
    fn wait_landed(&mut self, limit: Duration) {
        let mut tails: Vec<Tail> = self.daemons.iter().map(|one| Tail::new(&one.file, PARTITIONS)).collect();
        let landed = wait::within(limit, || {
            std::thread::sleep(millis(90));
            for tail in &mut tails {
                tail.read();
            }
            let next = |partition: usize| tails.iter().map(|tail| tail.next[partition]).max().unwrap();
            (0..PARTITIONS).all(|partition| next(partition) == self.each[partition])
        });
        let found = self.found();
        assert!(landed, "after {limit:?}: {found}\n{}", found.examples.join("\n"));
    }

    /// Waits until the pandads share all partitions.
    #[track_caller]
    fn wait_shared(&mut self, among: usize) {
        wait::until(&format!("{among} share"), seconds(60), || {
            let running = self.daemons.iter_mut().filter_map(|one| one.running().then_some(&*one));
            let shares: Vec<usize> = running.map(share_of).collect();
            shares.len() == among
                && shares.iter().sum::<usize>() == PARTITIONS
                && shares.iter().all(|share| *share == PARTITIONS / among)
        });
    }

    #[track_caller]
    fn stop_all(&mut self) {
        for daemon in self.daemons.iter_mut().filter(|one| one.is_started()) {
            daemon.stop();
        }
    }
}

/// Records of one partition, as produce.py deals them out.
fn share(records: u64, number: u64) -> u64 {
    records / PARTITIONS as u64 + u64::from(number < records % PARTITIONS as u64)
}

/// `… N partitions are ours in generation …`
fn share_of(daemon: &Daemon) -> usize {
    let lines = daemon.log_lines(" partitions are ours in generation ");
    let Some(line) = lines.last() else { return 0 };
    let before = line.split(" partitions are ours").next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Whether a test's records are all there and none is twice in one file.
#[track_caller]
fn assert_whole(found: &Together) {
    println!("{found}");
    assert!(found.whole_within(), "{found}\n{}", found.examples.join("\n"));
}

fn new_brokers() -> Vec<Kafka> {
    vec![kafka("3.9.1"), kafka("4.1.0")]
}

/// Killed, stopped, halted for longer than the session, restarted, every few seconds.
#[test]
fn a_group_in_chaos_leaves_nothing_out_and_doubles_little() {
    for kafka in if all() { new_brokers() } else { vec![kafka("3.9.1")] } {
        chaos(&kafka);
    }
}

fn chaos(kafka: &Kafka) {
    let (records, length) = if all() { (1_000_000, 300) } else { (24_000, 24) };
    let seed = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("Kafka {}, {records} records in {length} s, PANDAD_TEST_SEED={seed}", kafka.version);
    let tested = kafka.tested("three pandads in one group, one killed, stopped or halted every few seconds");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut group = Group::new(kafka, 3, records);
    group.daemons.iter_mut().for_each(Daemon::start_and_wait);
    group.wait_shared(3);
    let mut producing = group.produce(records / length);
    let (mut kills, mut stops, mut halts) = (0, 0, 0);
    while producing.running() {
        std::thread::sleep(millis(dice.u64(1_000..3_000)));
        let number = dice.usize(..group.daemons.len());
        let daemon = &mut group.daemons[number];
        // Back at once, or when the others have long taken over.
        let pause = if dice.bool() { 0 } else { dice.u64(0..10_000) };
        match dice.u32(..6) {
            0..=2 => {
                kills += 1;
                daemon.kill9();
                std::thread::sleep(millis(pause));
                daemon.start();
            }
            3 | 4 => {
                stops += 1;
                daemon.stop();
                std::thread::sleep(millis(pause / 4));
                daemon.start();
            }
            _ => {
                halts += 1;
                daemon.signal(Signal::STOP);
                std::thread::sleep(SESSION + millis(dice.u64(0..4_000)));
                daemon.signal(Signal::CONT);
            }
        }
    }
    producing.finish();
    group.wait_landed(seconds(90));
    group.stop_all();
    let found = group.found();
    assert_whole(&found);
    // Between two commits a pandad lands what comes in a second at most.
    let most = (kills + halts) * (records / length) * 2;
    assert!(found.across <= most, "{} doubled across files by {kills} kills and {halts} halts", found.across);
    let across = found.across;
    println!("{kills} kills, {stops} stops, {halts} halts: {across} doubled across files");
    tested.passed(format!(
        "{records} records, {kills} kills, {stops} stops, {halts} halts: {across} doubled across files"
    ));
}

/// One after the other is stopped and started: nothing is doubled at all.
#[test]
fn a_rolling_restart_doubles_nothing() {
    for kafka in if all() { new_brokers() } else { vec![kafka("1.1.1")] } {
        let tested = kafka.tested("a rolling restart of three pandads in one group");
        let (records, rounds) = if all() { (400_000, 10) } else { (24_000, 2) };
        let mut group = Group::new(&kafka, 3, records);
        group.daemons.iter_mut().for_each(Daemon::start_and_wait);
        group.wait_shared(3);
        let producing = group.produce(if all() { 4_000 } else { 2_000 });
        for round in 0..rounds * 3 {
            let daemon = &mut group.daemons[round % 3];
            let took = daemon.stop();
            daemon.start_and_wait();
            println!("stopped in {took:?}");
            std::thread::sleep(millis(500));
        }
        producing.finish();
        group.wait_landed(seconds(60));
        group.stop_all();
        let found = group.found();
        assert_whole(&found);
        assert_eq!(found.across, 0, "{found}");
        tested.passed(format!("{records} records, {} restarts, none doubled", rounds * 3));
    }
}

/// Stop all, reset, start: every member goes where it was told.
#[test]
fn resets_are_honoured_by_every_member() {
    for kafka in if all() { new_brokers() } else { vec![kafka("3.9.1")] } {
        let tested = kafka.tested("an operator's resets of a group of three pandads");
        let rounds: u64 = if all() { 10 } else { 2 };
        let per = 600u64;
        let mut group = Group::new(&kafka, 3, per * PARTITIONS as u64);
        group.produce(0).finish();
        let mut expected = per * PARTITIONS as u64;
        let mut dice = fastrand::Rng::new();
        for round in 0..=rounds {
            if round > 0 {
                // Back or forward: the lines from there on come once more, in whatever file.
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
        tested.passed(format!("{rounds} resets of {PARTITIONS} partitions"));
    }
}

/// One member, twelve partitions: what comes meanwhile is in the file within a second.
#[test]
fn after_kill_9_the_first_line_comes_at_once() {
    let mut brokers = readable();
    brokers.extend(all().then(|| kafka("4.1.0")));
    for kafka in brokers {
        let tested = kafka.tested("kill -9 of a group's only member, and the first new line");
        let mut group = Group::new(&kafka, 1, 240);
        let mut slowest = Duration::ZERO;
        group.daemons[0].start_and_wait();
        group.wait_shared(1);
        for round in 0..if all() { 5 } else { 2 } {
            let daemon = &mut group.daemons[0];
            // Its name is in the journal by then.
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
            daemon.wait_landed_at_least((round + 1) * 240, seconds(30));
        }
        println!("Kafka {}: the first new line after {slowest:?} at most", kafka.version);
        let limit = if all() { seconds(1) } else { SESSION / 2 };
        assert!(slowest < limit, "{slowest:?}");
        let each = vec![20 * if all() { 5 } else { 2 }; PARTITIONS];
        group.daemons[0].stop();
        group.daemons[0].assert_whole(&each);
        tested.passed(format!("{} ms at most", slowest.as_millis()));
    }
}

/// The partitions of one that was killed are the others' when the session is over.
#[test]
fn the_share_of_a_killed_member_goes_to_the_others_in_time() {
    for kafka in if all() { new_brokers() } else { vec![kafka("3.9.1")] } {
        let tested = kafka.tested("a member killed: the others have its partitions");
        let mut group = Group::new(&kafka, 3, 12);
        group.daemons.iter_mut().for_each(Daemon::start_and_wait);
        group.wait_shared(3);
        group.daemons[2].kill9();
        let began = Instant::now();
        group.wait_shared(2);
        let took = began.elapsed();
        println!("Kafka {}: shared again after {took:?}, session {SESSION:?}", kafka.version);
        assert!(took < SESSION + if all() { seconds(1) } else { seconds(4) }, "{took:?}");
        group.stop_all();
        tested.passed(format!("{} ms, session {} ms", took.as_millis(), SESSION.as_millis()));
    }
}

/// Halted for longer than the session in mid-stream, while another one takes over.
#[test]
fn a_member_that_was_halted_writes_nothing_that_is_not_its_own() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a member halted for longer than its session, in mid-stream");
    let rounds = if all() { 8 } else { 1 };
    let mut group = Group::new(&kafka, 2, 30_000 * rounds);
    group.daemons.iter_mut().for_each(Daemon::start_and_wait);
    group.wait_shared(2);
    let producing = group.produce(2_500);
    for round in 0..rounds {
        let daemon = &group.daemons[round as usize % 2];
        std::thread::sleep(millis(700));
        daemon.signal(Signal::STOP);
        std::thread::sleep(SESSION + seconds(3));
        daemon.signal(Signal::CONT);
        std::thread::sleep(millis(1_500));
    }
    producing.finish();
    group.wait_landed(seconds(60));
    group.stop_all();
    let found = group.found();
    assert_whole(&found);
    assert!(found.across <= rounds * 5_000, "{found}");
    tested.passed(format!("{rounds} halts, {} doubled across files", found.across));
}

/// The group has the positions of pandads that were alone, and back.
#[test]
fn a_group_that_was_one_pandads_alone_goes_on_where_it_was() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("from alone to coordinated and back, by the same group");
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
    tested.passed("3 switches");
}

/// A copy of log file and journal: the one that was there first stays down and says why.
#[test]
fn a_copy_of_a_journal_takes_the_place_of_the_original() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("a copy of a journal is started: the original ends with 78");
    let mut group = Group::new(&kafka, 2, 12);
    let (first, second) = (0, 1);
    group.daemons[first].start_and_wait();
    group.wait_shared(1);
    let journal = |daemon: &Daemon| PathBuf::from(format!("{}.journal", daemon.file.display()));
    let (daemon, copy) = (&group.daemons[first], &group.daemons[second]);
    std::fs::copy(journal(daemon), journal(copy)).unwrap();
    std::fs::copy(&daemon.file, &copy.file).unwrap();
    group.daemons[second].start_and_wait();
    let ended = group.daemons[first].wait_exit(seconds(30));
    assert_eq!(ended.code(), Some(78));
    assert!(group.daemons[first].log().contains("the same journal"), "it says why");
    wait::until("the copy has all", seconds(30), || share_of(&group.daemons[second]) == PARTITIONS);
    group.daemons[second].stop();
    tested.passed("78, told");
}
