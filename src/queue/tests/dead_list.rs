//! The dead list, which a person reads and empties.

use std::time::SystemTime;

use super::*;
use crate::queue::dead_list::{DeadChoice, DeadItem, drop_all, list, retry, take_off};

/// So many dead items, the newest first.
fn filled(redis: &FakeRedis, count: u32) {
    for number in 0..count {
        let entry = DeadItem::new(SystemTime::now(), "no field", format!("item {number}").as_bytes());
        redis.push(&keys().dead_list(), &[&String::from_utf8(entry.encode()).unwrap()]);
    }
}

fn expected(count: u32) -> Vec<String> {
    (0..count).rev().map(|number| format!("item {number}")).collect()
}

#[test]
fn all_entries_are_listed() {
    let redis = FakeRedis::start();
    for count in [0, 1, 250] {
        redis.remove(&keys().dead_list());
        filled(&redis, count);
        let mut found = Vec::new();
        let each = |item: DeadItem| found.push(String::from_utf8(item.item).unwrap());
        let mut each = Some(each);
        redis.link().once(|connection| list(connection, &keys(), each.take().unwrap())).unwrap();
        assert_eq!(found, expected(count));
    }
}

/// They come back in the order in which they were given up: the oldest is taken first.
#[test]
fn all_items_are_put_back() {
    let redis = FakeRedis::start();
    for count in [0, 1, 250] {
        filled(&redis, count);
        assert_eq!(redis.link().once(|connection| retry(connection, &keys())), Ok(u64::from(count)));
        assert_eq!(redis.list(LIST), expected(count));
        assert!(!redis.holds(&keys().dead_list()));
        redis.remove(LIST);
    }
}

#[test]
fn all_items_are_dropped() {
    let redis = FakeRedis::start();
    for count in [0, 1, 250] {
        filled(&redis, count);
        assert_eq!(redis.link().once(|connection| drop_all(connection, &keys())), Ok(u64::from(count)));
        assert!(!redis.holds(&keys().dead_list()));
    }
    assert!(redis.list(LIST).is_empty());
}

/// The others stay, in their order. An item that is there twice is meant twice.
#[test]
fn chosen_items_are_taken_off() {
    let redis = FakeRedis::start();
    let fill = || {
        redis.remove(&keys().dead_list());
        redis.remove(LIST);
        for (reason, item) in
            [("a", "1"), ("b", "2"), ("a", "3"), ("b", "1")].into_iter().chain([("c", "4"); 150])
        {
            let entry = DeadItem::new(SystemTime::now(), reason, item.as_bytes());
            redis.push(&keys().dead_list(), &[&String::from_utf8(entry.encode()).unwrap()]);
        }
    };
    let left = || redis.list(&keys().dead_list()).len();
    for (choice, count, put_back) in [
        (DeadChoice::Item(b"1"), 2, vec!["1", "1"]),
        (DeadChoice::Item(b"\"3\""), 1, vec!["3"]),
        (DeadChoice::Item(b"5"), 0, vec![]),
        (DeadChoice::Reason("a"), 2, vec!["3", "1"]),
        (DeadChoice::Reason("c"), 150, vec!["4"; 150]),
        (DeadChoice::Reason("d"), 0, vec![]),
    ] {
        for puts_back in [true, false] {
            fill();
            let mut link = redis.link();
            let taken = link.once(|connection| take_off(connection, &keys(), choice, puts_back));
            assert_eq!((taken, left()), (Ok(count), 154 - count as usize), "{choice:?}");
            assert_eq!(redis.list(LIST), if puts_back { put_back.clone() } else { vec![] });
        }
    }
}
