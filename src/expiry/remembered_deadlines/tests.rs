//! What is remembered, beside a server in the process.

use super::*;
use crate::redis::Link;
use crate::redis::fake_server::{FakeRedis, FakeValue};
use std::time::Duration;

const NOW_MS: u64 = 10_000_000;

/// The list's server, and what one pandad remembers there.
struct Bench {
    redis: FakeRedis,
    link: Link,
    remembered: RememberedDeadlines,
    clock: ServerClock,
    now: Instant,
}

impl Bench {
    /// These keys are remembered, with deadlines in milliseconds after now.
    fn new(deadlines: &[(&str, i64)]) -> Self {
        let (redis, clock, now) = (FakeRedis::start(), ServerClock::new(), Instant::now());
        clock.record(now, now, NOW_MS * 1000);
        let fence = LeaseFence::new("lease".to_owned(), "beat".to_owned(), "0f");
        let remembered = RememberedDeadlines::new("set".to_owned(), "list".to_owned(), fence.clone());
        let member = |(key, ahead): &(&str, i64)| (key.as_bytes().to_vec(), NOW_MS.cast_signed() + ahead);
        let set = FakeValue::Sorted(deadlines.iter().map(member).collect());
        redis.data().keys.insert(b"set".to_vec(), set);
        let mut link = redis.link();
        let take = fence.take_command(600_000);
        link.once(|connection| connection.ask(&take)).unwrap();
        Self { redis, link, remembered, clock, now }
    }

    /// Pushes keys whose events came now.
    fn pushes(&mut self, keys: &[&str], is_sure: bool) -> Result<bool, RedisError> {
        let Self { link, remembered, clock, now, .. } = self;
        let received = |key: &&str| ReceivedKey { at: *now, key: key.as_bytes().to_vec() };
        let keys: Vec<ReceivedKey> = keys.iter().map(received).collect();
        let mut result = Ok(false);
        link.once(|connection| {
            result = remembered.push(connection, &keys, clock, is_sure);
            Ok(())
        })
        .unwrap();
        result
    }

    fn remembered(&self) -> Vec<String> {
        match self.redis.data().keys.get(b"set".as_slice()) {
            Some(FakeValue::Sorted(set)) => {
                set.keys().map(|key| String::from_utf8(key.clone()).unwrap()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A key is pushed, and its deadline forgotten, in one step. A key that was set again after it had expired is
/// pushed, and remembered.
#[test]
fn a_push_forgets_the_deadline_of_its_event() {
    let mut bench = Bench::new(&[("k:a", -5), ("k:again", 3_600_000), ("k:other", -5)]);
    assert_eq!(bench.pushes(&["k:a", "k:unknown"], false), Ok(true));
    assert_eq!(bench.redis.list("list"), ["k:unknown", "k:a"]);
    assert_eq!(bench.remembered(), ["k:again", "k:other"]);
    // The clock may be wrong: it is asked for first.
    assert_eq!((bench.pushes(&["k:again"], false), bench.redis.list("list").len()), (Ok(false), 2));
    assert_eq!((bench.pushes(&["k:again"], true), bench.redis.list("list").len()), (Ok(true), 3));
    assert_eq!(bench.remembered(), ["k:again", "k:other"]);
}

/// Another pandad took the lease while this one was halted: what is remembered is left to that one.
#[test]
fn without_the_lease_remembered_keys_are_left_to_its_holder() {
    let mut bench = Bench::new(&[("k:a", -5)]);
    bench.redis.set("lease", "0e another");
    assert_eq!(bench.pushes(&["k:a", "k:unknown"], false), Ok(true));
    assert_eq!(
        (bench.redis.list("list"), bench.remembered()),
        (vec!["k:unknown".into()], vec!["k:a".into()])
    );
    let change = DeadlineChange { remove: vec![b"k:a"], ..DeadlineChange::default() };
    let Bench { link, remembered, .. } = &mut bench;
    assert_eq!(link.once(|connection| remembered.change(connection, &change)), Ok(false));
    assert_eq!(bench.remembered(), ["k:a"]);
}

/// The lease is taken between the look and the transaction: nothing of that is carried out, and the second
/// look leaves the key to the holder.
#[test]
fn a_lease_that_changes_hands_in_the_middle_is_noticed() {
    let mut bench = Bench::new(&[("k:a", -5)]);
    bench.redis.data().writes_before_exec = Some(("lease".to_owned(), "0e another".to_owned()));
    assert_eq!(bench.pushes(&["k:a", "k:unknown"], false), Ok(true));
    assert_eq!(
        (bench.redis.list("list"), bench.remembered()),
        (vec!["k:unknown".into()], vec!["k:a".into()])
    );
    // A heartbeat of its own writes the lease, too.
    let mut bench = Bench::new(&[("k:a", -5)]);
    bench.redis.data().writes_before_exec = Some(("lease".to_owned(), lease_of(&bench)));
    assert_eq!(bench.pushes(&["k:a"], false), Ok(true));
    assert_eq!((bench.redis.list("list"), bench.remembered().len()), (vec!["k:a".to_owned()], 0));
    assert_eq!(bench.redis.count("EXEC"), 2);
}

fn lease_of(bench: &Bench) -> String {
    match bench.redis.data().keys.get(b"lease".as_slice()) {
        Some(FakeValue::Text(text)) => String::from_utf8(text.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A transaction is carried out as far as it goes: the push would be refused, and the deadline be gone.
#[test]
fn a_list_of_another_type_loses_no_deadline() {
    let mut bench = Bench::new(&[("k:a", -5)]);
    bench.redis.set("list", "somebody's string");
    assert!(bench.pushes(&["k:a"], false).is_err_and(|error| error.has_code("WRONGTYPE")));
    assert_eq!(bench.remembered(), ["k:a"]);
}

/// A deadline that is near is no use: its key expires before anybody could miss it.
#[test]
fn only_deadlines_that_are_not_near_are_remembered() {
    let mut bench = Bench::new(&[]);
    let entry = |key: &str, ahead: Option<u64>| KeyDeadline {
        key: key.as_bytes().to_vec(),
        deadline_ms: ahead.map(|ahead| NOW_MS + ahead),
    };
    let entries = [
        entry("k:near", Some(NEAR_MS)),
        entry("k:far", Some(3_600_000)),
        entry("k:twice", None),
        entry("k:twice", Some(7_200_000)),
        entry("k:gone", Some(3_600_000)),
        entry("k:gone", None),
    ];
    let Bench { link, remembered, clock, .. } = &mut bench;
    link.once(|connection| remembered.record(connection, &entries, clock)).unwrap();
    let mut overdue = |before_ms: u64, skipped: usize, count: usize| {
        link.once(|connection| remembered.overdue(connection, before_ms, skipped, count)).unwrap()
    };
    let all = NOW_MS + Duration::from_secs(36_000).as_millis() as u64;
    assert_eq!(overdue(all, 0, 9), [b"k:far".to_vec(), b"k:twice".to_vec()]);
    assert_eq!(
        (overdue(all, 1, 9), overdue(all, 0, 1)),
        (vec![b"k:twice".to_vec()], vec![b"k:far".to_vec()])
    );
    assert!(overdue(NOW_MS, 0, 9).is_empty());
}

/// Four keys whose events came at 10,000 ms: one key is not remembered, one has a deadline that had
/// passed, one a deadline within the tolerance, and one was set again after it expired.
#[test]
fn an_event_accounts_for_deadlines_up_to_it() {
    let (clock, now) = (ServerClock::new(), Instant::now());
    clock.record(now, now, 10_000_000);
    let names: [&[u8]; 4] = [b"unknown", b"expired", b"near", b"renewed"];
    let keys = names.map(|key| ReceivedKey { at: now, key: key.to_vec() });
    let deadlines = [None, Some(9_990), Some(10_000 + NEAR_MS), Some(10_001 + NEAR_MS)];
    let change = DeadlineChange::of_events(&keys, &deadlines, &clock, false);
    let expected =
        DeadlineChange { push: names.to_vec(), remove: vec![b"expired", b"near"], ..Default::default() };
    assert_eq!(change, expected);
    assert!(has_earlier_event(&keys, &deadlines, &clock));
    assert!(!has_earlier_event(&keys[..3], &deadlines[..3], &clock));
    let change = DeadlineChange::of_events(&keys, &deadlines, &clock, true);
    assert_eq!(change, DeadlineChange { push: vec![b"unknown"], ..Default::default() });
}

#[test]
fn a_score_is_a_double() {
    let score = |text: &str| score(&CommandReply::Bulk(text.as_bytes().to_vec()));
    assert_eq!(score("1.7000000001230000e+12"), Some(1_700_000_000_123));
    assert_eq!(score("1700000000123"), Some(1_700_000_000_123));
    assert_eq!(score("none"), None);
}
