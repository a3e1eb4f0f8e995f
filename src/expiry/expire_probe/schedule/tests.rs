use crate::expiry::context::tests::{context, context_on};

use super::*;
use crate::expiry::key_events::{self, KeyEvent};
use crate::redis::Value;

fn names(packet: &ProbePacket) -> Vec<&[u8]> {
    packet.keys.iter().map(|probed| probed.key.as_slice()).collect()
}

fn probed(key: &str) -> ProbedKey {
    ProbedKey { key: key.as_bytes().to_vec(), due: None, is_awaited: false }
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
    context.changed_keys.put(b"k:changed", KeyChange::Deadline);
    let later = now + Duration::from_secs(1);
    schedule.clock_asked = later;
    let packet = schedule.compose(later);
    assert_eq!(names(&packet)[..2], [b"k:due".as_slice(), b"k:changed"]);
    assert!(packet.canary.is_some() && packet.scan.is_none() && packet.keys[0].due.is_some());
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
        context.changed_keys.put(b"k:b", KeyChange::Deadline);
        let packet = schedule.compose(now);
        assert!(packet.canary.is_some() && packet.keys.is_empty() && packet.scan.is_none());
        context.changed_keys.put(b"k:c", KeyChange::Deadline);
        let packet = schedule.compose(now + Duration::from_secs(60));
        assert_eq!((names(&packet), packet.scan.is_some()), (vec![b"k:c".as_slice()], true));
    }
}

/// A key that was renewed or made permanent after its deadline had become due did not expire.
#[test]
fn only_keys_that_expired_are_late() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    context.clock.record(now, now, 1_000_000_000);
    let mut late_after = |left: i64| {
        let key = ProbedKey { due: Some(991_000_000), ..probed("k:a") };
        schedule.on_pttl_reply(key, Some(CommandReply::Integer(left)), now);
        schedule.lateness.worst(now, Duration::ZERO)
    };
    assert_eq!([5000, -1, KEY_GONE].map(&mut late_after), [0, 0, 9_000_000]);
}

/// A paused server says at once that a key is gone, and announces it only after the pause.
#[test]
fn an_event_that_comes_late_is_late() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    context.clock.record(now, now, 1_000_000_000);
    let event = KeyEvent::of_channel("__keyevent@0__:expired").unwrap();
    for (key, due) in [(b"k:late", Some(991_000_000)), (b"k:none", None)] {
        context.awaited.begin(key, due);
        key_events::receive(&context, event, key);
    }
    let time = TimeAsked { sent: now, received: now };
    schedule.record_replies(ProbePacket::default(), Vec::new(), time, now);
    let late = context.counters.late_us.load(Relaxed);
    assert!((9_000_000..60_000_000).contains(&late), "{late}");
}

#[test]
fn a_learned_deadline_is_remembered_once() {
    let (context, _owner) = context(Reconciliation::On);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    context.clock.record(now, now, 1_000_000_000);
    for left in [5000, 6000] {
        schedule.on_pttl_reply(probed("k:a"), Some(CommandReply::Integer(left)), now);
    }
    let expected = KeyDeadline { key: b"k:a".to_vec(), deadline_ms: Some(1_005_000) };
    assert_eq!(context.handoff.take(Duration::ZERO), [expected]);
    schedule.on_pttl_reply(probed("k:a"), Some(CommandReply::Integer(-2)), now);
    assert!(!schedule.deadlines.record_seen(b"k:a"));
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

/// The replies to a packet: the server's clock, then one for each key.
fn replies(packet: &ProbePacket, shown_ms: u64, lefts: &[i64]) -> Vec<CommandReply> {
    let bulk = |number: u64| Value::BulkString(number.to_string().into_bytes());
    let time = CommandReply::Array(vec![bulk(shown_ms / 1000), bulk(shown_ms % 1000 * 1000)]);
    let mut replies: Vec<CommandReply> = packet.asks_time.then_some(time).into_iter().collect();
    replies.extend(packet.leading_write.iter().map(|_| CommandReply::Integer(0)));
    replies.extend(packet.canary.iter().map(|_| CommandReply::Status("OK".to_owned())));
    replies.extend(lefts.iter().map(|left| CommandReply::Integer(*left)));
    replies.extend(packet.scan.iter().map(|_| CommandReply::Array(vec![bulk(0), Value::Array(Vec::new())])));
    replies
}

/// Sends a packet, and answers it at once.
fn exchange(schedule: &mut ProbeSchedule, now: Instant, shown_ms: u64, lefts: &[i64]) -> Vec<Vec<u8>> {
    let packet = schedule.compose(now);
    let names = names(&packet).into_iter().map(<[u8]>::to_vec).collect();
    let replies = replies(&packet, shown_ms, lefts);
    schedule.record_replies(packet, replies, TimeAsked { sent: now, received: now }, now);
    names
}

/// A server that is paused says that the key is gone, and announces nothing. The key is asked for again after
/// each canary that was announced, and given up only after the second.
#[test]
fn a_key_without_an_event_is_asked_for_again() {
    let (context, _owner) = context(Reconciliation::Off);
    let (mut now, mut shown) = (Instant::now(), 1_000_000);
    let mut schedule = ProbeSchedule::new(&context, now);
    context.changed_keys.put(b"k:a", KeyChange::Deadline);
    assert_eq!(exchange(&mut schedule, now, shown, &[100]), [b"k:a"]);
    let mut asked = 0;
    for _ in 0..20 {
        now += Duration::from_millis(400);
        shown += 400;
        let packet = schedule.compose(now);
        let lefts: Vec<i64> = packet.keys.iter().map(|_| -2).collect();
        asked += names(&packet).iter().filter(|key| **key == b"k:a").count();
        assert!(packet.keys.is_empty() || packet.leading_write.is_some());
        let canary = packet.keys.iter().find(|probed| context.canary.is_last(&probed.key));
        if let Some(canary) = canary {
            context.canary.record_event(&canary.key, now);
        }
        let replies = replies(&packet, shown, &lefts);
        schedule.record_replies(packet, replies, TimeAsked { sent: now, received: now }, now);
    }
    assert_eq!(asked, 2);
    context.awaited.restart();
    assert!(!context.awaited.has_again());
}

/// A server that sets its clock expires its keys by the new time.
#[test]
fn deadlines_follow_the_servers_clock() {
    let (context, _owner) = context(Reconciliation::Off);
    let (began, mut shown) = (Instant::now(), 1_700_000_000_000);
    let mut schedule = ProbeSchedule::new(&context, began);
    for key in [b"k:a", b"k:b"] {
        context.changed_keys.put(key, KeyChange::Deadline);
    }
    exchange(&mut schedule, began, shown, &[3_600_000, 7_200_000]);
    // An hour forwards: the first key is due within a second.
    let now = began + Duration::from_secs(1);
    shown += 3_601_000;
    assert!(schedule.next_wake(began + Duration::from_millis(500)) <= now);
    exchange(&mut schedule, now, shown, &[-2; 2]);
    let due = exchange(&mut schedule, now + Duration::from_millis(2), shown + 2, &[-2; 2]);
    assert!(due.contains(&b"k:a".to_vec()) && !due.contains(&b"k:b".to_vec()), "{due:?}");
    // Five hours back: that is too far for deadlines to be compared, so all keys are asked for again.
    let now = now + Duration::from_secs(1);
    exchange(&mut schedule, now, shown - 18_000_000, &[-2; 2]);
    assert!(!schedule.deadlines.record_seen(b"k:b") && schedule.probe_all);
}

/// A lock that is taken for an hour and released at once leaves nothing behind.
#[test]
fn a_deleted_keys_deadline_is_forgotten() {
    let (context, _owner) = context(Reconciliation::Off);
    let (now, shown) = (Instant::now(), 1_700_000_000_000);
    let mut schedule = ProbeSchedule::new(&context, now);
    context.changed_keys.put(b"k:lock", KeyChange::Deadline);
    exchange(&mut schedule, now, shown, &[3_600_000]);
    assert!(schedule.deadlines.record_seen(b"k:lock"));
    context.changed_keys.put(b"k:lock", KeyChange::Gone);
    let later = now + Duration::from_millis(600);
    assert_eq!(exchange(&mut schedule, later, shown + 600, &[]).len(), 0);
    assert!(!schedule.deadlines.record_seen(b"k:lock"));
}

/// A key that was evicted after its deadline counts as expired, with reconcile.
#[test]
fn an_evicted_key_that_was_due_is_pushed() {
    for (reconciliation, expected) in
        [(Reconciliation::On, vec![b"k:due".to_vec()]), (Reconciliation::Off, vec![])]
    {
        let (context, _owner) = context(reconciliation);
        let (now, shown) = (Instant::now(), 1_700_000_000_000);
        let mut schedule = ProbeSchedule::new(&context, now);
        for key in [b"k:due".as_slice(), b"k:not"] {
            context.changed_keys.put(key, KeyChange::Deadline);
        }
        exchange(&mut schedule, now, shown, &[500, 5000]);
        for key in [b"k:due".as_slice(), b"k:not", b"k:unknown"] {
            context.changed_keys.put(key, KeyChange::Evicted);
        }
        // The rate was used up by the sweep's step. The keys that are due are popped before the changes are
        // read.
        exchange(&mut schedule, now + Duration::from_secs(1), shown + 1000, &[-2; 2]);
        let pushed: Vec<_> =
            context.inbox.take(9, now).keys.into_iter().map(|received| received.key).collect();
        assert_eq!(pushed, expected);
        assert!(!schedule.deadlines.record_seen(b"k:not"));
    }
}

/// The clock's step and the answer to a step of the sweep come in one packet. The sweep begins anew, and does
/// not go on where the one before was.
#[test]
fn a_sweep_that_begins_anew_takes_no_answer_to_the_one_before() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    for (seconds, begins_anew, goes_on) in [(0, false, Some("7")), (9, true, Some("0"))] {
        let now = now + Duration::from_secs(seconds);
        let packet = schedule.compose(now);
        let asked = packet.scan.clone().unwrap();
        if begins_anew {
            schedule.sweep.restart(now);
        }
        let scan = CommandReply::Array(vec![bulk("7"), Value::Array(Vec::new())]);
        let before = usize::from(packet.leading_write.is_some()) + packet.keys.len() + 1;
        let before = before + usize::from(packet.canary.is_some());
        let mut replies: Vec<CommandReply> = (0..before).map(|_| CommandReply::Integer(1)).collect();
        replies.push(scan);
        schedule.record_replies(packet, replies, TimeAsked { sent: now, received: now }, now);
        let next = schedule.sweep.next_step(now);
        assert_eq!(next.as_deref(), goes_on.map(str::as_bytes), "{asked:?}");
    }
}

/// What deadlines leave of their memory is lent to keys that expire. While these have it, it is no room for
/// deadlines: all together never take more than was allowed.
#[test]
fn memory_is_lent_once() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    let name = |n: usize| format!("k:{n:014}").into_bytes();
    let mut learned = 0;
    for round in 0..40 {
        schedule.lend_memory();
        // The other threads take what they may have.
        for n in 0..4000 {
            context.inbox.put(&name(n));
            context.awaited.begin(&name(round * 4000 + n), Some(0));
        }
        if round == 20 {
            while !context.inbox.take(9999, now).keys.is_empty() {}
        }
        schedule.lend_memory();
        learned += (0..200)
            .filter(|n| schedule.deadlines.learn(&name(round * 200 + n), u64::MAX) == Learned::Kept)
            .count();
        let own = context.memory / QUEUE_MEMORY_DIVISOR;
        let others = context.awaited.bytes().saturating_sub(own) + context.inbox.borrowed();
        let taken = schedule.deadlines.bytes() + others;
        assert!(taken <= context.memory, "round {round}: {taken} of {} bytes", context.memory);
    }
    assert!(learned > 2000, "{learned} deadlines found room");
}

/// The rate is used up for five seconds by a step of a sweep, at the lowest rate that can be configured.
#[test]
fn the_clock_is_asked_for_whatever_the_rate_is() {
    let (context, _owner) = context_on(Reconciliation::Off, 1, 100);
    let (began, mut now) = (Instant::now(), Instant::now());
    let mut schedule = ProbeSchedule::new(&context, now);
    context.rate().spend(500);
    let mut asked = Vec::new();
    while now < began + Duration::from_secs(4) {
        let packet = schedule.compose(now);
        if packet.is_time_due {
            asked.push(now.saturating_duration_since(began).as_millis());
            let replies = replies(&packet, 1_700_000_000_000, &[]);
            schedule.record_replies(packet, replies, TimeAsked { sent: now, received: now }, now);
        }
        let next = schedule.next_wake(now);
        assert!(next > now && next <= schedule.clock_asked + CLOCK_INTERVAL);
        now = next;
    }
    assert_eq!(asked, [1000, 2000, 3000]);
}

/// Without the right to TIME that is logged once, the clock is asked for once a minute, and each sweep asks
/// for every key, so that a step is noticed some minutes late.
#[test]
fn while_time_is_denied_sweeps_ask_for_every_key() {
    let (context, _owner) = context(Reconciliation::Off);
    let now = Instant::now();
    let mut schedule = ProbeSchedule::new(&context, now);
    schedule.on_pttl_reply(probed("k:known"), Some(CommandReply::Integer(3_600_000)), now);
    for (seconds, asks_time, probes_all) in [(0, true, false), (1, false, true), (300, true, false)] {
        let now = now + Duration::from_secs(seconds);
        schedule.sweep.restart(now);
        let packet = schedule.compose(now);
        assert_eq!(
            (packet.asks_time, packet.scan.is_some(), schedule.probe_all),
            (asks_time, true, probes_all)
        );
        let mut replies = replies(&packet, 1000, &vec![1000; packet.keys.len()]);
        if asks_time {
            replies[0] = CommandReply::Refused("NOPERM".to_owned());
        }
        schedule.record_replies(packet, replies, TimeAsked { sent: now, received: now }, now);
        assert!(schedule.denied.is_denied(ProbeCommand::Time, now));
    }
}

/// The clock is set ten times during one sweep. The sweep comes to its end, and one more follows.
#[test]
fn a_clock_that_is_set_again_and_again_lets_a_sweep_end() {
    let (context, _owner) = context(Reconciliation::Off);
    let (mut now, mut shown) = (Instant::now(), 1_700_000_000_000);
    let mut schedule = ProbeSchedule::new(&context, now);
    let (mut cursors, mut all) = (Vec::new(), Vec::new());
    for step in 0..24_u64 {
        let packet = schedule.compose(now);
        let bulk = |number: u64| Value::BulkString(number.to_string().into_bytes());
        let mut replies = replies(&packet, shown, &vec![1000; packet.keys.len()]);
        if let Some(cursor) = &packet.scan {
            cursors.push(String::from_utf8(cursor.clone()).unwrap());
            all.push(schedule.probe_all);
            let next = (cursors.len() as u64) % 8;
            *replies.last_mut().unwrap() = CommandReply::Array(vec![bulk(next), Value::Array(Vec::new())]);
        }
        schedule.record_replies(packet, replies, TimeAsked { sent: now, received: now }, now);
        now += Duration::from_secs(1);
        shown += if step < 11 { 2000 } else { 1000 };
    }
    // The first sweep asks only for unknown keys, so the first step of the clock begins it anew.
    let expected =
        ["0", "1", "0", "3", "4", "5", "6", "7"].into_iter().chain(["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(cursors[..16], expected.collect::<Vec<_>>(), "{cursors:?}");
    assert!(
        cursors[16..].starts_with(&["0".to_owned(), "1".to_owned()]) && all[2..].iter().all(|all| *all),
        "{all:?}"
    );
}
