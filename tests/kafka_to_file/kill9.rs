//! Goal: kill -9 at any moment leaves no record out, none doubled, none torn, and keeps the order.
//! Method: a paced stream, random kills of which at least half fall between a write and its
//! commit, and restarts of the broker.

use crate::support::cluster::Cluster;
use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::{Produce, Producing};
use crate::support::servers::{Kafka, Store, Victim, kafka, victim};
use crate::support::tail::Tail;
use crate::support::wait::{millis, seconds};
use crate::support::{all, seed, unique, wait};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PARTITIONS: usize = 4;
/// Time of the stream that a restart of the broker takes, in milliseconds.
const RESTART: u64 = 15_000;

/// The plan of a test: kills spread over the whole stream.
struct Plan {
    by: ClientKind,
    kills: u32,
    /// How often the broker is stopped or killed, and started.
    restarts: u32,
    records: u64,
    rate: u64,
    codec: &'static str,
}

impl Plan {
    /// Upper limit of one run, in milliseconds, so that all kills come before the stream ends. The mean
    /// run is half of the limit; the rest is for starts and for reading the offsets.
    fn longest_run(&self) -> u64 {
        let restarts = u64::from(self.restarts) * RESTART;
        (self.records * 1000 / self.rate).saturating_sub(restarts) / u64::from(self.kills)
    }

    /// Whether the broker is restarted after this kill.
    fn restarts_after(&self, kill: u32) -> bool {
        self.restarts > 0 && kill % (self.kills / self.restarts) == self.kills / self.restarts / 2
    }
}

/// A broker that may be restarted.
enum Broker {
    /// Only for plans without restarts.
    Shared(Kafka),
    Victim(Victim),
    Own(Cluster),
}

impl Broker {
    fn kafka(&self) -> Kafka {
        match self {
            Broker::Shared(kafka) => kafka.clone(),
            Broker::Victim(victim) => victim.kafka.clone(),
            Broker::Own(cluster) => cluster.kafka(),
        }
    }

    /// The broker ends, killed or by TERM.
    fn end(&self, killed: bool) {
        match (self, killed) {
            (Broker::Shared(_), _) => panic!("others use it"),
            (Broker::Victim(victim), true) => victim.kill(),
            (Broker::Victim(victim), false) => victim.stop(),
            (Broker::Own(cluster), true) => cluster.kill(1),
            (Broker::Own(cluster), false) => cluster.stop(1),
        }
    }

    fn start(&self) {
        match self {
            Broker::Shared(_) => panic!("others use it"),
            Broker::Victim(victim) => victim.start(),
            Broker::Own(cluster) => cluster.start(1),
        }
    }

    /// The broker ends and starts again while the daemon reads. The daemon is killed while the broker
    /// is down or after that.
    fn restart(&self, daemon: &mut Daemon, dice: &mut fastrand::Rng) {
        let (killed, while_away) = (dice.bool(), dice.bool());
        let began = Instant::now();
        let length = length(daemon);
        daemon.start();
        wait::until("the file grows", seconds(30), || grown(daemon, length));
        self.end(killed);
        std::thread::sleep(millis(dice.u64(0..1000)));
        if while_away {
            daemon.kill9();
        }
        self.start();
        if !while_away {
            let length = self::length(daemon);
            wait::until("the file grows again", seconds(60), || grown(daemon, length));
            daemon.kill9();
        }
        let how = if killed { "killed" } else { "stopped" };
        println!("the broker was {how} and started again, {:?}", began.elapsed());
    }
}

/// The length of all the daemon's files together.
fn length(daemon: &Daemon) -> u64 {
    let length = |file: &PathBuf| std::fs::metadata(file).map_or(0, |data| data.len());
    daemon.files().iter().map(length).sum()
}

fn grown(daemon: &mut Daemon, before: u64) -> bool {
    length(daemon) > before || !daemon.running()
}

struct Stream {
    kafka: Kafka,
    topic: String,
    group: String,
    producing: Producing,
    each: [u64; PARTITIONS],
}

impl Stream {
    fn start(kafka: Kafka, plan: &Plan) -> Stream {
        let (topic, group) = (unique("kill9"), unique("kill9"));
        kafka.create(&topic, PARTITIONS);
        let producing = Stream::produce(&kafka, &topic, plan, 0, plan.records);
        Stream { kafka, topic, group, producing, each: [plan.records / PARTITIONS as u64; PARTITIONS] }
    }

    fn produce(kafka: &Kafka, topic: &str, plan: &Plan, first: u64, records: u64) -> Producing {
        let produce = Produce::seq(kafka, topic, records).with("--partitions", PARTITIONS);
        let produce = produce.with("--first", first).with("--rate", plan.rate);
        produce.with("--codec", plan.codec).with("--linger", 50).start()
    }

    /// Produces more records if the stream has ended: on a slow machine the kills take longer than
    /// planned.
    fn keep_coming(&mut self, plan: &Plan) {
        if !self.producing.running() {
            let more = plan.records / 10 / PARTITIONS as u64 * PARTITIONS as u64;
            let next = Stream::produce(&self.kafka, &self.topic, plan, self.each[0], more);
            std::mem::replace(&mut self.producing, next).finish();
            self.each = self.each.map(|each| each + more / PARTITIONS as u64);
        }
    }

    /// After a kill: whether the file has records beyond the group's offsets.
    fn between(&self, tail: &mut Tail) -> bool {
        tail.read();
        let committed = self.kafka.committed(Store::Kafka, &self.group, &self.topic, PARTITIONS);
        committed.iter().zip(&tail.next).any(|(&committed, &next)| committed.max(0) < next as i64)
    }
}

/// Runs the daemon for a random time and kills it; every other time at the moment when the file has
/// grown, so that the commit is still under way.
fn run_and_kill(daemon: &mut Daemon, longest: u64, dice: &mut fastrand::Rng, on_growth: bool) {
    let before = length(daemon);
    daemon.start();
    // A run that writes nothing proves nothing.
    wait::until("the file grows", seconds(30), || grown(daemon, before));
    let until = Instant::now() + millis(dice.u64(0..longest));
    while Instant::now() < until {
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(millis(5)));
    }
    let seen = length(daemon);
    let deadline = Instant::now() + seconds(10);
    while on_growth && length(daemon) == seen && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(100));
    }
    assert!(daemon.running(), "it ended by itself");
    daemon.kill9();
}

/// A kill while the daemon starts: it reads its journal and has written nothing.
fn kill_at_start(daemon: &mut Daemon, dice: &mut fastrand::Rng) {
    daemon.start();
    std::thread::sleep(millis(dice.u64(0..60)));
    daemon.kill9();
}

#[test]
fn kill_9_in_mid_stream() {
    // The full form: 200 kills and two million records.
    if !all() {
        let plan = Plan {
            by: ClientKind::Native,
            kills: 6,
            restarts: 1,
            records: 60_000,
            rate: 2000,
            codec: "none",
        };
        return killed(&Broker::Victim(victim()), &plan);
    }
    let plan = Plan {
        by: ClientKind::Native,
        kills: 170,
        restarts: 5,
        records: 1_800_000,
        rate: 8000,
        codec: "none",
    };
    killed(&Broker::Own(Cluster::up("3.9.1", 1)), &plan);
    let plan =
        Plan { by: ClientKind::Crate, kills: 30, restarts: 2, records: 300_000, rate: 2500, codec: "gzip" };
    killed(&Broker::Victim(victim()), &plan);
}

#[test]
fn kill_9_in_mid_stream_of_kafka_4() {
    let (kills, records, rate) = if all() { (170, 1_700_000, 8000) } else { (4, 16_000, 1500) };
    let plan = Plan { by: ClientKind::Native, kills, restarts: 0, records, rate, codec: "lz4" };
    killed(&Broker::Shared(kafka("4.1.0")), &plan);
}

fn killed(broker: &Broker, plan: &Plan) {
    let kafka = broker.kafka();
    let Plan { kills, restarts, .. } = *plan;
    let seed = seed();
    let by = plan.by.word();
    println!("Kafka {}, {by}, {kills} kills, PANDAD_TEST_SEED={seed}", kafka.version);
    let what = match restarts {
        0 => format!("kill -9 in mid-stream, {}, by the {by} client", plan.codec),
        _ => format!("kill -9 in mid-stream, the broker restarted, {}, by the {by} client", plan.codec),
    };
    let tested = kafka.tested(&what);
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut stream = Stream::start(kafka, plan);
    // The file is rotated all the time: a line takes less than a hundred bytes.
    let inv = Inv::log(&stream.kafka, &stream.topic, &stream.group).client(&stream.kafka, plan.by);
    let inv = inv.job("log_file['rotate_size']", "256K").job("log_file['rotate_keep']", "100000");
    let mut daemon = Daemon::new(&inv);
    let mut tail = Tail::new(&daemon.file, PARTITIONS);
    let mut between = 0;
    for kill in 0..kills {
        run_and_kill(&mut daemon, plan.longest_run(), &mut dice, kill % 2 == 0);
        stream.keep_coming(plan);
        between += u32::from(stream.between(&mut tail));
        if kill % 5 == 4 {
            kill_at_start(&mut daemon, &mut dice);
        }
        if plan.restarts_after(kill) {
            broker.restart(&mut daemon, &mut dice);
        }
    }
    println!(
        "{kills} kills up to record {} of {}, {between} between a write and its commit",
        tail.records,
        stream.each.iter().sum::<u64>()
    );
    assert!(between * 2 >= kills, "only {between} of {kills} kills were between a write and its commit");
    daemon.start();
    stream.producing.finish();
    daemon.finish(&stream.each, seconds(180));
    let committed = stream.kafka.committed(Store::Kafka, &stream.group, &stream.topic, PARTITIONS);
    assert_eq!(committed, stream.each.map(|each| each as i64));
    let (files, records) = (daemon.files().len(), stream.each.iter().sum::<u64>());
    println!("{records} records in {files} files, whole by the checker's word");
    assert!(files > 3, "rotated too seldom to show anything");
    match restarts {
        0 => tested.passed(format_args!("{kills} kills")),
        _ => tested.passed(format_args!("{kills} kills, {restarts} restarts")),
    }
}

/// As after a loss of power in the middle of a write, as far as a test can do that without cutting the
/// power: the last bytes of an unsettled write are missing.
#[test]
fn torn_write_is_cut_and_fetched_again() {
    let plan =
        Plan { by: ClientKind::Native, kills: 1, restarts: 0, records: 20_000, rate: 1500, codec: "none" };
    let mut stream = Stream::start(kafka("3.9.1"), &plan);
    let tested = stream.kafka.tested("a torn write, cut short and zeroed");
    let mut daemons = [torn, zeroed].map(|damage| damaged_in_mid_write(&mut stream, &plan, damage));
    stream.producing.finish();
    for daemon in &mut daemons {
        daemon.finish(&stream.each, seconds(60));
    }
    tested.passed(format_args!("{} records", plan.records));
}

/// Kills a daemon at the moment of a write, damages that write and starts the daemon again.
fn damaged_in_mid_write(stream: &mut Stream, plan: &Plan, damage: fn(&Daemon)) -> Daemon {
    let mut dice = fastrand::Rng::new();
    for _ in 0..20 {
        stream.keep_coming(plan);
        stream.group = unique("torn");
        let mut daemon = Daemon::new(&Inv::log(&stream.kafka, &stream.topic, &stream.group));
        run_and_kill(&mut daemon, 300, &mut dice, true);
        if !stream.between(&mut Tail::new(&daemon.file, PARTITIONS)) {
            continue;
        }
        damage(&daemon);
        daemon.start_and_wait();
        // The journal had recorded that these bytes are durable, and no loss of power damages durable
        // bytes.
        if daemon.log().contains("another program") {
            continue;
        }
        let cut = daemon.log_lines("of a write that was not complete");
        assert_eq!(cut.len(), 1, "one line about what was cut");
        println!("{}", cut[0]);
        return daemon;
    }
    panic!("20 kills, and none of them between a write and its settling");
}

/// As if the file's new length had not reached the disk.
fn torn(daemon: &Daemon) {
    let file = OpenOptions::new().write(true).open(&daemon.file).unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
}

/// As if the length had reached the disk and the bytes had not.
fn zeroed(daemon: &Daemon) {
    let file = OpenOptions::new().write(true).open(&daemon.file).unwrap();
    file.write_all_at(&[0; 10], file.metadata().unwrap().len() - 10).unwrap();
}
