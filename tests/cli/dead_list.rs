//! `pandad dead FILE list|retry|drop`: items that could not be done are shown, put back or
//! deleted, whether pandad runs or not.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::queue::{DEAD, LIST, Queue};
use crate::support::redis::{NEWEST, Redis, newest};
use crate::support::run::{Ran, run};
use crate::support::wait;
use crate::support::wait::seconds;
use std::path::PathBuf;

/// Unreadable items: neither of them names a field.
const POISON: [&[u8]; 2] = [b"a:", b"two\nlines \xff\t\"x\":_9"];

struct Case {
    queue: Queue,
    daemon: Daemon,
}

impl Case {
    /// Two items on the dead list, put there by pandad, which has been stopped.
    fn new(version: &str) -> Case {
        let queue = Queue::up(version, 0);
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        for item in POISON {
            let len = queue.list.len(DEAD);
            queue.list.push(LIST, item);
            wait::until("the item is on the dead list", seconds(10), || queue.list.len(DEAD) == len + 1);
        }
        wait::until("the batch is acknowledged", seconds(10), || queue.batches().is_empty());
        Case { queue, daemon }
    }

    fn dead(&self, action: &str) -> Ran {
        dead(&self.daemon, action)
    }
}

fn dead(daemon: &Daemon, action: &str) -> Ran {
    run(&["dead", &daemon.dir.join("test.inv").display().to_string(), action])
}

#[test]
fn dead_items_show_time_and_reason() {
    for version in newest() {
        let mut case = Case::new(&version);
        let tested = case.queue.list.tested("list_to_hash", "pandad dead list");
        // The command works while pandad runs and after pandad has ended.
        let first = case.dead("list").expect(0).out;
        case.daemon.stop();
        let out = case.dead("list").expect(0).out;
        assert_eq!(out, first);
        println!("{out}");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "one line for each, whatever the item holds: {out:?}");
        assert!(lines[1].contains("\"a:\""), "the older one below: {out:?}");
        assert!(lines[0].contains(r"two\nlines \xff\t"), "bytes that are not text are escaped: {out:?}");
        let year = lines[0].split('-').next().unwrap();
        assert!((2024..2100).contains(&year.parse::<u32>().unwrap()), "it begins with the time: {out:?}");
        assert_eq!(case.queue.list.len(DEAD), 2, "showing changes nothing");
        tested.passed("2 items");
    }
}

/// Items are put back as they were; here they are unreadable again.
#[test]
fn dead_items_are_retried() {
    for version in newest() {
        let mut case = Case::new(&version);
        let tested = case.queue.list.tested("list_to_hash", "pandad dead retry");
        case.daemon.stop();
        case.dead("retry").expect(0).says("2");
        // The item of the oldest entry comes next on the list.
        assert_eq!(case.queue.list.items(LIST), POISON.map(<[u8]>::to_vec));
        assert!(!case.queue.list.exists(DEAD), "still on the dead list");
        // A running pandad puts each item on the dead list again, once.
        case.daemon.start();
        wait::until("both are back on the dead list", seconds(10), || case.queue.list.len(DEAD) == 2);
        case.dead("list").expect(0).says("a:");
        case.daemon.stop();
        assert!(!case.queue.list.exists(LIST));
        tested.passed("2 items");
    }
}

#[test]
fn dead_items_are_dropped() {
    let mut case = Case::new(NEWEST);
    case.daemon.stop();
    case.dead("drop").expect(0).says("2");
    assert_eq!(case.queue.list.keys("*"), [""; 0], "nothing is left, and nothing was put back");
}

/// One item, or those with one reason, are put back or dropped; the others stay.
#[test]
fn dead_items_are_chosen() {
    let queue = Queue::up(NEWEST, 0);
    let daemon = Daemon::new(&queue.inv());
    let file = daemon.dir.join("test.inv").display().to_string();
    for (reason, item) in [("why", "a:"), ("why", "b:"), ("other", "c\t:"), ("other", "d:"), ("other", "a:")]
    {
        queue.list.push(DEAD, &format!("1700000000 {reason}\n{item}"));
    }
    let dead = |words: &[&str]| run(&[&["dead", file.as_str()], words].concat());
    let reasons = dead(&["reasons"]).expect(0).out;
    assert_eq!(reasons, "3\t2023-11-14T22:13:20Z\tother\n2\t2023-11-14T22:13:20Z\twhy\n");
    assert_eq!(dead(&["list", "--reason", "why"]).expect(0).out.lines().count(), 2);
    dead(&["retry", "a:"]).expect(0).says("2 items put back");
    dead(&["drop", r#""c\t:""#]).expect(0).says("1 item deleted");
    dead(&["drop", "e:"]).expect(1).says("nothing of that kind");
    assert_eq!((queue.list.items(LIST).len(), queue.list.len(DEAD)), (2, 2));
    dead(&["drop", "--reason", "other"]).expect(0).says("1 item deleted");
    assert_eq!(queue.list.items(DEAD), [b"1700000000 why\nb:"]);
    for wrong in
        [&["list", "a:"][..], &["reasons", "a:"], &["retry", "a:", "--reason", "why"], &["drop", "a", "b"]]
    {
        dead(wrong).expect(2);
    }
}

/// Thousands of items without a field, one after the other: the log says so in a line a minute.
#[test]
fn flood_of_dead_items_is_a_line() {
    let queue = Queue::up(NEWEST, 0);
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start_and_wait();
    for n in 0..400 {
        queue.list.push(LIST, &format!("{n}:"));
        wait::until("it is taken", seconds(10), || queue.list.len(LIST) == 0);
    }
    wait::until("all are on the dead list", seconds(20), || queue.list.len(DEAD) == 400);
    daemon.stop();
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(" on the dead list, ")).collect();
    let count = |line: &&str| -> u64 {
        line.split("put ").nth(1).unwrap().split(' ').next().unwrap().replace(',', "").parse().unwrap()
    };
    assert_eq!(lines.iter().map(count).sum::<u64>(), 400, "{lines:?}");
    assert!(lines.len() <= 3, "{lines:?}");
}

#[test]
fn empty_dead_list_is_no_error() {
    let queue = Queue::up(NEWEST, 0);
    let daemon = Daemon::new(&queue.inv());
    assert_eq!(dead(&daemon, "list").expect(0).out, "");
    for action in ["retry", "drop"] {
        dead(&daemon, action).expect(0).says("0");
    }
    assert_eq!(queue.list.keys("*"), [""; 0]);
}

/// Thousands of entries, among them some that pandad did not write: all of them come back.
#[test]
fn long_dead_list_is_retried_whole() {
    let queue = Queue::up(NEWEST, 0);
    let mut wanted: Vec<Vec<u8>> = Vec::new();
    for n in 0..2500 {
        let item = format!("item {n}:");
        queue.list.push(DEAD, &format!("17{n:08} some reason\n{item}"));
        wanted.push(item.into_bytes());
    }
    for foreign in [&b"no newline"[..], b"", b"word reason\nrest", b"\xff\xfe\n\n"] {
        queue.list.push(DEAD, foreign);
        wanted.push(foreign.to_vec());
    }
    // Two equal entries are two items.
    for _ in 0..2 {
        queue.list.push(DEAD, "1700000000 some reason\ntwin:");
        wanted.push(b"twin:".to_vec());
    }
    let daemon = Daemon::new(&queue.inv());
    assert_eq!(dead(&daemon, "list").expect(0).out.lines().count(), wanted.len());
    dead(&daemon, "retry").expect(0).says(&wanted.len().to_string());
    assert_eq!(queue.list.items(LIST), wanted, "the oldest comes next");
    assert!(!queue.list.exists(DEAD));
}

#[test]
fn unreachable_server_exits_1() {
    let (mut list, ar) = (Redis::new(NEWEST).with_password("the-right-one").started(), Redis::up(NEWEST));
    let daemon = Daemon::new(&Inv::queue(&list, &ar));
    dead(&daemon, "list").expect(0);
    let wrong = Daemon::new(&Inv::queue(&list, &ar).server("redis_list", "password", "the-wrong-one"));
    let ran = dead(&wrong, "list").expect(1).says("redis_list").says("password");
    assert!(!ran.err.contains("the-wrong-one") && !ran.out.contains("the-wrong-one"), "a password is shown");
    list.push(DEAD, "1700000000 some reason\nx:");
    list.push(LIST, "a:1_1");
    list.run::<u64>(redis_crate::cmd("DEL").arg(DEAD));
    list.ask::<String>(&["SET", DEAD, "somebody's string"]);
    for action in ["list", "retry", "drop"] {
        dead(&daemon, action).expect(1).says("WRONGTYPE");
    }
    assert_eq!(list.ask::<String>(&["GET", DEAD]), "somebody's string");
    list.stop();
    for action in ["list", "retry", "drop"] {
        let ran = dead(&daemon, action).expect(1).says("redis_list").says(&list.address());
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
}

#[test]
fn usage_errors_exit_2_or_78() {
    let (list, ar) = (Redis::up(NEWEST), Redis::up(NEWEST));
    let daemon = Daemon::new(&Inv::queue(&list, &ar));
    let path: PathBuf = daemon.dir.join("test.inv");
    let path = path.to_str().unwrap();
    for arguments in
        [&["dead"][..], &["dead", path], &["dead", path, "lits"], &["dead", path, "list", "more"]]
    {
        run(arguments).expect(2);
    }
    run(&["dead", "/nowhere/at/all.inv", "list"]).expect(78).says("/nowhere/at/all.inv");
    run(&["--help"]).expect(0).says("dead FILE");
}

/// A dead list that nobody empties must not fill the server's memory.
#[test]
fn dead_list_keeps_the_newest_10000() {
    for version in newest() {
        let queue = Queue::up(&version, 0);
        let tested = queue.list.tested("list_to_hash", "a full dead list");
        let old: Vec<String> = (0..9_990).map(|number| format!("1 old\n{number}:")).collect();
        for part in old.chunks(1000) {
            queue.list.run::<u64>(redis_crate::cmd("RPUSH").arg(DEAD).arg(part));
        }
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        for number in 0..25 {
            queue.list.push(LIST, &format!("new {number}:"));
        }
        wait::until("all are done", seconds(20), || queue.list.len(LIST) == 0 && queue.batches().is_empty());
        daemon.stop();
        let kept = queue.list.items(DEAD);
        assert_eq!(kept.len(), 10_000);
        let ends_with = |end: &str| kept.iter().filter(|entry| entry.ends_with(end.as_bytes())).count();
        assert_eq!((0..25).map(|number| ends_with(&format!("\nnew {number}:"))).sum::<usize>(), 25);
        assert_eq!((ends_with("\n9974:"), ends_with("\n9975:")), (1, 0), "the oldest go first");
        assert!(daemon.log().contains("the dead list is full"), "{}", daemon.log());
        tested.passed("10015 entries");
    }
}
