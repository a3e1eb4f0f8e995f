//! The dead list, which a person reads and empties.

use std::time::SystemTime;

use super::*;
use crate::queue::dead_list::{DeadItem, drop_all, list, retry};

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
