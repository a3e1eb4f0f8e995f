use super::*;
use std::time::Instant;

fn proof(number: u64) -> CanaryProof {
    CanaryProof { number, at: Instant::now() }
}

#[test]
fn a_key_without_an_event_is_settled_by_two_later_canaries() {
    let awaited = AwaitedEvents::new(1 << 20);
    awaited.begin(b"a", Some(7));
    awaited.record_proof(proof(9));
    assert!(!awaited.has_again(), "it is being asked for");
    awaited.record_gone(b"a", 9);
    awaited.record_proof(proof(9));
    assert!(!awaited.has_again(), "that canary was set before the reply");
    awaited.record_proof(proof(10));
    assert_eq!(awaited.take_again(9), [b"a"]);
    awaited.record_gone(b"a", 10);
    awaited.record_proof(proof(11));
    awaited.restart();
    assert!(!awaited.has_again() && awaited.lock().bytes == 0, "it is settled");
}

#[test]
fn an_event_settles_a_key() {
    let awaited = AwaitedEvents::new(1 << 20);
    for key in [b"a", b"b"] {
        awaited.begin(key, Some(7));
        awaited.record_gone(key, 1);
    }
    assert_eq!((awaited.settle_expired(b"a"), awaited.settle_expired(b"a")), (Some(7), None));
    awaited.record_gone(b"a", 1);
    awaited.record_proof(proof(2));
    assert_eq!(awaited.take_again(9), [b"b"]);
    // A new subscription may have missed the event that was on its way.
    awaited.restart();
    assert_eq!(awaited.take_again(9), [b"b"]);
    awaited.clear();
    awaited.restart();
    assert!(!awaited.has_again() && awaited.lock().bytes == 0);
}

/// Of ten keys seven find room, and three only for their hashes. Those whose events come, or that are
/// there after all, are not counted; the others are, when a later canary was announced.
#[test]
fn keys_without_room_are_counted_if_no_event_comes() {
    let awaited = AwaitedEvents::new(1024);
    let names: Vec<String> = (0..10).map(|n| format!("k:{n}")).collect();
    names.iter().for_each(|name| awaited.begin(name.as_bytes(), Some(7)));
    assert!(awaited.bytes() <= 1024 && awaited.lock().hashes.len() == 3, "{}", awaited.bytes());
    awaited.settle(b"k:9");
    names.iter().for_each(|name| awaited.record_gone(name.as_bytes(), 7));
    awaited.settle(b"k:8");
    awaited.record_proof(proof(7));
    assert_eq!(awaited.take_unsettled(), 0, "that canary was set before the reply");
    awaited.record_proof(proof(8));
    assert_eq!((awaited.take_unsettled(), awaited.take_unsettled()), (1, 0));
    assert!(awaited.lock().hashes.is_empty());
}

/// Where there is no room for hashes either, a key counts at once. A new subscription loses what is on
/// its way on the old one.
#[test]
fn keys_without_room_for_a_hash_are_counted() {
    let awaited = AwaitedEvents::new(4 * 2 * HASH_BYTES as u64);
    [b"a", b"b", b"b", b"c", b"d", b"e", b"d"].iter().for_each(|key| awaited.begin(*key, Some(7)));
    let full = awaited.lock().keys.len() as u64;
    assert_eq!((full, awaited.take_unsettled()), (1, 3));
    awaited.restart();
    assert_eq!(awaited.take_unsettled(), 2);
    awaited.settle(b"a");
    awaited.begin(b"c", Some(7));
    assert!(awaited.lock().keys.contains_key(b"c".as_slice()));
}

/// A key whose deadline is far away may be evicted while it is asked for: it has not expired.
#[test]
fn only_a_key_that_was_due_has_expired_when_it_is_evicted() {
    let awaited = AwaitedEvents::new(10_000);
    awaited.begin(b"due", Some(7));
    awaited.begin(b"later", None);
    awaited.restart();
    assert_eq!(
        [b"due" as &[u8], b"later", b"other"].map(|key| awaited.settle_evicted(key)),
        [true, false, false]
    );
    assert!(!awaited.settle(b"due") && !awaited.settle(b"later"), "both are settled");
}
