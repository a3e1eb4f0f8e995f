use crate::expiry::context::{Reconciliation, tests::context};

use super::*;
use crate::redis::Value;

fn names(packet: &ProbePacket) -> Vec<&[u8]> {
    packet.keys.iter().map(|probed| probed.key.as_slice()).collect()
}

fn probed(key: &str) -> ProbedKey {
    ProbedKey { key: key.as_bytes().to_vec(), due: None }
}

/// A packet takes keys that are due first, then keys that changed, then keys of a sweep; it takes the
/// sweep's next step only when no other keys are left.
#[test]
fn a_packet_holds_the_urgent_first() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    schedule.on_pttl_reply(probed("k:due"), Some(CommandReply::Integer(5)), now);
    schedule.scanned.extend((0..99).map(|n| format!("k:scanned {n}").into_bytes()));
    context.changed_keys.put(b"k:changed");
    let later = now + Duration::from_secs(1);
    let packet = schedule.compose(later);
    assert_eq!(names(&packet)[..2], [b"k:due".as_slice(), b"k:changed"]);
    assert!(packet.canary_life.is_some() && packet.scan.is_none() && packet.keys[0].due.is_some());
    assert_eq!(packet.keys.len(), 100, "a tenth of a second's worth");
    assert!(schedule.compose(later).is_empty(), "the rate is used up");
    let packet = schedule.compose(later + Duration::from_secs(1));
    assert_eq!(packet.keys.len(), 1);
    assert_eq!(packet.scan.as_deref(), Some(b"0".as_slice()));
}

#[test]
fn while_pttl_is_denied_nothing_is_asked() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    let denied = || Some(CommandReply::Refused("NOPERM".to_owned()));
    // The sweep goes on only when PTTL is tried again.
    for minutes in 0..3 {
        let now = now + Duration::from_secs(61) * minutes;
        schedule.on_pttl_reply(probed("k:a"), denied(), now);
        context.changed_keys.put(b"k:b");
        let packet = schedule.compose(now);
        assert!(packet.canary_life.is_some() && packet.keys.is_empty() && packet.scan.is_none());
        context.changed_keys.put(b"k:c");
        let packet = schedule.compose(now + Duration::from_secs(60));
        assert_eq!((names(&packet), packet.scan.is_some()), (vec![b"k:c".as_slice()], true));
    }
}

#[test]
fn a_learned_deadline_is_remembered_once() {
    let (context, _owner) = context(Reconciliation::On);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    context.clock.set(now, 1_000_000);
    for left in [5000, 6000] {
        schedule.on_pttl_reply(probed("k:a"), Some(CommandReply::Integer(left)), now);
    }
    let expected = KeyDeadline { key: b"k:a".to_vec(), deadline_ms: 1_005_000 };
    assert_eq!(context.handoff.take(Duration::ZERO), [expected]);
    schedule.on_pttl_reply(probed("k:a"), Some(CommandReply::Integer(-2)), now);
    assert!(!schedule.deadlines.knows(b"k:a"));
}

/// After a new subscription a sweep asks for every key, otherwise only for keys without a known deadline.
#[test]
fn a_sweep_asks_for_unknown_keys() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    schedule.on_pttl_reply(probed("k:known"), Some(CommandReply::Integer(5000)), now);
    let keys = || ["k:known", "k:new", "other"].map(|key| key.as_bytes().to_vec()).to_vec();
    schedule.keep_scanned(keys());
    assert_eq!(schedule.scanned, [b"k:new"]);
    (schedule.probe_all, schedule.scanned) = (true, VecDeque::new());
    schedule.keep_scanned(keys());
    assert_eq!(schedule.scanned, [b"k:known".as_slice(), b"k:new"]);
}

/// The answer to a step brings keys and the place of the next step; the last one ends the sweep.
#[test]
fn a_step_of_a_sweep_leads_to_the_next() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    schedule.probe_all = true;
    for (cursor, key) in [("17", "k:a"), ("0", "k:b")] {
        assert!(schedule.sweep.next_step(now).is_some());
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let reply = vec![bulk(cursor), Value::Array(vec![bulk(key)])];
        schedule.on_scan_reply(Some(CommandReply::Array(reply)), now);
        assert_eq!(schedule.scanned.pop_front(), Some(key.as_bytes().to_vec()));
        let next = (cursor != "0").then(|| cursor.as_bytes().to_vec());
        assert_eq!((schedule.sweep.next_step(now), schedule.probe_all), (next.clone(), next.is_some()));
    }
}
