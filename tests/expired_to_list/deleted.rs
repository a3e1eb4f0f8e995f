//! Goal: the deadlines of keys that are deleted take no memory, so that the others find room. Method: locks
//! that are taken for an hour and released at once, and FLUSHALL, which announces nothing; pandad sweeps all
//! the time if deadlines find no room.

use crate::support::daemon::Daemon;
use crate::support::expiry::Expiry;
use crate::support::redis::newest;
use crate::support::wait;
use crate::support::wait::{millis, seconds};
use redis_crate::pipe;
use std::time::Instant;

/// Fails if pandad begins sweep after sweep.
#[track_caller]
fn assert_no_sweeps(expiry: &Expiry, after: &str) {
    let mut steps = 0;
    // What did not fit into the queue of changes is found by one sweep more.
    wait::until(&format!("no sweeps follow each other after {after}"), seconds(20), || {
        let before = std::mem::replace(&mut steps, expiry.expire.calls("scan"));
        std::thread::sleep(millis(1300));
        expiry.expire.calls("scan") == steps && before == steps
    });
}

/// Takes a lock and releases it, a thousand times.
fn lock(expiry: &Expiry, name: impl Fn(u32) -> String) {
    let mut pipe = pipe();
    for n in 0..1000 {
        let name = name(n);
        pipe.cmd("SET").arg(&name).arg("x").arg("PX").arg(3_600_000 - n).ignore();
        pipe.cmd("DEL").arg(&name).ignore();
    }
    expiry.expire.run_all(&pipe);
}

#[test]
fn deleted_keys_leave_no_deadlines_behind() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "deadlines of deleted keys take no memory");
        let mut daemon = Daemon::new(&expiry.inv().set("clearCache_section", "expired['memory']", "1M"));
        daemon.start_and_listen();
        for _ in 0..100 {
            lock(&expiry, |n| format!("lock:{}", n % 10));
            // Others look at the locks in between, as pandad does.
            std::thread::sleep(millis(5));
        }
        assert_no_sweeps(&expiry, "ten locks");
        for round in 0..50 {
            lock(&expiry, |n| format!("lock:{round}:{n}"));
            std::thread::sleep(millis(5));
        }
        assert_no_sweeps(&expiry, "50,000 locks");
        // Keys that are alive take 45 % of the memory, and those that are gone a third, when a sweep finds
        // keys of which nothing was heard.
        expiry.set(&(0..9400).map(|n| format!("alive:{n}")).collect::<Vec<_>>(), 3_600_000..3_700_000);
        std::thread::sleep(millis(500));
        for round in 0..14 {
            let names: Vec<String> = (0..500).map(|n| format!("lock:{round}:{n}")).collect();
            expiry.set(&names, 3_600_000..3_700_000);
            std::thread::sleep(millis(100));
            let mut pipe = pipe();
            names.iter().for_each(|name| _ = pipe.cmd("DEL").arg(name).ignore());
            expiry.expire.run_all(&pipe);
        }
        let mut pipe = pipe();
        pipe.cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).ignore();
        (0..9).for_each(|n| _ = pipe.cmd("PSETEX").arg(format!("new:{n}")).arg(3_600_000).arg("").ignore());
        expiry.expire.run_all(&pipe);
        std::thread::sleep(seconds(1));
        assert_no_sweeps(&expiry, "a sweep that finds new keys");
        for round in 0..3 {
            let keys: Vec<String> = (0..9000).map(|n| format!("k:{round}:{n}")).collect();
            expiry.set(&keys, 3_600_000..3_700_000);
            std::thread::sleep(millis(500));
            expiry.expire.ask::<String>(&["FLUSHALL"]);
        }
        expiry.set(&(0..9000).map(|n| format!("k:{n}")).collect::<Vec<_>>(), 3_600_000..3_700_000);
        assert_no_sweeps(&expiry, "FLUSHALL");
        expiry.set(&["due"], 1000..1001);
        expiry.wait_pushed_in_time(&mut daemon, 1, seconds(2));
        daemon.stop();
        tested.passed("10 and 50,000 locks, 3 FLUSHALL");
    }
}

/// With reconcile each deadline is also stored beside the list. A key that is deleted while pandad listens is
/// not one that expires, so nothing of it is left, and it is not pushed at its deadline.
#[test]
fn deleted_keys_are_not_remembered() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "reconcile: deleted keys are forgotten");
        let mut daemon = Daemon::new(&expiry.inv().set("clearCache_section", "expired['reconcile']", "yes"));
        daemon.start_and_listen();
        let (alive, began) = (["alive:1", "alive:2"], Instant::now());
        expiry.set(&alive, 9000..9001);
        for round in 0..20 {
            lock(&expiry, |n| format!("lock:{round}:{n}"));
            // These are learned before they are deleted.
            let names: Vec<String> = (0..100).map(|n| format!("short:{round}:{n}")).collect();
            expiry.set(&names, 9000..9001);
            wait::until("the deadlines are stored", seconds(10), || {
                names.iter().all(|name| expiry.deadline(name).is_some())
            });
            let mut pipe = pipe();
            names.iter().for_each(|name| _ = pipe.cmd("DEL").arg(name).ignore());
            expiry.expire.run_all(&pipe);
            if began.elapsed() > seconds(6) {
                break;
            }
        }
        wait::until("only living keys are stored", seconds(20), || expiry.remembered() <= 2);
        expiry.wait_pushed(&mut daemon, 2, seconds(20));
        wait::until("nothing is stored", seconds(20), || expiry.remembered() == 0);
        daemon.stop();
        expiry.assert_pushed_once(&alive);
        tested.passed("20,000 locks and up to 2000 keys");
    }
}
