//! Goal: a key whose event has not come is neither forgotten nor pushed twice. Method: the server is paused,
//! fails over or gives a failover up while keys expire, or what it announces comes late.

use crate::support::daemon::Daemon;
use crate::support::expiry::Expiry;
use crate::support::inv::Inv;
use crate::support::proxy::Proxy;
use crate::support::queue::LIST;
use crate::support::redis::{NEWEST, Redis, versions};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Other keys with a time to live: so many that Redis itself is slow to find an expired key.
const OTHERS: usize = 100_000;

fn inv(expiry: &Expiry, reconcile: &str) -> Inv {
    let inv = expiry.inv().set("clearCache_section", "expired['prefix']", "k:");
    inv.set("clearCache_section", "expired['reconcile']", reconcile)
}

fn keys(count: u64) -> Vec<String> {
    (0..count).map(|n| format!("k:{n}")).collect()
}

/// The versions that can be paused for writes only, and fail over by a command.
fn pausable() -> Vec<String> {
    versions().into_iter().filter(|version| !version.starts_with("3.")).collect()
}

fn pause(redis: &Redis, time: Duration) {
    redis.ask::<String>(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "WRITE"]);
}

/// A failover that is given up, because the replica does not answer. The server is paused until then.
fn give_failover_up(redis: &Redis, replica: &Redis) {
    replica.hang();
    redis.ask::<u64>(&["DEL", "none"]);
    redis.ask::<String>(&["SET", "written", "x"]);
    redis.ask::<String>(&["FAILOVER", "TIMEOUT", "900"]);
    wait::until("the failover is given up", seconds(20), || {
        redis.figure("replication", "master_failover_state").as_deref() == Some("no-failover")
    });
    replica.resume();
}

/// In a pause the server says of an expired key that it is gone, but deletes none.
#[test]
fn pauses_and_failovers_that_are_given_up_forget_no_key() {
    let (rounds, count) = if all() { (10, 20_000) } else { (2, 3000) };
    for version in pausable() {
        for reconcile in ["no", "yes"] {
            let expiry = Expiry::up(&version);
            let tested = expiry.list.tested(
                "expired_to_list",
                &format!("pauses and failovers that are given up, reconcile {reconcile}"),
            );
            let replica = Redis::replica(&version, expiry.expire.port);
            expiry.others(OTHERS);
            let mut daemon = Daemon::new(&inv(&expiry, reconcile));
            daemon.start_and_listen();
            let (keys, began) = (keys(count), Instant::now());
            expiry.set(&keys, 2000..2000 + rounds * 2000);
            std::thread::sleep(millis(1900).saturating_sub(began.elapsed()));
            for _ in 0..rounds {
                pause(&expiry.expire, millis(1300));
                std::thread::sleep(millis(1500));
                give_failover_up(&expiry.expire, &replica);
            }
            let ended = Instant::now();
            let left = millis(2000 + rounds * 2000).saturating_sub(began.elapsed());
            expiry.wait_pushed_in_time(&mut daemon, keys.len(), left + seconds(5));
            println!("{version}, reconcile {reconcile}: all pushed {:?} after the last", ended.elapsed());
            // If keys were pushed twice, the second ones would come within this time.
            std::thread::sleep(seconds(if reconcile == "yes" { 5 } else { 1 }));
            daemon.stop();
            expiry.assert_pushed_once(&keys);
            assert!(daemon.log_lines("ERROR").is_empty(), "{:?}", daemon.log_lines("ERROR"));
            tested.passed(format_args!("{count} keys, {rounds} pauses, {rounds} failovers"));
        }
    }
}

/// The address leads to the new master after each failover, as with Sentinel and a name. What the new master
/// announced before pandad listened is found by reconcile.
#[test]
fn failovers_lose_no_key() {
    let (rounds, count) = if all() { (10, 20_000) } else { (2, 3000) };
    for version in pausable() {
        let mut expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "reconcile: failovers that are carried out");
        let mut replica = Redis::replica(&version, expiry.expire.port);
        let address = Proxy::in_front_of(&expiry.expire, Duration::ZERO);
        let inv = inv(&expiry, "yes").server("redis_kv_expire", "port", &address.port.to_string());
        let mut daemon = Daemon::new(&inv);
        daemon.start_and_listen();
        let (keys, began) = (keys(count), Instant::now());
        expiry.set(&keys, 4000..4000 + rounds * 2500);
        expiry.wait_remembered(keys.len());
        std::thread::sleep(millis(3900).saturating_sub(began.elapsed()));
        for _ in 0..rounds {
            expiry.expire.ask::<String>(&["FAILOVER"]);
            wait::until("the replica has become the master", seconds(20), || {
                replica.figure("replication", "role").as_deref() == Some("master")
            });
            std::mem::swap(&mut expiry.expire, &mut replica);
            address.forward_to(Some(&expiry.expire));
            // No connection is cut: pandad must notice by itself that it talks to a replica.
            std::thread::sleep(millis(2500));
        }
        let mut items = BTreeSet::new();
        let done = wait::within(seconds(60), || {
            std::thread::sleep(millis(200));
            items = expiry.list.items(LIST).into_iter().collect();
            items.len() >= keys.len()
        });
        assert!(done, "{} of {} keys", items.len(), keys.len());
        wait::until("nothing is stored", seconds(20), || expiry.remembered() == 0);
        daemon.stop();
        expiry.assert_pushed_once(&keys);
        tested.passed(format_args!("{count} keys, {rounds} failovers"));
    }
}

/// What is announced comes ever later, but it comes: reconcile must not take these keys for missed ones.
#[test]
fn late_announcements_are_waited_for() {
    let expiry = Expiry::up(NEWEST);
    let tested = expiry.list.tested("expired_to_list", "reconcile: announcements come seconds late");
    let address = Proxy::in_front_of(&expiry.expire, Duration::ZERO);
    let inv = inv(&expiry, "yes").server("redis_kv_expire", "port", &address.port.to_string());
    let mut daemon = Daemon::new(&inv);
    daemon.start_and_listen();
    let keys = keys(2000);
    expiry.set(&keys, 3000..18_000);
    expiry.wait_remembered(keys.len() * 9 / 10);
    address.lag_subscribers(seconds(4));
    expiry.wait_pushed(&mut daemon, keys.len(), seconds(40));
    wait::until("nothing is stored", seconds(20), || expiry.remembered() == 0);
    daemon.stop();
    expiry.assert_pushed_once(&keys);
    tested.passed(format_args!("{} keys, up to 4 s", keys.len()));
}
