//! Goal: every key that expires while pandad listens comes onto the list on the other server,
//! once, and no other key does.

use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::queue::{LIST, item};
use crate::support::redis::{NEWEST, Redis, newest, versions};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use redis_crate::cmd;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn every_expired_key_is_pushed_once() {
    let count = if all() { 100_000 } else { 10_000 };
    let keys: Vec<String> = (0..count).map(item).collect();
    for version in versions() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "keys that expire while pandad listens");
        // More workers may push, but only one connection receives events.
        let inv = expiry.inv().set("clearCache_section", "cache_clear_handler['worker_num']", "3");
        let mut daemon = Daemon::new(&inv);
        daemon.start_and_listen();
        let began = Instant::now();
        expiry.set(&keys, 200..8000);
        expiry.wait_pushed(&mut daemon, keys.len(), seconds(120));
        println!("{count} keys with deadlines over 8 s are on the list after {:?}", began.elapsed());
        // If keys were pushed twice, the second ones would come within this time.
        std::thread::sleep(millis(300));
        daemon.stop();
        expiry.assert_pushed_once(&keys);
        expiry.assert_clean();
        let ended = daemon.log_lines("expired_to_list: ended");
        assert!(ended.len() == 1 && ended[0].contains(&format!(" keys={count} waiting=0 ")), "{ended:?}");
        tested.passed(format_args!("{count} keys"));
    }
}

#[test]
fn only_prefixed_keys_are_pushed() {
    let wanted: [&[u8]; 7] = [
        b"USER_CACHE_OVERDUE:1_1",
        b"USER_CACHE_OVERDUE:",
        b"USER_CACHE_OVERDUE:\x00\xff\r\n\"\\ _1",
        "USER_CACHE_OVERDUE:用户_1".as_bytes(),
        &[b"USER_CACHE_OVERDUE:".as_slice(), &[0xfe; 5000]].concat(),
        b"USER_CACHE_OVERDUE:pandad:1_1",
        b"USER_CACHE_OVERDUE:0",
    ];
    let others: [&[u8]; 7] = [
        b"user_cache_overdue:2_1",
        b"USER_CACHE_OVERDU",
        b" USER_CACHE_OVERDUE:3_1",
        b"foo",
        b"",
        b"\xff",
        b"0",
    ];
    let own: [&[u8]; 3] = [b"pandad:canary:1", b"pandad:", b"pandad:queue:panda_user_expire:1:alive"];
    for version in newest() {
        for prefix in ["USER_CACHE_OVERDUE:", ""] {
            let expiry = Expiry::up(&version);
            let tested = expiry.list.tested("expired_to_list", &format!("binary keys, prefix '{prefix}'"));
            let inv = expiry.inv().set("clearCache_section", "expired['prefix']", prefix);
            let mut daemon = Daemon::new(&inv);
            daemon.start_and_listen();
            expiry.expire_now(&own);
            expiry.expire_now(&others);
            // A deleted key has not expired.
            expiry.set(&["USER_CACHE_OVERDUE:9_9"], 60_000..60_001);
            expiry.expire.ask::<u64>(&["DEL", "USER_CACHE_OVERDUE:9_9"]);
            expiry.expire_now(&wanted);
            let mut expected: Vec<&[u8]> = wanted.to_vec();
            if prefix.is_empty() {
                expected.extend(others);
            }
            expiry.wait_pushed(&mut daemon, expected.len(), seconds(20));
            daemon.stop();
            expiry.assert_pushed_once(&expected);
            tested.passed(format_args!("{} keys", wanted.len() + others.len() + own.len()));
        }
    }
}

/// Keys of the configured database become items, and keys of other databases do not.
#[test]
fn other_database_and_list() {
    let expiry = Expiry::up(NEWEST);
    let tested = expiry.list.tested("expired_to_list", "other list name and databases");
    let mut two = expiry.expire.connect_to(2);
    let inv = expiry.inv().server("redis_kv_expire", "database", "2");
    let mut daemon =
        Daemon::new(&inv.server("redis_list", "key", "other:list").server("redis_list", "database", "4"));
    daemon.start_and_wait();
    daemon.wait_log("listening on __keyevent@2__:expired", seconds(20));
    expiry.expire_now(&["of 0"]);
    cmd("SET").arg(&["of 2", "x", "PX", "1"]).exec(&mut two).unwrap();
    std::thread::sleep(millis(5));
    cmd("EXISTS").arg("of 2").exec(&mut two).unwrap();
    let mut four = expiry.list.connect_to(4);
    let mut items = || cmd("LRANGE").arg(&["other:list", "0", "-1"]).query::<Vec<String>>(&mut four).unwrap();
    wait::until("the key is on the list", seconds(10), || !items().is_empty());
    daemon.stop();
    assert_eq!(items(), ["of 2"]);
    assert_eq!(expiry.list.keys("*"), [""; 0], "database 0 of the list's server");
    tested.passed("2 keys");
}

/// Replicas never announce that a key has expired.
#[test]
fn replica_is_refused_until_promoted() {
    for version in newest() {
        let (master, expiry) = (Redis::up(&version), Expiry::up(&version));
        let tested = expiry.list.tested("expired_to_list", "a replica is refused until it is a master");
        expiry.expire.ask::<String>(&["SLAVEOF", "127.0.0.1", &master.port.to_string()]);
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start();
        daemon.wait_log("; waiting", seconds(20));
        let line = &daemon.log_lines("; waiting")[0];
        assert!(line.contains("redis_kv_expire") && line.contains("replica"), "{line}");
        std::thread::sleep(seconds(2));
        assert!(daemon.log_lines(LISTENING).is_empty(), "it listens to a replica");
        expiry.expire.ask::<String>(&["SLAVEOF", "NO", "ONE"]);
        daemon.wait_log(LISTENING, seconds(20));
        expiry.assert_receives(&mut daemon, "a master's");
        daemon.assert_waited_once("expired_to_list", "redis_kv_expire");
        daemon.stop();
        tested.passed("");
    }
}

/// The list's server hangs while more keys expire than fit into the budget. The newest keys are dropped,
/// counted and logged; pandad goes on reading, and pushes the keys that it held.
#[test]
fn full_budget_drops_the_newest_keys() {
    const FLOOD: usize = 60_000;
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "more keys than the budget holds");
        // Room that deadlines leave is used, too.
        let inv = expiry.inv().set("clearCache_section", "expired['memory']", "1M");
        let mut daemon = Daemon::new(&inv.set("daemon_section", "memory", "1M"));
        daemon.start_and_listen();
        expiry.assert_receives(&mut daemon, "USER:before_1");
        expiry.list.hang();
        let first: Vec<String> = (0..100).map(|n| format!("USER:first {n}_1")).collect();
        expiry.expire_now(&first);
        let flood: Vec<String> = (0..FLOOD).map(|n| format!("USER:{}{n}_1", "f".repeat(100))).collect();
        expiry.expire_now(&flood);
        daemon.wait_log("dropped", seconds(20));
        // pandad has read all events: no event waits at the server.
        let quiet = || expiry.subscribers().iter().all(|line| line.contains(" omem=0 "));
        assert_eq!(expiry.subscribers().len(), 1, "{:?}", expiry.subscribers());
        wait::until("the server has nothing to send to its subscriber", seconds(10), quiet);
        expiry.list.resume();
        // One more key fits again, and comes after all the keys that pandad held.
        wait::until("what was held is pushed", seconds(30), || {
            expiry.expire_now(&["USER:last_1"]);
            expiry.list.ask::<Option<String>>(&["LINDEX", LIST, "0"]).as_deref() == Some("USER:last_1")
        });
        daemon.stop();
        let items = expiry.list.items(LIST);
        let flooded = items.iter().filter(|item| item.len() > 100).count();
        let came: BTreeSet<&[u8]> = items.iter().map(Vec::as_slice).collect();
        for key in first.iter().map(String::as_str).chain(["USER:before_1"]) {
            assert!(came.contains(key.as_bytes()), "{key} was dropped, and is not among the newest");
        }
        println!("{flooded} of {FLOOD} pushed, memory 1M");
        // Each key takes the bytes of its name and some overhead. A megabyte is for keys that wait, one for
        // those that are being pushed, and three quarters of one for what the deadlines leave.
        assert!((3000..35_000).contains(&flooded), "{flooded} of {FLOOD} pushed from a budget of 1M");
        let ended = &daemon.log_lines("expired_to_list: ended")[0];
        let lost: usize = figure(ended, "lost");
        let last = items.len() - flooded - first.len() - 1;
        assert!(lost >= FLOOD - flooded, "{ended}, but {} did not come", FLOOD - flooded);
        assert_eq!(figure::<usize>(ended, "keys"), flooded + first.len() + 1 + last, "{ended}");
        assert_eq!(daemon.log_lines("dropped").len(), 1, "said once");
        tested.passed(format_args!("{FLOOD} keys"));
    }
}

/// A figure of the state line.
#[track_caller]
fn figure<T: std::str::FromStr>(line: &str, name: &str) -> T {
    let found = line.split_once(&format!(" {name}=")).and_then(|(_, rest)| rest.split(' ').next());
    found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Only pandad has the received keys: a stop waits for the list's server, within its deadline.
#[test]
fn stop_pushes_received_keys() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "TERM with keys in flight");
        let keys: Vec<String> = (0..5000).map(item).collect();
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        expiry.list.hang();
        expiry.expire_now(&keys);
        // This is long enough for pandad to receive the events.
        std::thread::sleep(seconds(2));
        daemon.signal(Signal::TERM);
        std::thread::sleep(seconds(2));
        assert!(daemon.running(), "it ended with keys in flight");
        expiry.list.resume();
        assert_eq!(daemon.wait_exit(seconds(25)).code(), Some(0));
        expiry.assert_pushed_once(&keys);
        tested.passed(format_args!("{} keys", keys.len()));
    }
}

/// The server has sent the events, and pandad reads them only later: no key is lost.
#[test]
fn keys_expired_during_sigstop_are_pushed() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "keys expire while pandad is paused (SIGSTOP)");
        let keys: Vec<String> = (0..1000).map(item).collect();
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        daemon.signal(Signal::STOP);
        expiry.expire_now(&keys);
        daemon.signal(Signal::CONT);
        expiry.wait_pushed(&mut daemon, keys.len(), seconds(10));
        daemon.stop();
        expiry.assert_pushed_once(&keys);
        tested.passed(format_args!("{} keys", keys.len()));
    }
}

#[test]
fn lone_key_is_pushed_at_once() {
    const TIMES: u64 = 50;
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "a lone key is pushed at once");
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        let mut took: Vec<Duration> = (0..TIMES).map(|n| expire_and_wait(&expiry, n)).collect();
        let median = wait::median(&mut took);
        assert!(median < millis(25), "{median:?} for a lone key");
        daemon.stop();
        tested.passed(format_args!("{TIMES} keys"));
    }
}

/// How long a key takes from the moment when the server notices that it has expired.
fn expire_and_wait(expiry: &Expiry, n: u64) -> Duration {
    let (mut list, mut expire) = (expiry.list.connect(), expiry.expire.connect());
    cmd("SET").arg(&[&item(n), "x", "PX", "1"]).exec(&mut expire).unwrap();
    std::thread::sleep(millis(fastrand::u64(5..60)));
    // The server may have noticed earlier by itself. Such a sample is too short, which the median
    // tolerates.
    let began = Instant::now();
    cmd("EXISTS").arg(item(n)).exec(&mut expire).unwrap();
    let deadline = wait::deadline(seconds(10));
    while cmd("LLEN").arg(LIST).query::<u64>(&mut list).unwrap() <= n {
        assert!(Instant::now() < deadline, "not there after 10 s");
    }
    began.elapsed()
}

#[test]
fn idle_listener_uses_next_to_no_cpu() {
    let expiry = Expiry::up(NEWEST);
    let tested = expiry.list.tested("expired_to_list", "CPU while nothing expires");
    let mut daemon = Daemon::new(&expiry.inv());
    daemon.start_and_listen();
    expiry.assert_receives(&mut daemon, "a key");
    let (cpu, began) = (daemon.cpu(), Instant::now());
    let idle = if all() { 60 } else { 10 };
    std::thread::sleep(seconds(idle));
    let (cpu, time) = (daemon.cpu() - cpu, began.elapsed().as_secs_f64());
    println!("idle for {time:.0} s: CPU {:.3} %", cpu.as_secs_f64() / time * 100.0);
    assert!(cpu <= Duration::from_secs_f64(0.001 * time) + millis(10), "CPU {cpu:?} in {time:.0} s");
    expiry.assert_receives(&mut daemon, "another key");
    daemon.stop();
    tested.passed(format_args!("{idle} s"));
}
