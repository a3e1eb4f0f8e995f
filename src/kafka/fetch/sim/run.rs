//! Runs hundreds of schedules at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use super::fault::{Change, Fault, Plan};
use super::log::Log;
use super::reader::Reader;
use super::sessions::Sessions;
use super::{BROKERS, World};
use crate::kafka::client::connection::ConnectionLimits;
use crate::kafka::client::versions_seen::VersionsSeen;
use crate::kafka::cluster::Cluster;
use crate::kafka::fetch::config::FetchConfig;
use crate::kafka::fetch::fetcher::BrokerFetcher;

/// A schedule that takes longer hangs, even on a loaded machine. The schedule itself takes two seconds.
const HANGS: Duration = Duration::from_secs(60);
/// How many schedules run at once: many, because a schedule mostly waits.
const AT_ONCE: usize = 24;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Short times, so that a schedule takes seconds.
fn config() -> FetchConfig {
    FetchConfig {
        limits: ConnectionLimits {
            connect_timeout: millis(500),
            versions_timeout: millis(150),
            answer_timeout: millis(250),
            answer_bytes_max: 1 << 20,
        },
        max_wait: millis(20),
        reply_bytes: 16 * 1024,
        partition_bytes: 4 * 1024,
        refresh_interval: millis(150),
        doubt_interval: millis(20),
        retry_pauses: (millis(5), millis(60)),
        blocked_log_after: Duration::from_secs(600),
    }
}

/// The result of a schedule that succeeded.
struct Done {
    delivered: u64,
    troubles: u64,
}

fn run(seed: u64, change: fn(&mut Plan)) -> Result<Done, String> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut plan = Plan::new(&mut dice);
    change(&mut plan);
    let (changes, lasts) = (plan.changes.clone(), plan.lasts);
    let world = World::new(plan, dice.u64(..));
    let result = drive(&world, changes, lasts, &mut dice);
    world.end();
    result.map_err(|why| format!("PANDAD_TEST_SEED={seed}: {why}\n{:?}", world.plan))
}

fn drive(
    world: &World,
    changes: Vec<(Duration, Change)>,
    lasts: Duration,
    dice: &mut fastrand::Rng,
) -> Result<Done, String> {
    let cluster = Cluster {
        brokers: world.bootstrap(),
        client_id: "schedule".to_owned(),
        read_committed: world.plan.committed,
        silent: false,
        versions_seen: VersionsSeen::default(),
        tls: None,
    };
    let fetch = BrokerFetcher::new(cluster, config()).map_err(|fault| fault.to_string())?;
    let mut reader = Reader::new(world, Box::new(fetch));
    let began = Instant::now();
    let mut changes = changes.into_iter().peekable();
    while began.elapsed() < lasts {
        while let Some((_, what)) = changes.next_if(|(at, _)| *at <= began.elapsed()) {
            change(world, what, dice);
        }
        reader.hear(Instant::now() + millis(5))?;
    }
    world.heal();
    while let Some(outstanding) = reader.outstanding() {
        if began.elapsed() > HANGS {
            return Err(format!("it hangs: {outstanding}"));
        }
        reader.hear(Instant::now() + millis(20))?;
    }
    Ok(Done { delivered: reader.delivered, troubles: reader.troubles })
}

fn change(world: &World, what: Change, dice: &mut fastrand::Rng) {
    let (remakes, magic) = (world.plan.remakes(), world.plan.magic());
    let mut cluster = world.cluster();
    let keys: Vec<_> = cluster.partitions.keys().cloned().collect();
    let key = &keys[dice.usize(..keys.len())];
    let partition = cluster.partitions.get_mut(key).unwrap();
    match what {
        Change::Append => partition.log().append(dice),
        Change::Move => {
            // The leader does not move back to the broker that led the deleted log, whose answer
            // must show the deletion.
            let from = partition.leader.unwrap_or(0);
            partition.leader = (0..BROKERS).find(|node| *node != from && partition.barred != Some(*node));
            partition.epoch += 1;
        }
        Change::Leaderless if partition.logs.len() == 1 => partition.leader = None,
        // If logs are recreated, a start that retention has moved could be that of either log.
        Change::Delete if !remakes => {
            let (start, end) = (partition.log().start, partition.log().end);
            partition.log().delete_below(dice.i64(start..=end));
        }
        Change::Remake if partition.logs.len() == 1 && partition.leader.is_some() => {
            let mut log = Log::new(format!("{}/{}#1", key.0, key.1), magic, true);
            for _ in 0..dice.u8(0..4) {
                log.append(dice);
            }
            partition.logs.push(log);
            partition.barred = partition.leader;
            partition.leader = (0..BROKERS).find(|node| partition.barred != Some(*node));
            partition.epoch = 0;
        }
        Change::Begin => partition.log().begin(0, dice.i64(1..9)),
        Change::Decide => partition.log().decide(dice.bool()),
        Change::Down => {
            let node = dice.usize(..BROKERS);
            cluster.down[node] = true;
            cluster.sessions[node] = Sessions::default();
            drop(cluster);
            world.cut_all();
        }
        Change::Up => cluster.down = [false; BROKERS],
        Change::CutAll => {
            drop(cluster);
            world.cut_all();
        }
        Change::Leaderless | Change::Delete | Change::Remake => {}
    }
}

/// PANDAD_TEST_SEED repeats one schedule; PANDAD_TEST_ALL runs a thousand.
#[test]
fn whatever_brokers_do_each_record_is_delivered_once() {
    let given = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let all = std::env::var("PANDAD_TEST_ALL").is_ok_and(|value| value == "1");
    let count = if given.is_some() {
        1
    } else if all {
        1000
    } else {
        60
    };
    let first: u64 = given.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    many(first, count, |_| {});
}

/// The fetcher compares records of the old log with those of the new one. An answer without records must
/// not count as proof that a record is gone.
#[test]
fn a_topic_made_anew_is_seen_though_brokers_give_less_than_they_have() {
    let given = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let (first, count) = given.map_or_else(|| (fastrand::u64(..u64::MAX / 2), 60), |seed| (seed, 1));
    many(first, count, |plan| {
        plan.faults = vec![(Fault::Short, 50), (Fault::Empty, 30)];
        plan.lasts = millis(700);
        let changes = (0..12).map(|at| (millis(at * 50), Change::Append));
        let remakes = (1..5).map(|at| (millis(at * 130), Change::Remake));
        plan.changes = changes.chain(remakes).collect();
        plan.changes.sort_by_key(|(at, _)| *at);
    });
}

/// Runs schedules, each after this change of its plan, and fails if one of them fails.
fn many(first: u64, count: usize, change: fn(&mut Plan)) {
    println!("{count} schedules from PANDAD_TEST_SEED={first}");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let (delivered, troubles) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(count) {
            scope.spawn(|| {
                while let number @ 0.. = next.fetch_add(1, SeqCst)
                    && number < count
                {
                    match run(first + number as u64, change) {
                        Ok(done) => {
                            delivered.fetch_add(done.delivered, SeqCst);
                            troubles.fetch_add(done.troubles, SeqCst);
                        }
                        Err(why) => failed.lock().unwrap().push(why),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{} records delivered, {} troubles reported", delivered.into_inner(), troubles.into_inner());
    let shown = failed.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failed.is_empty(), "{} of {count} failed\n{shown}", failed.len());
}
