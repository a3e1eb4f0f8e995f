//! Goal: pandad waits for a Redis server that is down, hangs, refuses or is not a master, and nothing is
//! lost. Method: one line is logged when the outage begins and one when it ends.

use super::outage::Outage;
use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::inv::Inv;
use crate::support::queue::{LIST, Queue, field, item};
use crate::support::redis::{NEWEST, Redis, newest};
use crate::support::wait;
use crate::support::wait::{millis, seconds};
use rustix::process::Signal;
use std::time::Instant;

/// list_to_hash: 100 items before the outage, 100 during it where the list can take them, 100 after it.
#[track_caller]
fn queue_waits_out(outage: Outage, of_list: bool) {
    let name = if of_list { "redis_list" } else { "redis_ar" };
    for version in outage.versions() {
        let mut queue = Queue::up(&version, 300);
        let tested = queue.list.tested("list_to_hash", &format!("{name} {}", outage.words()));
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        queue.push(0..100);
        wait::until("the first are done", seconds(20), || queue.fields_left() == 200 * 17);
        let until = if !of_list {
            outage.begin(&mut queue.ar);
            queue.push(100..200);
            200
        } else if outage == Outage::Full {
            // A full server takes no items, so they are pushed while pandad is paused.
            daemon.signal(Signal::STOP);
            queue.push(100..200);
            outage.begin(&mut queue.list);
            daemon.signal(Signal::CONT);
            200
        } else {
            outage.begin(&mut queue.list);
            100
        };
        waits(&mut daemon, "list_to_hash", name, outage);
        outage.end(if of_list { &mut queue.list } else { &mut queue.ar });
        queue.push(until..300);
        queue.wait_done(&mut daemon, seconds(60));
        daemon.assert_waited_once("list_to_hash", name);
        daemon.stop();
        queue.assert_clean_but_for_names();
        tested.passed("300 items");
    }
}

/// expired_to_list: keys expire before the outage, after it and, unless the outage is that of the server
/// where keys expire, during it.
#[track_caller]
fn expiry_waits_out(outage: Outage, of_list: bool) {
    let name = if of_list { "redis_list" } else { "redis_kv_expire" };
    for version in outage.versions() {
        let mut expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", &format!("{name} {}", outage.words()));
        let keys: Vec<String> = (0..300).map(item).collect();
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        expiry.expire_now(&keys[..100]);
        expiry.wait_pushed(&mut daemon, 100, seconds(20));
        // The outage must hit a connection that has been up for a while.
        std::thread::sleep(millis(1500));
        let mut expected = keys.clone();
        if outage == Outage::ListIsAString {
            // Another client has removed these keys from the list.
            expiry.list.ask::<u64>(&["DEL", LIST]);
            expected.drain(..100);
        }
        if of_list {
            outage.begin(&mut expiry.list);
            expiry.expire_now(&keys[100..200]);
        } else {
            outage.begin(&mut expiry.expire);
            expected.drain(100..200);
        }
        waits(&mut daemon, "expired_to_list", name, outage);
        outage.end(if of_list { &mut expiry.list } else { &mut expiry.expire });
        daemon.wait_log("back after", seconds(30));
        if !of_list {
            wait::until("pandad listens again", seconds(30), || daemon.log_lines(LISTENING).len() == 2);
        }
        expiry.expire_now(&keys[200..]);
        expiry.wait_pushed(&mut daemon, expected.len(), seconds(30));
        std::thread::sleep(millis(200));
        daemon.assert_waited_once("expired_to_list", name);
        daemon.stop();
        if outage == Outage::Hangs && of_list {
            // pandad cannot know whether the answer is lost or only late: it is better to push a key twice
            // than to lose it.
            expiry.assert_pushed(&expected);
        } else {
            expiry.assert_pushed_once(&expected);
        }
        tested.passed(format_args!("{} keys", expected.len()));
    }
}

/// pandad logs one helpful line and uses next to no CPU while it waits.
#[track_caller]
fn waits(daemon: &mut Daemon, job: &str, name: &str, outage: Outage) {
    daemon.wait_log("; waiting", seconds(30));
    let cpu = daemon.cpu();
    std::thread::sleep(seconds(2));
    let cpu = daemon.cpu() - cpu;
    let lines = daemon.log_lines("; waiting");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains(&format!("{job}: {name} 127.0.0.1:")), "not of {name}: {}", lines[0]);
    let logged = outage.phrases().iter().any(|word| lines[0].contains(word));
    assert!(logged, "the line has none of {:?}: {}", outage.phrases(), lines[0]);
    println!("while it waits: CPU {:.1} %", cpu.as_secs_f64() / 2.0 * 100.0);
    assert!(cpu < millis(80), "{cpu:?} of CPU in 2 s of waiting");
}

macro_rules! waited_out {
    ($($test:ident: $how:ident, $outage:ident, $of_list:literal;)*) => { $(
        #[test]
        fn $test() {
            $how(Outage::$outage, $of_list);
        }
    )* };
}

waited_out! {
    items_wait_for_a_stopped_list: queue_waits_out, Stopped, true;
    items_wait_for_a_killed_list: queue_waits_out, Killed, true;
    items_wait_for_a_hung_list: queue_waits_out, Hangs, true;
    items_wait_for_a_protected_list: queue_waits_out, WantsAPassword, true;
    items_wait_for_a_replica_list: queue_waits_out, IsAReplica, true;
    items_wait_for_a_busy_list: queue_waits_out, Busy, true;
    items_wait_for_a_loading_list: queue_waits_out, Loading, true;
    items_wait_for_a_full_list: queue_waits_out, Full, true;
    items_wait_for_a_wrong_type_list: queue_waits_out, ListIsAString, true;
    items_wait_for_stopped_hashes: queue_waits_out, Stopped, false;
    items_wait_for_killed_hashes: queue_waits_out, Killed, false;
    items_wait_for_hung_hashes: queue_waits_out, Hangs, false;
    items_wait_for_protected_hashes: queue_waits_out, WantsAPassword, false;
    items_wait_for_replica_hashes: queue_waits_out, IsAReplica, false;
    items_wait_for_busy_hashes: queue_waits_out, Busy, false;
    items_wait_for_loading_hashes: queue_waits_out, Loading, false;
    keys_wait_for_a_stopped_list: expiry_waits_out, Stopped, true;
    keys_wait_for_a_killed_list: expiry_waits_out, Killed, true;
    keys_wait_for_a_hung_list: expiry_waits_out, Hangs, true;
    keys_wait_for_a_protected_list: expiry_waits_out, WantsAPassword, true;
    keys_wait_for_a_replica_list: expiry_waits_out, IsAReplica, true;
    keys_wait_for_a_busy_list: expiry_waits_out, Busy, true;
    keys_wait_for_a_loading_list: expiry_waits_out, Loading, true;
    keys_wait_for_a_full_list: expiry_waits_out, Full, true;
    keys_wait_for_a_wrong_type_list: expiry_waits_out, ListIsAString, true;
    listener_waits_for_a_stopped_server: expiry_waits_out, Stopped, false;
    listener_waits_for_a_killed_server: expiry_waits_out, Killed, false;
    listener_waits_for_a_hung_server: expiry_waits_out, Hangs, false;
    listener_waits_for_a_protected_server: expiry_waits_out, WantsAPassword, false;
    listener_waits_for_a_demoted_master: expiry_waits_out, IsAReplica, false;
    listener_waits_for_a_loading_server: expiry_waits_out, Loading, false;
}

/// pandad starts before any of its servers: it logs one line for each, and uses next to no CPU while it
/// waits.
#[test]
fn servers_down_at_start_are_waited_for() {
    for version in newest() {
        let mut queue = Queue::up(&version, 100);
        let tested = queue.list.tested("list_to_hash", "all servers are down at the start");
        let mut expire = Redis::up(&version);
        queue.push(0..100);
        for redis in [&mut queue.list, &mut queue.ar, &mut expire] {
            redis.stop();
        }
        let inv = queue.inv().and(Inv::expiry(&expire, &queue.list));
        let mut daemon = Daemon::new(&inv);
        daemon.start();
        for line in ["list_to_hash: redis_list ", "expired_to_list: redis_kv_expire "] {
            daemon.wait_log(line, seconds(20));
        }
        let (cpu, began) = (daemon.cpu(), Instant::now());
        std::thread::sleep(seconds(5));
        let share = (daemon.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
        println!("while it waits: CPU {share:.1} %");
        assert!(share < 2.0, "{share:.1} % CPU while it waits");
        for redis in [&mut expire, &mut queue.list, &mut queue.ar] {
            redis.start();
        }
        queue.wait_done(&mut daemon, seconds(30));
        daemon.wait_log(LISTENING, seconds(30));
        daemon.assert_waited_once("list_to_hash", "redis_list");
        daemon.assert_waited_once("expired_to_list", "redis_kv_expire");
        daemon.stop();
        queue.assert_clean();
        tested.passed("100 items");
    }
}

/// A server with much data is not ready for a while after its start.
#[test]
fn server_loading_at_start_is_waited_for() {
    for version in Outage::Loading.versions() {
        let mut queue = Queue::up(&version, 100);
        let tested = queue.list.tested("list_to_hash", "redis_ar is loading at the start");
        queue.push(0..100);
        Outage::Loading.begin(&mut queue.ar);
        let mut daemon = Daemon::new(&queue.inv());
        let code =
            || queue.ar.try_ask::<String>(&["PING"]).err().and_then(|why| why.code().map(str::to_string));
        wait::until("the server is loading", seconds(20), || code().as_deref() == Some("LOADING"));
        daemon.start();
        daemon.wait_log("LOADING", seconds(20));
        queue.ar.wait_ready();
        queue.wait_done(&mut daemon, seconds(30));
        daemon.assert_waited_once("list_to_hash", "redis_ar");
        daemon.stop();
        queue.assert_clean();
        tested.passed("100 items");
    }
}

/// A stop does not wait for a server that is down or hangs; the next start does the items in flight.
#[test]
fn gone_server_does_not_delay_stop() {
    for (outage, of_list) in
        [(Outage::Stopped, true), (Outage::Stopped, false), (Outage::Hangs, true), (Outage::Hangs, false)]
    {
        let mut queue = Queue::up(NEWEST, 1000);
        let name = if of_list { "redis_list" } else { "redis_ar" };
        let tested = queue.list.tested("list_to_hash", &format!("TERM, {name} {}", outage.words()));
        let mut daemon = Daemon::new(&queue.inv().set("daemon_section", "stop_timeout", "5"));
        daemon.start_and_wait();
        let feed = queue.feed(0..500, 5000);
        feed.finish();
        outage.begin(if of_list { &mut queue.list } else { &mut queue.ar });
        if !of_list {
            queue.push(500..600);
        }
        // A request is under way by then. The test works whether or not pandad has noticed the outage.
        std::thread::sleep(millis(500));
        let began = Instant::now();
        daemon.signal(Signal::TERM);
        let status = daemon.wait_exit(seconds(25));
        println!("TERM, {outage:?}, of the list: {of_list}: {status} after {:?}", began.elapsed());
        assert!(began.elapsed() < seconds(7), "stop_timeout is 5 s, it took {:?}", began.elapsed());
        outage.end(if of_list { &mut queue.list } else { &mut queue.ar });
        queue.push(if of_list { 500..1000 } else { 600..1000 });
        daemon.start();
        queue.wait_done(&mut daemon, seconds(30));
        daemon.stop();
        queue.assert_clean_but_for_names();
        tested.passed("1000 items");
    }
}

/// Redis never refuses to delete a field for lack of memory.
#[test]
fn fields_are_deleted_from_full_redis() {
    let queue = Queue::up(NEWEST, 100);
    let tested = queue.ar.tested("list_to_hash", "redis_ar is full");
    queue.ar.set("maxmemory", "1");
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start_and_wait();
    queue.push(0..100);
    queue.finish(&mut daemon, seconds(20));
    assert!(daemon.log_lines("; waiting").is_empty());
    tested.passed("100 items");
}

/// A string has the name of one of the hashes: the other hashes are served, and one line is logged.
#[test]
fn wrong_type_hash_blocks_no_other() {
    for version in newest() {
        let mut queue = Queue::up(&version, 1000);
        let tested = queue.list.tested("list_to_hash", "one hash has the wrong type");
        let hash = queue.hashes.remove(4);
        queue.ar.ask::<u64>(&["DEL", &hash]);
        queue.ar.ask::<String>(&["SET", &hash, "somebody's string"]);
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        for part in 0..10 {
            queue.push(part * 100..part * 100 + 100);
            queue_done(&queue, 1000 - (part + 1) * 100);
        }
        assert_eq!(queue.ar.ask::<String>(&["GET", &hash]), "somebody's string");
        let logged = daemon.log_lines(&hash);
        assert_eq!(logged.len(), 1, "logged once: {logged:#?}");
        assert!(logged[0].contains("WARN") || logged[0].contains("ERROR"), "{}", logged[0]);
        println!("{}", logged[0]);
        // When the key holds a hash again, fields are deleted from it as well.
        queue.ar.ask::<u64>(&["DEL", &hash]);
        queue.ar.ask::<u64>(&["HSET", &hash, &field(1), "x"]);
        queue.list.push(LIST, &item(1));
        wait::until("the field is deleted", seconds(10), || !queue.ar.exists(&hash));
        daemon.stop();
        queue.assert_clean();
        tested.passed("1000 items, 16 hashes");
    }
}

#[track_caller]
fn queue_done(queue: &Queue, left: u64) {
    wait::until("this part is done", seconds(10), || queue.fields_left() == left * queue.hashes.len() as u64);
}
