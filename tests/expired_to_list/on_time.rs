//! Goal: keys expire on time among many others, by whatever command and whenever they got their
//! deadline, at a bounded cost on the server. Method: so many other keys that Redis by itself
//! would take minutes to notice.

use crate::support::daemon::Daemon;
use crate::support::expiry::Expiry;
use crate::support::queue::LIST;
use crate::support::redis::{NEWEST, newest, versions};
use crate::support::wait;
use crate::support::wait::{millis, seconds};
use redis_crate::cmd;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// With this many other keys with a deadline, Redis by itself takes minutes to notice one key.
const OTHERS: usize = 20_000;
const LIFE: u64 = 2000;
/// Tolerance after the deadline: a slow machine needs less time, Redis by itself needs more.
const LATE: Duration = seconds(6);

/// The commands of this version that give a key a deadline `LIFE` from now.
fn ways(expiry: &Expiry, version: &str) -> Vec<Vec<Vec<u8>>> {
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let now: Vec<u64> = expiry.expire.ask(&["TIME"]);
    let at = now[0] * 1000 + LIFE;
    let mut ways: Vec<Vec<Vec<u8>>> = [
        "SETEX k:setex 2 x",
        "PSETEX k:psetex 2000 x",
        "SET k:ex x EX 2",
        "SET k:px x PX 2000",
        "EXPIRE k:expire 2",
        "PEXPIRE k:pexpire 2000",
        "PEXPIRE k:shortened 2000",
        "RENAME k:old k:renamed",
        "EVAL return(redis.call('setex',KEYS[1],2,'x')) 1 k:script",
    ]
    .iter()
    .map(|line| words(line))
    .collect();
    ways.push(words(&format!("EXPIREAT k:expireat {}", now[0] + 2)));
    ways.push(words(&format!("PEXPIREAT k:pexpireat {at}")));
    if !version.starts_with("3.") {
        ways.extend(["GETEX k:getex PX 2000", "COPY k:source k:copied", "MOVE k:moved 0"].map(words));
        let dump: Vec<u8> = expiry.expire.ask(&["DUMP", "k:expire"]);
        ways.push([words("RESTORE k:restored 2000"), vec![dump]].concat());
    }
    ways
}

#[test]
fn every_command_expires_on_time() {
    for version in versions() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "on time, by every command that sets a deadline");
        expiry.others(OTHERS);
        let mut daemon = Daemon::new(&expiry.inv().set("clearCache_section", "expired['prefix']", "k:"));
        daemon.start_and_listen();
        expiry.wait_swept();
        for key in ["k:expire", "k:pexpire", "k:expireat", "k:pexpireat", "k:getex"] {
            expiry.expire.ask::<String>(&["SET", key, "x"]);
        }
        expiry.expire.ask::<String>(&["SET", "k:shortened", "x", "EX", "9000"]);
        for key in ["k:old", "k:source"] {
            expiry.expire.ask::<String>(&["SET", key, "x", "PX", "4000"]);
        }
        let mut other = expiry.expire.connect_to(1);
        cmd("SET").arg(&["k:moved", "x", "PX", "4000"]).exec(&mut other).unwrap();
        let mut wanted = BTreeSet::new();
        let ways = ways(&expiry, &version);
        let began = Instant::now();
        for words in &ways {
            let name = String::from_utf8_lossy(&words[0]).into_owned();
            let mut command = cmd(&name);
            words[1..].iter().for_each(|word| {
                command.arg(word.as_slice());
            });
            match name.as_str() {
                "MOVE" => command.exec(&mut other).unwrap(),
                _ => expiry.expire.run::<()>(&command),
            }
            let key = match name.as_str() {
                "RENAME" | "COPY" => &words[2],
                "EVAL" => &words[3],
                _ => &words[1],
            };
            wanted.insert(key.clone());
        }
        if !version.starts_with("3.") {
            wanted.insert(b"k:source".to_vec());
        } else {
            expiry.expire.ask::<u64>(&["DEL", "k:source"]);
        }
        let mut left = wanted.clone();
        wait::in_time(millis(LIFE) + LATE, || {
            left.retain(|key| !expiry.list.items(LIST).contains(key));
            left.is_empty()
        });
        let names: Vec<_> = left.iter().map(|key| String::from_utf8_lossy(key)).collect();
        assert!(left.is_empty(), "not on time, Redis {version}: {names:?}");
        println!("{} ways to a deadline of 2 s: all on the list after {:?}", ways.len(), began.elapsed());
        daemon.stop();
        let wanted: Vec<Vec<u8>> = wanted.into_iter().collect();
        expiry.assert_pushed_once(&wanted);
        tested.passed(format_args!("among {OTHERS} others"));
    }
}

/// No event announces these keys: the sweep finds them, and the prefix is not taken as a pattern.
#[test]
fn keys_set_before_start_expire_on_time() {
    for version in versions() {
        for prefix in ["", "odd*[a]?\\^-"] {
            let expiry = Expiry::up(&version);
            let tested = expiry
                .list
                .tested("expired_to_list", &format!("on time, keys set before the start, prefix '{prefix}'"));
            expiry.others(OTHERS);
            let keys: Vec<String> = (0..100).map(|n| format!("{prefix}k{n}")).collect();
            expiry.set(&keys, 4000..4500);
            expiry.set(&["oddly other"], 4000..4001);
            let mut daemon =
                Daemon::new(&expiry.inv().set("clearCache_section", "expired['prefix']", prefix));
            daemon.start_and_listen();
            let expected = keys.len() + usize::from(prefix.is_empty());
            expiry.wait_pushed_in_time(&mut daemon, expected, millis(4500) + LATE);
            daemon.stop();
            tested.passed(format_args!("{expected} keys among {OTHERS} others"));
        }
    }
}

/// pandad asks the server again before it treats a key as expired.
#[test]
fn renewed_keys_are_not_pushed() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "renewed, persisted and deleted keys");
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        expiry.set(&["renewed", "persisted", "deleted", "renamed", "overwritten", "due"], 4000..4001);
        std::thread::sleep(millis(300));
        expiry.expire.ask::<u64>(&["PEXPIRE", "renewed", "14000"]);
        expiry.expire.ask::<u64>(&["PERSIST", "persisted"]);
        expiry.expire.ask::<u64>(&["DEL", "deleted"]);
        expiry.expire.ask::<String>(&["RENAME", "renamed", "now called"]);
        expiry.expire.ask::<String>(&["SET", "overwritten", "x"]);
        expiry.wait_pushed(&mut daemon, 2, seconds(10));
        expiry.assert_pushed(&["due", "now called"]);
        assert!(expiry.expire.exists("renewed"), "the machine is too slow for this to show anything");
        expiry.wait_pushed(&mut daemon, 3, seconds(10));
        std::thread::sleep(millis(500));
        assert!(expiry.expire.exists("persisted") && expiry.expire.exists("overwritten"));
        daemon.stop();
        expiry.assert_pushed_once(&["due", "now called", "renewed"]);
        tested.passed("6 keys");
    }
}

/// Deadlines that do not fit into memory are not lost: pandad probes all keys again and again.
#[test]
fn more_deadlines_than_memory() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "more deadlines than memory");
        // Each takes 50 bytes.
        let others = OTHERS * 3 / 2;
        expiry.others(others);
        let mut daemon = Daemon::new(&expiry.inv().set("clearCache_section", "expired['memory']", "1M"));
        daemon.start_and_listen();
        // The memory fills while the sweep goes on. Only then another sweep follows it soon.
        let one_sweep = others as u64 / 500;
        let follows = || expiry.expire.calls("scan") > one_sweep * 5 / 4;
        wait::until("sweeps follow one another", seconds(30), follows);
        let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
        expiry.set(&keys, 1500..2000);
        expiry.wait_pushed_in_time(&mut daemon, keys.len(), seconds(2) + LATE + LATE);
        daemon.stop();
        expiry.assert_pushed_once(&keys);
        let ended = &daemon.log_lines("expired_to_list: ended")[0];
        let late = ended.split_once("late ").and_then(|(_, rest)| rest.split_once(" ms"));
        let late: f64 = late.and_then(|(late, _)| late.parse().ok()).unwrap();
        assert!(late >= 1000.0, "the state line does not show that keys may be late: {ended}");
        tested.passed(format_args!("{} keys among {others} others", keys.len()));
    }
}

/// However many keys there are to probe, the rate is bounded.
#[test]
fn probe_rate_is_bounded() {
    let expiry = Expiry::up(NEWEST);
    let tested = expiry.list.tested("expired_to_list", "the rate of probes is bounded");
    expiry.others(OTHERS);
    let mut daemon = Daemon::new(&expiry.inv().set("clearCache_section", "expired['rate']", "1000"));
    daemon.start_and_listen();
    let (calls, began) = (expiry.expire.calls("pttl"), Instant::now());
    expiry.set(&(0..5000).map(|n| format!("more {n}")).collect::<Vec<_>>(), 60_000..70_000);
    std::thread::sleep(seconds(4));
    let (calls, took) = (expiry.expire.calls("pttl") - calls, began.elapsed().as_secs_f64());
    println!("{calls} questions in {took:.1} s");
    assert!(calls > 1000, "{calls} questions in {took:.1} s: it does nothing");
    assert!((calls as f64) < 1000.0 * (took + 0.5), "{calls} questions in {took:.1} s");
    // The key comes late, but it comes.
    expiry.set(&["k"], 100..101);
    expiry.wait_pushed(&mut daemon, 1, seconds(60));
    daemon.stop();
    tested.passed("1000 a second");
}

/// If a user may only subscribe, keys are still pushed, but late, and the log says which right is missing.
/// This costs next to no CPU.
#[test]
fn denied_probes_still_push_keys() {
    let expiry = Expiry::up(NEWEST);
    let tested = expiry.list.tested("expired_to_list", "users without the right to probe keys");
    expiry.expire.set("notify-keyspace-events", "Exg");
    expiry.others(100);
    for (rights, channels, warning) in [
        (["-pttl", "+config|get"].as_slice(), "&*", "PTTL is refused"),
        (&["-scan", "-set", "+config|get"], "&*", "SCAN is refused"),
        (
            &["-@all", "+subscribe", "+ping", "+role", "+time"],
            "&__keyevent@0__:expired",
            "refuses the channels that announce new deadlines",
        ),
    ] {
        let user = ["ACL", "SETUSER", "pandad", "reset", "on", ">of-pandad", "~*", "+@all", channels];
        expiry.expire.ask::<String>(&[&user[..], rights].concat());
        let inv = expiry.inv().server("redis_kv_expire", "user", "pandad");
        let mut daemon = Daemon::new(&inv.server("redis_kv_expire", "password", "of-pandad"));
        daemon.start_and_listen();
        daemon.wait_log(warning, seconds(10));
        let (cpu, began) = (daemon.cpu(), Instant::now());
        std::thread::sleep(seconds(2));
        let share = (daemon.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        assert!(share < 0.1, "{rights:?}: {share:.2} of a processor");
        expiry.assert_receives(&mut daemon, "heard");
        daemon.stop();
        let logged = daemon.log_lines(" late: ");
        println!("{}", logged.join("\n"));
        assert!(logged.len() <= 4, "logged again and again: {logged:#?}");
    }
    tested.passed("3 users");
}
