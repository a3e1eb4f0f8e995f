//! Goal: a failover of the list's or the hashes' server loses no item and leaves nothing behind.
//! Method: a replica is promoted in mid-stream and the address then leads to it.

use crate::support::daemon::Daemon;
use crate::support::proxy::Proxy;
use crate::support::queue::{INSTANCES, LIST, Queue, item};
use crate::support::redis::{NEWEST, Redis, newest};
use crate::support::wait;
use crate::support::wait::{millis, seconds};
use std::time::Duration;

const USERS: u64 = 6000;

/// Waits until the replica has everything that the master has.
#[track_caller]
fn wait_replicated(master: &Redis) {
    let acknowledged: u64 = master.ask(&["WAIT", "1", "20000"]);
    assert_eq!(acknowledged, 1, "the replica is not there");
}

/// The new master has an older state: it still has batches that are done and items that were moved, and
/// perhaps only some of both.
#[test]
fn list_fails_over_to_a_lagging_replica() {
    for version in newest() {
        let mut queue = Queue::up(&version, USERS);
        let tested = queue.list.tested("list_to_hash", "failover of the list, the master killed");
        // The replica lags.
        let behind = Proxy::in_front_of(&queue.list, millis(60));
        let replica = Redis::replica(&version, behind.port);
        queue.push(0..USERS);
        wait_replicated(&queue.list);
        let (address, slow) =
            (Proxy::in_front_of(&queue.list, Duration::ZERO), Proxy::in_front_of(&queue.ar, millis(10)));
        let inv = queue.inv().server("redis_list", "port", &address.port.to_string());
        let mut daemon = Daemon::new(&inv.server("redis_ar", "port", &slow.port.to_string()));
        daemon.start_and_wait();
        wait::until("half of the work is done", seconds(20), || queue.list.len(LIST) < USERS / 2);
        queue.list.kill();
        behind.cut();
        address.forward_to(None);
        address.cut();
        replica.promote();
        let left = replica.len(LIST);
        let batches = replica.keys("pandad:queue:*:batch");
        println!("the new master has {left} items on the list and the batches {batches:?}");
        address.forward_to(Some(&replica));
        // Items pushed to the new master are done as well.
        queue.list = replica;
        queue.fill(USERS..USERS + 500);
        queue.push(USERS..USERS + 500);
        queue.wait_done(&mut daemon, seconds(60));
        // Batches that were done before the failover are left over.
        daemon.stop();
        queue.assert_clean_but_for_names();
        tested.passed(format_args!("{} items", USERS + 500));
    }
}

/// The old master had deleted that batch, and nothing else would remove it.
#[test]
fn leftover_batch_is_done_at_once() {
    for version in newest() {
        let queue = Queue::up(&version, 20);
        let tested = queue.list.tested("list_to_hash", "a leftover batch list after a new connection");
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        queue.push(0..10);
        wait::until("the first are done", seconds(20), || queue.fields_left() == 10 * 17);
        let instance = queue.list.ask::<Vec<String>>(&["HKEYS", INSTANCES]).remove(0);
        for user in 10..20 {
            // Two workers have four slots.
            queue.list.push(&format!("pandad:queue:{LIST}:{instance}:{}:batch", user % 4), &item(user));
        }
        queue.list.ask::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]);
        queue.wait_done(&mut daemon, seconds(20));
        daemon.stop();
        queue.assert_clean_but_for_names();
        tested.passed("10 items");
    }
}

/// The old master runs as a replica, refuses writes, and keeps its connections.
#[test]
fn list_fails_over_and_master_is_demoted() {
    for version in newest() {
        let mut queue = Queue::up(&version, USERS);
        let tested = queue.list.tested("list_to_hash", "failover of the list, the master demoted");
        let replica = Redis::replica(&version, queue.list.port);
        queue.push(0..USERS);
        wait_replicated(&queue.list);
        let (address, slow) =
            (Proxy::in_front_of(&queue.list, Duration::ZERO), Proxy::in_front_of(&queue.ar, millis(10)));
        let inv = queue.inv().server("redis_list", "port", &address.port.to_string());
        let mut daemon = Daemon::new(&inv.server("redis_ar", "port", &slow.port.to_string()));
        daemon.start_and_wait();
        wait::until("half of the work is done", seconds(20), || queue.list.len(LIST) < USERS / 2);
        replica.promote();
        queue.list.demote(&replica);
        daemon.wait_log("name the master in the .inv", seconds(20));
        address.forward_to(Some(&replica));
        let old = std::mem::replace(&mut queue.list, replica);
        queue.wait_done(&mut daemon, seconds(60));
        daemon.wait_log("back after", seconds(20));
        // Each connection notices by itself.
        assert!(daemon.log_lines("; waiting").len() <= 4, "said again and again: {}", daemon.log());
        daemon.stop();
        queue.assert_clean_but_for_names();
        drop(old);
        tested.passed(format_args!("{USERS} items"));
    }
}

/// A planned switch: the new master has everything that the old one acknowledged.
#[test]
fn hashes_fail_over_in_mid_stream() {
    for version in newest() {
        let mut queue = Queue::up(&version, USERS);
        let tested = queue.list.tested("list_to_hash", "failover of the hashes");
        let replica = Redis::replica(&version, queue.ar.port);
        wait_replicated(&queue.ar);
        let address = Proxy::in_front_of(&queue.ar, millis(10));
        let mut daemon = Daemon::new(&queue.inv().server("redis_ar", "port", &address.port.to_string()));
        daemon.start_and_wait();
        let feed = queue.feed(0..USERS, 3000);
        wait::until("half of the work is done", seconds(20), || queue.fields_left() < USERS * 17 / 2);
        address.forward_to(None);
        address.cut();
        wait_replicated(&queue.ar);
        replica.promote();
        queue.ar.demote(&replica);
        // For a while the address still leads to the old master.
        address.forward_to(Some(&queue.ar));
        wait::until("pandad has asked for the role", seconds(20), || queue.ar.calls("role") > 2);
        address.forward_to(Some(&replica));
        address.cut();
        let old = std::mem::replace(&mut queue.ar, replica);
        feed.finish();
        queue.finish(&mut daemon, seconds(60));
        drop(old);
        tested.passed(format_args!("{USERS} items"));
    }
}

/// A writable replica would accept every command and lose it at the next sync with its master.
#[test]
fn writable_replica_is_not_written_to() {
    let master = Redis::up(NEWEST);
    let tested = master.tested("list_to_hash", "a replica that takes writes");
    let list = Redis::replica(NEWEST, master.port);
    list.set("slave-read-only", "no");
    let queue = Queue::on(list, Redis::up(NEWEST), 20);
    queue.push(0..20);
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start_and_wait();
    daemon.wait_log("name the master in the .inv", seconds(20));
    std::thread::sleep(seconds(1));
    assert_eq!((queue.list.len(LIST), queue.batches().len()), (20, 0), "it was worked on");
    queue.list.promote();
    queue.finish(&mut daemon, seconds(30));
    tested.passed("20 items");
}
