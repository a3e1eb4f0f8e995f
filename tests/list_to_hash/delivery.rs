//! Goal: every item's field is deleted from every hash and no other field is, unreadable items go
//! to the dead list, and an empty list costs no polling.

use crate::support::daemon::Daemon;
use crate::support::proxy::Proxy;
use crate::support::queue::{DEAD, LIST, Queue, field, item};
use crate::support::redis::{NEWEST, Redis, newest, versions};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use redis_crate::cmd;
use std::time::{Duration, Instant};

#[test]
fn items_become_deleted_fields() {
    let users = if all() { 20_000 } else { 5000 };
    for version in versions() {
        let queue = Queue::up(&version, users);
        let tested = queue.list.tested("list_to_hash", "fields of 17 hashes are deleted");
        // Half of them wait already.
        queue.push(0..users / 2);
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        queue.push(users / 2..users);
        queue.finish(&mut daemon, seconds(60));
        let ended = daemon.log_lines("list_to_hash: ended");
        assert!(ended.len() == 1 && ended[0].contains(&format!(" items={users} fields={} ", users * 17)));
        tested.passed(format_args!("{users} items, {} fields", users * 17));
    }
}

/// An item's field is its last segment, up to the first underscore.
#[test]
fn items_are_parsed_as_by_the_original() {
    let readable: [(&[u8], &[u8]); 11] = [
        (b"USER_CACHE_OVERDUE:7001_12", b"7001"),
        (b"sess:7002_x", b"7002"),
        (b"a:b:c:7003", b"7003"),
        (b"a:7004_1_2_3", b"7004"),
        (b"foo", b"foo"),
        (b"foo2_bar", b"foo2"),
        // The original skipped these items, or confused them.
        (b"0", b"0"),
        (b"x:0_5", b"0"),
        (b"k:\xff\x00\r\n\xfe_1", b"\xff\x00\r\n\xfe"),
        (b"a: 7005 _x", b" 7005 "),
        ("名:用户7006_x".as_bytes(), "用户7006".as_bytes()),
    ];
    let unreadable: [&[u8]; 6] = [b"", b"x:", b":", b"USER_CACHE_OVERDUE:_12", b"_", b"two\nlines:\xff:"];
    // Parts of the items that must not be taken as fields.
    let others = ["USER_CACHE_OVERDUE", "12", "7004_1", "sess", "a", "x", "", "7005", "bar", "two\nlines"];
    for version in versions() {
        let queue = Queue::up(&version, 0);
        let tested = queue.list.tested("list_to_hash", "readable and unreadable items, the dead list");
        for hash in &queue.hashes {
            for named in
                readable.iter().map(|(_, field)| *field).chain(others.iter().map(|text| text.as_bytes()))
            {
                queue.ar.run::<u64>(cmd("HSET").arg(hash).arg(named).arg("x"));
            }
        }
        for item in readable.iter().map(|(item, _)| *item).chain(unreadable) {
            queue.list.push(LIST, item);
        }
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start();
        wait::until("every item is done", seconds(30), || {
            queue.list.len(LIST) == 0 && queue.batches().is_empty() && queue.list.exists(DEAD)
        });
        daemon.stop();
        for hash in &queue.hashes {
            for (item, field) in readable {
                let there: bool = queue.ar.run(cmd("HEXISTS").arg(hash).arg(field));
                assert!(!there, "{}: the field of {} is in {hash}", version, item.escape_ascii());
            }
            for other in others {
                let there: bool = queue.ar.run(cmd("HEXISTS").arg(hash).arg(other));
                assert!(there, "{version}: {other:?} was deleted from {hash}");
            }
        }
        dead_as_they_came(&queue.list, &unreadable);
        assert_eq!(queue.own_keys(), [""; 0], "keys of its own are left");
        tested.passed(format_args!("{} items", readable.len() + unreadable.len()));
    }
}

/// Each entry is `<seconds> <reason>\n<item>`, and the newest stands first.
#[track_caller]
fn dead_as_they_came(list: &Redis, unreadable: &[&[u8]]) {
    let now: u64 = list.ask::<Vec<String>>(&["TIME"])[0].parse().unwrap();
    let entries = list.items(DEAD);
    let mut items: Vec<Vec<u8>> = Vec::new();
    for entry in &entries {
        let shown = entry.escape_ascii();
        let newline = entry.iter().position(|&byte| byte == b'\n').unwrap_or_else(|| panic!("{shown}"));
        let head = String::from_utf8(entry[..newline].to_vec()).unwrap();
        let (time, reason) = head.split_once(' ').unwrap_or_else(|| panic!("{shown}"));
        assert!((now - 60..=now + 1).contains(&time.parse().unwrap()), "the time of {shown}, now {now}");
        assert!(!reason.is_empty(), "no reason: {shown}");
        items.push(entry[newline + 1..].to_vec());
    }
    // With two workers the order may change.
    let mut wanted: Vec<Vec<u8>> = unreadable.iter().map(|item| item.to_vec()).collect();
    items.sort();
    wanted.sort();
    assert_eq!(items, wanted);
}

/// An item repeated a thousand times is done each time, and a missing field is no fault.
#[test]
fn repeated_items_are_done() {
    let queue = Queue::up(NEWEST, 10);
    let tested = queue.list.tested("list_to_hash", "repeated items");
    for _ in 0..100 {
        queue.push(0..20);
    }
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start();
    queue.finish(&mut daemon, seconds(30));
    assert!(daemon.log_lines("WARN").is_empty() && daemon.log_lines("ERROR").is_empty());
    tested.passed("2000 items of 20 users");
}

/// For Redis 6.2 the older command is deprecated.
#[test]
fn items_are_moved_by_the_newest_command() {
    for version in versions() {
        let queue = Queue::up(&version, 10);
        let mut daemon = Daemon::new(&queue.inv());
        let (blocking, at_once) =
            if version.starts_with("3.") { ("brpoplpush", "rpoplpush") } else { ("blmove", "lmove") };
        let tested =
            queue.list.tested("list_to_hash", &format!("items are moved by {}", blocking.to_uppercase()));
        queue.push(0..10);
        daemon.start_and_wait();
        queue.finish(&mut daemon, seconds(20));
        for (command, used) in [(blocking, true), (at_once, true), ("eval", false)] {
            assert_eq!(queue.list.calls(command) > 0, used, "Redis {version}: {command}");
        }
        if !version.starts_with("3.") {
            assert_eq!(queue.list.calls("brpoplpush") + queue.list.calls("rpoplpush"), 0);
        }
        tested.passed("10 items");
    }
}

/// One HDEL for each hash and batch, and one DEL for each batch; not one for each item.
#[test]
fn many_items_take_few_requests() {
    const USERS: u64 = 20_000;
    for version in newest() {
        let queue = Queue::up(&version, USERS);
        let tested = queue.list.tested("list_to_hash", "few requests for many items");
        queue.push(0..USERS);
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start();
        queue.finish(&mut daemon, seconds(30));
        let (hdel, del) = (queue.ar.calls("hdel"), queue.list.calls("del"));
        println!("{USERS} items: {hdel} HDEL over 17 hashes, {del} DEL of batch lists");
        assert!(hdel <= USERS / 100 * 17, "{hdel} HDEL for {USERS} items");
        assert!(del <= USERS / 100, "{del} DEL for {USERS} items");
        tested.passed(format_args!("{USERS} items"));
    }
}

#[test]
fn lone_item_is_done_at_once() {
    const TIMES: u64 = 50;
    for version in newest() {
        let queue = Queue::up(&version, TIMES);
        let tested = queue.list.tested("list_to_hash", "a lone item is done at once");
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        let mut took: Vec<Duration> = (0..TIMES).map(|user| push_and_wait(&queue, user)).collect();
        let median = wait::median(&mut took);
        // A polling loop would take longer. scripts/bench measures exactly.
        assert!(median < millis(25), "{median:?} for a lone item");
        queue.finish(&mut daemon, seconds(10));
        tested.passed(format_args!("{TIMES} items"));
    }
}

/// The time from the push of an item until its field is deleted.
fn push_and_wait(queue: &Queue, user: u64) -> Duration {
    std::thread::sleep(millis(fastrand::u64(5..60)));
    let last = &queue.hashes[queue.hashes.len() - 1];
    let (mut check, field) = (queue.ar.connect(), field(user));
    let began = Instant::now();
    queue.list.push(LIST, &item(user));
    let deadline = wait::deadline(seconds(10));
    while cmd("HEXISTS").arg(last).arg(&field).query::<bool>(&mut check).unwrap() {
        assert!(Instant::now() < deadline, "not done after 10 s");
    }
    began.elapsed()
}

#[test]
fn empty_list_uses_next_to_no_cpu() {
    let queue = Queue::up(NEWEST, 1);
    let tested = queue.list.tested("list_to_hash", "CPU while the list is empty");
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start_and_wait();
    queue.push(0..1);
    queue.wait_done(&mut daemon, seconds(10));
    let commands = |redis: &Redis| -> u64 {
        redis.figure("stats", "total_commands_processed").unwrap().parse().unwrap()
    };
    let (cpu, asked, began) = (daemon.cpu(), commands(&queue.list) + commands(&queue.ar), Instant::now());
    let idle = if all() { 60 } else { 10 };
    std::thread::sleep(seconds(idle));
    let asked = commands(&queue.list) + commands(&queue.ar) - asked;
    let (cpu, time) = (daemon.cpu() - cpu, began.elapsed().as_secs_f64());
    println!("idle for {time:.0} s: CPU {:.3} %, {asked} commands", cpu.as_secs_f64() / time * 100.0);
    assert!(asked as f64 <= 10.0 * time, "{asked} commands in {time:.0} s: that is polling");
    // /proc counts hundredths of a second.
    assert!(cpu <= Duration::from_secs_f64(0.001 * time) + millis(10), "CPU {cpu:?} in {time:.0} s");
    queue.finish(&mut daemon, seconds(10));
    tested.passed(format_args!("{idle} s"));
}

/// Stopped and started in mid-stream: each stop leaves the remaining items on the list and nothing
/// elsewhere.
#[test]
fn stop_leaves_nothing_but_the_list() {
    for version in newest() {
        const USERS: u64 = 12_000;
        const STOPS: u32 = 12;
        let queue = Queue::up(&version, USERS);
        let tested = queue.list.tested("list_to_hash", "TERM in mid-stream");
        let feed = queue.feed_until_finished(0..USERS, 3000);
        let mut daemon = Daemon::new(&queue.inv());
        for stop in 0..STOPS {
            daemon.start_and_wait();
            std::thread::sleep(millis(fastrand::u64(0..300)));
            let took = daemon.stop();
            assert!(took < seconds(4), "nothing delayed it, but the stop took {took:?}");
            assert_eq!(queue.own_keys(), [""; 0], "keys of its own are left by stop {stop}");
        }
        feed.finish();
        daemon.start();
        queue.finish(&mut daemon, seconds(30));
        tested.passed(format_args!("{STOPS} stops"));
    }
}

/// Items that were taken and not done are back on the list after a stop.
#[test]
fn stop_hands_back_unfinished_items() {
    for version in versions() {
        let queue = Queue::up(&version, 3000);
        let tested = queue.list.tested("list_to_hash", "a stop hands unfinished items back");
        let proxy = Proxy::in_front_of(&queue.ar, Duration::ZERO);
        let mut daemon = Daemon::new(&queue.inv().server("redis_ar", "port", &proxy.port.to_string()));
        daemon.start_and_wait();
        proxy.forward_to(None);
        proxy.cut();
        queue.push(0..3000);
        wait::until("items are taken", seconds(20), || !queue.batches().is_empty());
        daemon.stop();
        assert_eq!(queue.own_keys(), [""; 0], "keys of its own are left");
        assert_eq!((queue.list.len(LIST), queue.fields_left()), (3000, 3000 * 17), "items and fields");
        proxy.forward_to(Some(&queue.ar));
        daemon.start();
        queue.finish(&mut daemon, seconds(30));
        tested.passed("3000 items");
    }
}

/// The list's name, and databases other than 0.
#[test]
fn other_list_hashes_and_databases() {
    for version in newest() {
        let (list, ar) = (Redis::up(&version), Redis::up(&version));
        let tested = list.tested("list_to_hash", "other list, hashes and databases");
        let (mut three, mut five) = (list.connect_to(3), ar.connect_to(5));
        for hash in ["one", "two:2", "users.id"] {
            cmd("HMSET").arg(hash).arg(&["7", "x", "8", "x", "9", "x"]).exec(&mut five).unwrap();
        }
        cmd("LPUSH").arg("other:list").arg(&["a:7_1", "a:8_1", "a:"]).exec(&mut three).unwrap();
        // Lists and hashes of other databases stay as they are.
        list.push("other:list", "a:9_1");
        list.push(LIST, "a:9_1");
        ar.ask::<u64>(&["HSET", "one", "7", "stays"]);
        let inv = crate::support::inv::Inv::queue(&list, &ar)
            .server("redis_list", "key", "other:list")
            .server("redis_list", "database", "3")
            .server("redis_ar", "database", "5")
            .server("redis_ar", "hashes", "one, two:2");
        let mut daemon = Daemon::new(&inv);
        daemon.start();
        let mut fields = |hash: &str| cmd("HKEYS").arg(hash).query::<Vec<String>>(&mut five).unwrap();
        wait::until("both are done", seconds(20), || fields("one") == ["9"] && fields("two:2") == ["9"]);
        daemon.stop();
        assert_eq!(fields("users.id").len(), 3, "a hash that is not in the configuration");
        let keys: Vec<String> = cmd("KEYS").arg("*").query(&mut three).unwrap();
        assert_eq!(keys, ["pandad:queue:other:list:dead"]);
        assert_eq!((list.len("other:list"), list.len(LIST)), (1, 1), "lists of database 0");
        assert!(ar.ask::<bool>(&["HEXISTS", "one", "7"]), "a hash of database 0");
        tested.passed("3 items");
    }
}

/// A list of items of every size, up to 2 MiB, with little memory.
#[test]
fn large_items_are_done() {
    let queue = Queue::up(NEWEST, 200);
    let tested = queue.list.tested("list_to_hash", "large items");
    for user in 0..200 {
        // Items have from a few bytes to 2 MiB, with the field at the very end.
        let pad = "p".repeat(if user % 20 == 0 { 2 << 20 } else { fastrand::usize(0..50_000) });
        queue.list.push(LIST, &format!("{pad}:{}", item(user)));
    }
    let mut daemon = Daemon::new(&queue.inv().set("daemon_section", "memory", "1M"));
    daemon.start();
    queue.finish(&mut daemon, seconds(60));
    tested.passed("200 items of up to 2 MiB");
}
