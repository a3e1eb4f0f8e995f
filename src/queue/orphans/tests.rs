use super::*;
use crate::redis::fake_server::FakeRedis;

#[test]
fn an_instance_is_forgotten_later_if_its_process_may_continue() {
    let since = Instant::now();
    for (exited, after) in [(true, FORGET_EXITED_AFTER), (false, FORGET_SILENT_AFTER)] {
        let instance = ExpiredInstance { since, exited };
        assert!(!instance.may_be_forgotten(since + after));
        assert!(instance.may_be_forgotten(since + after + Duration::from_millis(1)));
    }
}

/// The register and the time since which a heartbeat is missing decide, not the number of scans.
#[test]
fn an_instance_without_items_is_forgotten_after_its_time() {
    let redis = FakeRedis::start();
    let keys = QueueKeys::new("work");
    let registered = [("own", "1"), ("empty", "1"), ("full", "2"), ("alive", "1")];
    redis.set_fields(&keys.instances(), &registered);
    redis.push(&keys.batch("full", 1), &["a"]);
    redis.set(&keys.heartbeat("alive"), &Process::this().to_string());
    let (since, mut orphans) = (Instant::now(), Orphans::new(Duration::from_secs(10), Instant::now()));
    let mut link = redis.link();
    for (after, is_there) in [
        (Duration::ZERO, true),
        (FORGET_SILENT_AFTER, true),
        (FORGET_SILENT_AFTER + Duration::from_millis(1), false),
    ] {
        let scan =
            |connection: &mut RedisConnection| orphans.scan(connection, &keys, "own", || since + after);
        link.once(scan).unwrap();
        assert_eq!(redis.fields(&keys.instances()).iter().any(|name| name == "empty"), is_there, "{after:?}");
        assert_eq!(redis.fields(&keys.instances()).len(), if is_there { 4 } else { 3 });
    }
    let (of, beat) = (Some("full".to_owned()), Some(String::new()));
    let found = Orphan { batch: keys.batch("full", 1), of, beat };
    assert_eq!((orphans.pop(), orphans.pop()), (Some(found), None));
}

/// The server has evicted the heartbeat of an instance whose beat goes on, after the instance was found.
#[test]
fn an_instance_whose_beat_goes_on_keeps_its_lists() {
    let redis = FakeRedis::start();
    let keys = QueueKeys::new("work");
    redis.set_fields(&keys.instances(), &[("own", "1"), ("other", "1")]);
    redis.push(&keys.batch("other", 0), &["a"]);
    let (ttl, now) = (Duration::from_secs(10), Instant::now());
    let beat = |number| redis.set(&keys.beat("other"), &SeenBeats::text(Process::this(), number));
    beat(1);
    let (mut orphans, mut link) = (Orphans::new(ttl, now), redis.link());
    for (after, is_found) in [(Duration::ZERO, false), (ttl, true)] {
        link.once(|connection| orphans.scan(connection, &keys, "own", || now + after)).unwrap();
        assert_eq!(!orphans.found.is_empty(), is_found);
    }
    let orphan = orphans.pop().unwrap();
    let register = cmd("HSET").arg(keys.instances()).arg("own").arg("1").to_owned();
    for (number, is_taken) in [(2, false), (1, true)] {
        beat(number);
        let mut unsure = false;
        let taken = |connection: &mut RedisConnection| {
            take_over(connection, &keys, &orphan, &register, &keys.batch("own", 0), &mut unsure)
        };
        link.once(taken).unwrap();
        assert_eq!(redis.list(&keys.batch("own", 0)).is_empty(), !is_taken);
    }
}

#[test]
fn a_move_without_an_answer_is_looked_into_at_once() {
    let (ttl, now) = (Duration::from_secs(10), Instant::now());
    let mut orphans = Orphans::new(ttl, now + ttl);
    assert!(!orphans.is_due(now) && !orphans.has_suspects());
    orphans.suspect("batch".to_owned(), now);
    assert!(orphans.is_due(now) && orphans.has_suspects());
    (0..=SUSPECTS_MAX).for_each(|_| orphans.suspect("batch".to_owned(), now));
    assert_eq!(orphans.suspects.len(), SUSPECTS_MAX);
}
