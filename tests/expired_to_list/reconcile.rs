//! Goal: keys that expire while nobody listens are found by their stored deadlines, and only one of several
//! pandads pushes. Method: kills, cut connections and pauses while keys expire.

use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::inv::Inv;
use crate::support::queue::{LIST, item};
use crate::support::redis::{NEWEST, newest, versions};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use rustix::process::Signal;
use std::collections::HashMap;
use std::time::Instant;

fn reconciling(expiry: &Expiry, how: &str) -> Inv {
    expiry.inv().set("clearCache_section", "expired['reconcile']", how)
}

/// The life of keys that must expire while nobody listens: long enough that pandad has learned their
/// deadlines and has stopped, however slow the machine is.
const LIFE: std::ops::Range<u64> = 9000..10_000;

/// Waits until keys that were set at that moment have expired.
fn outlive(since: Instant) {
    std::thread::sleep(millis(LIFE.end + 100).saturating_sub(since.elapsed()));
}

fn items(count: u64) -> Vec<String> {
    (0..count).map(item).collect()
}

#[test]
fn keys_expired_while_down_are_found() {
    for version in versions() {
        let expiry = Expiry::up(&version);
        let tested =
            expiry.list.tested("expired_to_list", "reconcile: keys that expire while pandad is stopped");
        let keys = items(2000);
        let mut daemon = Daemon::new(&reconciling(&expiry, "yes"));
        daemon.start_and_listen();
        expiry.set(&["renewed", "persisted"], LIFE);
        expiry.set(&keys, LIFE);
        let set = Instant::now();
        expiry.wait_remembered(keys.len() + 2);
        daemon.stop();
        expiry.expire.ask::<u64>(&["PEXPIRE", "renewed", "60000"]);
        expiry.expire.ask::<u64>(&["PERSIST", "persisted"]);
        outlive(set);
        // The server has noticed every key while nobody was subscribed.
        expiry.touch(&keys);
        assert!(!expiry.list.exists(LIST));
        daemon.start_and_listen();
        expiry.wait_pushed(&mut daemon, keys.len(), seconds(30));
        wait::until("only living keys are stored", seconds(20), || expiry.remembered() == 1);
        daemon.stop();
        expiry.assert_pushed_once(&keys);
        let ended = &daemon.log_lines("expired_to_list: ended")[0];
        assert!(ended.contains(&format!(" found={} ", keys.len())), "{ended}");
        tested.passed(format_args!("{} keys", keys.len()));
    }
}

/// A dry run logs which keys it would push, and pushes none of them.
#[test]
fn dry_run_pushes_only_received_keys() {
    let expiry = Expiry::up(NEWEST);
    let tested = expiry.list.tested("expired_to_list", "reconcile: dry run");
    let mut daemon = Daemon::new(&reconciling(&expiry, "dry-run"));
    daemon.start_and_listen();
    let keys = items(50);
    expiry.set(&keys, LIFE);
    let set = Instant::now();
    expiry.wait_remembered(50);
    daemon.stop();
    outlive(set);
    expiry.touch(&keys);
    daemon.start_and_listen();
    wait::until("all of them are logged", seconds(30), || {
        let lines = daemon.log_lines(" that expired while nobody listened; not pushed (dry-run)");
        let logged =
            |line: &String| line.split(" that expired").next()?.rsplit(' ').nth(1)?.parse::<u64>().ok();
        lines.iter().filter_map(logged).sum::<u64>() == 50
    });
    expiry.assert_receives(&mut daemon, "heard");
    daemon.stop();
    expiry.assert_pushed_once(&["heard"]);
    tested.passed("50 keys");
}

/// Two keys: one expires before pandad can learn its deadline; the other one is set again while its event
/// is in flight.
#[test]
fn renewed_key_keeps_its_new_deadline() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested =
            expiry.list.tested("expired_to_list", "reconcile: a key set again keeps its new deadline");
        let mut daemon = Daemon::new(&reconciling(&expiry, "yes"));
        daemon.start_and_listen();
        expiry.expire_now(&["never learned"]);
        expiry.wait_pushed(&mut daemon, 1, seconds(10));
        expiry.set(&["again"], 8000..8001);
        expiry.wait_remembered(1);
        expiry.list.ask::<String>(&["RENAME", LIST, "aside"]);
        expiry.list.ask::<String>(&["SET", LIST, "a string"]);
        daemon.wait_log("WRONGTYPE", seconds(20));
        assert_eq!(expiry.remembered(), 1, "it is forgotten before it is pushed");
        // The event was received, but the key was not pushed yet when the key is set again.
        let before = expiry.deadline("again");
        expiry.set(&["again"], 60_000..60_001);
        wait::until("the new deadline is stored", seconds(10), || expiry.deadline("again") > before);
        expiry.list.ask::<String>(&["RENAME", "aside", LIST]);
        expiry.wait_pushed(&mut daemon, 2, seconds(20));
        std::thread::sleep(seconds(4));
        assert_eq!(expiry.remembered(), 1, "its new deadline went with the old event");
        daemon.stop();
        expiry.assert_pushed_once(&["never learned", "again"]);
        tested.passed("2 keys");
    }
}

/// One of several pandads pushes; when it is killed, stopped or paused another one takes over.
#[test]
fn several_pandads_push_once() {
    for version in newest() {
        for how in ["no", "yes"] {
            let expiry = Expiry::up(&version);
            let tested = expiry.list.tested("expired_to_list", &format!("several pandads, reconcile {how}"));
            let inv = reconciling(&expiry, how);
            let mut daemons = [Daemon::new(&inv), Daemon::new(&inv)];
            daemons[0].start_and_listen();
            daemons[1].start_and_wait();
            daemons[1].wait_log("another pandad listens", seconds(20));
            let keys = items(400);
            expiry.expire_now(&keys[..100]);
            expiry.wait_pushed(&mut daemons[0], 100, seconds(20));
            daemons[0].kill9();
            daemons[1].wait_log(LISTENING, seconds(30));
            expiry.expire_now(&keys[100..200]);
            expiry.wait_pushed(&mut daemons[1], 200, seconds(20));
            // A clean stop hands over, too.
            daemons[0].start_and_wait();
            daemons[0].wait_log("another pandad listens", seconds(20));
            daemons[1].stop();
            daemons[0].wait_log(LISTENING, seconds(30));
            expiry.expire_now(&keys[200..300]);
            expiry.wait_pushed(&mut daemons[0], 300, seconds(20));
            daemons[1].start_and_wait();
            daemons[1].wait_log("another pandad listens", seconds(20));
            // A pandad that is paused for longer than its lease loses the lease.
            daemons[0].signal(Signal::STOP);
            daemons[1].wait_log(LISTENING, seconds(30));
            daemons[0].signal(Signal::CONT);
            daemons[0].wait_log("another pandad has taken over", seconds(30));
            expiry.expire_now(&keys[300..]);
            expiry.wait_pushed(&mut daemons[1], 400, seconds(20));
            std::thread::sleep(seconds(1));
            for daemon in &mut daemons {
                daemon.stop();
            }
            expiry.assert_pushed_once(&keys);
            expiry.assert_clean();
            tested.passed(format_args!("{} keys", keys.len()));
        }
    }
}

/// The lease needs no scripts; a user without the right to the lease works without it, and that is
/// logged.
#[test]
fn denied_scripts_and_lease() {
    let expiry = Expiry::up(NEWEST);
    let tested = expiry.list.tested("expired_to_list", "scripts and the lease refused");
    let user = ["ACL", "SETUSER", "pandad", "on", ">of-pandad", "~*", "&*", "+@all", "-@scripting"];
    expiry.list.ask::<String>(&user);
    let inv = reconciling(&expiry, "yes").server("redis_list", "user", "pandad");
    let inv = inv.server("redis_list", "password", "of-pandad");
    let mut daemon = Daemon::new(&inv);
    daemon.start_and_listen();
    expiry.assert_receives(&mut daemon, "without scripts");
    daemon.stop();
    assert!(daemon.log_lines("WARN").is_empty(), "{:?}", daemon.log_lines("WARN"));
    // The user may only push.
    let user = ["ACL", "SETUSER", "pandad", "resetkeys", &format!("~{LIST}")];
    expiry.list.ask::<String>(&user);
    let inv = inv.set("clearCache_section", "expired['reconcile']", "no");
    let mut daemon = Daemon::new(&inv);
    daemon.start_and_listen();
    daemon.wait_log("the lease ", seconds(10));
    expiry.assert_receives(&mut daemon, "without a lease");
    daemon.stop();
    tested.passed("2 users");
}

/// One disturbance on the way of a key, by turns.
fn disturb(round: usize, expiry: &mut Expiry, daemon: &mut Daemon) -> &'static str {
    match round % 5 {
        0 => {
            expiry.expire.kill();
            std::thread::sleep(millis(700));
            expiry.expire.start();
            "Redis killed and restarted"
        }
        1 => {
            expiry.expire.ask::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            "the subscriber cut"
        }
        2 => {
            daemon.signal(Signal::STOP);
            std::thread::sleep(seconds(2));
            daemon.signal(Signal::CONT);
            "the subscriber stalled"
        }
        3 => {
            daemon.kill9();
            std::thread::sleep(millis(700));
            daemon.start();
            "pandad killed and started"
        }
        _ => {
            expiry.list.kill();
            std::thread::sleep(millis(700));
            expiry.list.start();
            "the list's Redis killed and restarted"
        }
    }
}

#[test]
fn disturbed_reconcile_loses_no_key() {
    let (count, rounds) = if all() { (50_000, 20) } else { (5000, 5) };
    for version in newest() {
        let mut expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "reconcile: kills, cut connections, pauses");
        let keys = items(count);
        let mut daemon = Daemon::new(&reconciling(&expiry, "yes"));
        daemon.start_and_listen();
        let life = if all() { 20_000..140_000 } else { 6000..20_000 };
        expiry.set(&keys, life.clone());
        expiry.wait_remembered(keys.len());
        let began = Instant::now();
        std::thread::sleep(millis(life.start));
        for round in 0..rounds {
            let what = disturb(round, &mut expiry, &mut daemon);
            println!("{:.1} s: {what}, {} on the list", began.elapsed().as_secs_f64(), expiry.list.len(LIST));
            std::thread::sleep(millis(if all() { 4500 } else { 1500 }));
        }
        let left = millis(life.end).saturating_sub(began.elapsed());
        std::thread::sleep(left);
        let mut pushed = HashMap::new();
        let done = wait::within(seconds(90), || {
            assert!(daemon.running(), "the daemon ended");
            pushed = expiry.list.items(LIST).into_iter().fold(HashMap::new(), |mut pushed, item| {
                *pushed.entry(item).or_insert(0_u64) += 1;
                pushed
            });
            std::thread::sleep(millis(200));
            pushed.len() >= keys.len() && expiry.remembered() == 0
        });
        assert!(done, "{} of {} keys, {} still remembered", pushed.len(), keys.len(), expiry.remembered());
        daemon.stop();
        expiry.assert_pushed(&keys);
        let twice: u64 = pushed.values().map(|count| count - 1).sum();
        let found: Vec<String> = daemon.log_lines("expired while nobody listened");
        println!("{} keys, {twice} pushed again; {} lines about keys found", keys.len(), found.len());
        // A push whose answer is lost is repeated: at most a thousand keys for each kill of the list's
        // server, and the last push of a killed pandad if the list's server had not finished that push.
        assert!(twice <= 1000 * (rounds as u64).div_ceil(5) * 2, "{twice} keys pushed again");
        tested.passed(format_args!("{} keys, {rounds} disturbances", keys.len()));
    }
}

/// The list's server hangs while more keys expire than fit into the budget: reconcile finds the dropped
/// keys by their stored deadlines.
#[test]
fn overflowed_keys_are_found_again() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "reconcile: more keys than the budget holds");
        let keys: Vec<String> = (0..25_000).map(|n| format!("USER:{}{n}_1", "f".repeat(100))).collect();
        let mut daemon = Daemon::new(&reconciling(&expiry, "yes").set("daemon_section", "memory", "1M"));
        daemon.start_and_listen();
        let began = Instant::now();
        expiry.set(&keys, 16_000..18_000);
        expiry.wait_remembered(keys.len());
        std::thread::sleep(millis(15_500).saturating_sub(began.elapsed()));
        expiry.list.hang();
        daemon.wait_log("dropped", seconds(30));
        std::thread::sleep(seconds(2));
        expiry.list.resume();
        wait::until("every key is on the list", seconds(60), || {
            std::thread::sleep(millis(300));
            expiry.remembered() == 0 && expiry.list.len(LIST) >= keys.len() as u64
        });
        daemon.stop();
        expiry.assert_pushed(&keys);
        let ended = &daemon.log_lines("expired_to_list: ended")[0];
        assert!(!ended.contains(" overflowed=0 ") && ended.contains(" lost=0 "), "{ended}");
        let twice = expiry.list.len(LIST) - keys.len() as u64;
        // A push whose answer did not come in time is repeated.
        assert!(twice <= 1000, "{twice} pushed again");
        println!("{twice} pushed again");
        tested.passed(format_args!("{} keys", keys.len()));
    }
}

/// Without reconcile a key whose event is missed is lost, and each loss is logged: by the listener if
/// its connection was cut, by the canary if it was not.
#[test]
fn losses_without_reconcile_are_logged() {
    let rounds = if all() { 20 } else { 3 };
    for version in newest() {
        let mut expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "losses without reconcile are logged");
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        for round in 0..rounds {
            let lost = [format!("lost in {round}")];
            match round % 3 {
                0 => {
                    expiry.set(&lost, 600..700);
                    expiry.expire.kill();
                    std::thread::sleep(seconds(2));
                    expiry.expire.start();
                    expiry.touch(&lost);
                }
                1 => {
                    // Only the listener's connection: the one that probes keys stays.
                    expiry.expire.ask::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
                    expiry.expire_now(&lost);
                }
                _ => {
                    expiry.expire.set("notify-keyspace-events", "");
                    expiry.expire_now(&lost);
                }
            }
            let logged = |daemon: &Daemon| {
                daemon.log_lines("no events were received").len()
                    + daemon.log_lines("no events of expired keys").len()
            };
            wait::until("the loss is logged", seconds(60), || logged(&daemon) > round);
            wait::until("a key is received", seconds(60), || {
                let key = format!("heard in {round}");
                expiry.expire_now(&[key.as_str()]);
                std::thread::sleep(millis(100));
                expiry.list.items(LIST).contains(&key.into_bytes())
            });
            if round % 3 == 2 {
                wait::until("it is logged that keys are received", seconds(60), || {
                    daemon.log_lines("are received again").len() > round / 3
                });
            }
        }
        daemon.stop();
        let lost =
            (0..rounds).filter(|n| !expiry.list.items(LIST).contains(&format!("lost in {n}").into_bytes()));
        let lost = lost.count();
        assert!(lost > 0, "nothing was lost: this shows nothing");
        println!("{lost} keys lost");
        tested.passed(format_args!("{rounds} interruptions"));
    }
}
