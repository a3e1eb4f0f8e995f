//! How an instance takes items, ends, and takes over what others have left.

use super::*;

/// The batch list in a slot of an instance that is gone, and the register that names it.
fn left_behind(redis: &FakeRedis, all: &[&str]) -> String {
    redis.set_fields(&keys().instances(), &[("gone", "3")]);
    let batch = keys().batch("gone", 2);
    redis.push(&batch, all);
    batch
}

fn registered(redis: &FakeRedis) -> Vec<String> {
    redis.fields(&keys().instances())
}

#[test]
fn items_stand_on_a_batch_list_until_they_are_done() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a", "b", "c"]);
    let mut instance = Instance::of(&redis);
    let batch = instance.takes();
    assert_eq!(items(&batch), ["a", "b", "c"], "the oldest first");
    assert_eq!(
        (redis.list(&batch.key), redis.list(LIST)),
        (vec!["c".into(), "b".into(), "a".into()], vec![])
    );
    assert!(batch.bytes() >= 3 + 3 * 8, "the ends of the items count, too");
    assert_eq!(registered(&redis).len(), 1);
    instance.does(&redis, batch);
    assert_eq!(instance.slots.used(), 4, "its list is used again");
    assert!(instance.taker.take(Instant::now()).is_none());
    redis.push(LIST, &["d"]);
    assert_eq!(items(&instance.takes()), ["d"]);
}

/// Two instances with different hashes would do a part of the items each, and nobody would notice. Both say
/// so, while both live.
#[test]
fn instances_that_delete_from_other_hashes_notice_each_other() {
    let redis = FakeRedis::start();
    let of = |hashes: &[&str]| {
        let hashes: Vec<String> = hashes.iter().map(|hash| (*hash).to_owned()).collect();
        let mut instance = Instance::with_targets(&redis, Targets::of(&redis.server(), &hashes));
        assert!(instance.taker.take(Instant::now()).is_none());
        instance
    };
    let differing = |instance: &mut Instance| {
        instance.taker.scan_now();
        assert!(instance.taker.take(Instant::now()).is_none());
        instance.taker.differing()
    };
    let (mut one, mut same) = (of(&["a", "b"]), of(&["b", "a"]));
    assert_eq!((differing(&mut one), differing(&mut same)), (0, 0));
    let mut other = of(&["a", "c"]);
    assert_eq!([&mut one, &mut same, &mut other].map(differing), [1, 1, 2]);
    assert_eq!(redis.fields(&keys().targets()).len(), 3);
    other.taker.end();
    assert_eq!((differing(&mut one), redis.fields(&keys().targets()).len()), (0, 2));
}

/// Nothing is lost, doubled or out of order, however many there are; the state line knows what is left.
#[test]
fn a_long_list_is_taken_in_batches() {
    let redis = FakeRedis::start();
    let all: Vec<String> = (0..2600).map(|number| number.to_string()).collect();
    redis.push(LIST, &all.iter().map(String::as_str).collect::<Vec<_>>());
    let mut instance = Instance::of(&redis);
    let mut taken = Vec::new();
    while taken.len() < all.len() {
        let batch = instance.takes();
        assert!(batch.items.len() <= 1000);
        taken.extend(items(&batch));
        assert_eq!(instance.taker.waiting(), (all.len() - taken.len()) as u64);
        instance.does(&redis, batch);
    }
    assert_eq!(taken, all);
}

/// A server before 6.2 knows only the older commands.
#[test]
fn the_older_commands_take_the_same_items() {
    let redis = FakeRedis::start();
    redis.data().refuses.insert("COMMAND".to_owned(), "NOPERM no permission".to_owned());
    redis.push(LIST, &["a", "b", "c"]);
    let mut instance = Instance::of(&redis);
    let batch = instance.takes();
    assert_eq!(
        (items(&batch), redis.count("LMOVE") + redis.count("BLMOVE")),
        (vec!["a".into(), "b".into(), "c".into()], 0)
    );
    drop(batch);
    assert_eq!((instance.taker.end(), redis.list(LIST).len()), (3, 3));
}

/// The others look only into the lists of registered instances.
#[test]
fn nothing_is_moved_before_the_instance_is_registered() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a"]);
    redis.data().refuses.insert("HSET".to_owned(), "OOM command not allowed".to_owned());
    let mut instance = Instance::of(&redis);
    for _ in 0..3 {
        assert!(instance.taker.take(Instant::now() + Duration::from_millis(80)).is_none());
    }
    assert_eq!((redis.list(LIST), redis.count("BLMOVE")), (vec!["a".to_owned()], 0));
    redis.data().refuses.clear();
    assert_eq!(items(&instance.takes()), ["a"]);
    let asked = redis.data().asked.clone();
    let first = |name| asked.iter().position(|asked| asked == name);
    assert!(first("HSET") < first("BLMOVE"));
}

/// What a replica accepts is lost at its next synchronisation.
#[test]
fn nothing_is_taken_from_a_replica() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a"]);
    redis.data().is_replica = true;
    let mut instance = Instance::of(&redis);
    assert!(instance.taker.take(Instant::now()).is_none());
    assert!(registered(&redis).is_empty() && redis.list(LIST) == ["a"]);
    redis.data().is_replica = false;
    assert_eq!(items(&instance.takes()), ["a"]);
}

/// The workers get what was moved before a refusal, and the next move waits.
#[test]
fn items_moved_before_a_refusal_are_worked_on() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a", "b", "c"]);
    redis.data().refuses.insert("LMOVE".to_owned(), "MISCONF no disk".to_owned());
    let mut instance = Instance::of(&redis);
    let batch = instance.takes();
    assert_eq!((items(&batch), redis.list(LIST)), (vec!["a".into()], vec!["c".into(), "b".into()]));
    let moves = redis.count("BLMOVE");
    assert!(instance.taker.take(Instant::now()).is_none());
    assert_eq!(redis.count("BLMOVE"), moves, "it pauses");
}

/// The server moved an item, and its answer was lost: the item stands on a list that no batch has.
#[test]
fn a_move_without_an_answer_is_looked_into() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a"]);
    let mut instance = Instance::of(&redis);
    redis.data().loses_answers.insert("BLMOVE".to_owned());
    assert!(instance.taker.take(Instant::now() + LONG).is_none());
    assert!(redis.list(LIST).is_empty());
    redis.data().loses_answers.clear();
    let batch = instance.takes();
    assert_eq!(items(&batch), ["a"]);
    assert_eq!(instance.slots.used(), 5, "the server may still move something to the first list");
}

/// Proxies such as twemproxy do not know the command, and nothing would ever be taken, untold.
#[test]
fn a_server_that_moves_nothing_is_told() {
    let redis = FakeRedis::start();
    let mut instance = Instance::of(&redis);
    redis.data().loses_answers.insert("BLMOVE".to_owned());
    let until = Instant::now() + LONG;
    while !instance.taker.closed_moves_logged() {
        assert!(Instant::now() < until, "it is not told");
        assert!(instance.taker.take(Instant::now() + Duration::from_millis(50)).is_none());
    }
    redis.data().loses_answers.clear();
    redis.push(LIST, &["a"]);
    assert_eq!(items(&instance.takes()), ["a"], "it tries again for ever");
    assert!(!instance.taker.closed_moves_logged());
}

/// As above, and the instance ends before it has looked: others must be able to find the item.
#[test]
fn an_instance_that_is_not_sure_stays_in_the_register() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a"]);
    let mut instance = Instance::of(&redis);
    redis.data().loses_answers.insert("BLMOVE".to_owned());
    assert!(instance.taker.take(Instant::now() + LONG).is_none());
    redis.data().loses_answers.clear();
    assert_eq!((instance.taker.end(), redis.list(LIST)), (1, vec!["a".to_owned()]));
    assert_eq!(registered(&redis).len(), 1);
}

/// What is not done goes back, where it is taken next, and nobody has to wait for the heartbeat to expire.
#[test]
fn an_instance_that_ends_leaves_nothing() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a", "b"]);
    let mut instance = Instance::of(&redis);
    let batch = instance.takes();
    redis.push(LIST, &["c"]);
    let name = registered(&redis).remove(0);
    assert!(redis.holds(&keys().heartbeat(&name)));
    drop(batch);
    assert_eq!((instance.taker.end(), redis.list(LIST)), (2, vec!["c".into(), "b".into(), "a".into()]));
    assert!(registered(&redis).is_empty() && !redis.holds(&keys().heartbeat(&name)));
    assert_eq!(items(&Instance::of(&redis).takes()), ["a", "b", "c"]);
}

/// A heartbeat under way when the instance ends does not come back after the key is deleted.
#[test]
fn the_last_heartbeat_is_waited_for() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a"]);
    let (slots, lease) = (BatchSlots::new(4), QueueLease::new(Duration::from_millis(900)));
    let taker =
        Taker::start("test", &redis.server(), &redis.health(), keys(), slots, &lease, Targets::default());
    let mut taker = taker.unwrap();
    wait_until("a heartbeat", || redis.count("SET") > 0);
    redis.data().slow.insert("SET".to_owned(), Duration::from_millis(400));
    std::thread::sleep(Duration::from_millis(350));
    taker.end();
    std::thread::sleep(Duration::from_millis(500));
    let data = redis.data();
    assert!(!data.keys.keys().any(|key| key.ends_with(b":alive")), "an ended instance seems to live");
}

/// A batch list without an instance, whether its heartbeat is missing or its process has ended.
#[test]
fn the_batches_of_instances_that_are_gone_are_taken_over() {
    for heartbeat in [None, Some(of_ended_process())] {
        let redis = FakeRedis::start();
        let batch = left_behind(&redis, &["a", "b"]);
        if let Some(heartbeat) = &heartbeat {
            redis.set(&keys().heartbeat("gone"), heartbeat);
        }
        redis.push(LIST, &["c"]);
        let mut instance = Instance::of(&redis);
        let taken = instance.takes();
        let mut found = items(&taken);
        found.sort_unstable();
        assert_eq!(found, ["a", "b"]);
        assert!(!redis.holds(&batch) && redis.list(&taken.key).len() == 2);
        assert_eq!((instance.taker.taken_over(), instance.taker.taken_over()), (2, 0));
        assert_eq!(items(&instance.takes()), ["c"]);
    }
}

/// An instance of this machine that runs, or of another machine, of which nothing is known.
#[test]
fn the_batches_of_instances_that_live_are_left_alone() {
    for heartbeat in [Process::this().to_string(), "another machine".to_owned()] {
        let redis = FakeRedis::start();
        let batch = left_behind(&redis, &["a"]);
        redis.set(&keys().heartbeat("gone"), &heartbeat);
        redis.push(LIST, &["c"]);
        let mut instance = Instance::of(&redis);
        assert_eq!(items(&instance.takes()), ["c"]);
        assert!(instance.taker.take(Instant::now()).is_none());
        assert_eq!((redis.list(&batch), instance.taker.taken_over()), (vec!["a".to_owned()], 0));
    }
}

/// A server that was restarted, or a replica that was promoted, may still hold a list that was deleted.
#[test]
fn a_list_of_its_own_is_read_before_it_is_used() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a"]);
    let mut instance = Instance::of(&redis);
    assert!(instance.taker.take(Instant::now() + LONG).is_some_and(|batch| {
        instance.does(&redis, batch);
        true
    }));
    let name = registered(&redis).remove(0);
    // The connection ends, and the next server holds the lists of all slots.
    redis.data().loses_answers.insert("BLMOVE".to_owned());
    assert!(instance.taker.take(Instant::now() + LONG).is_none());
    redis.data().loses_answers.clear();
    (0..5).for_each(|slot| redis.push(&keys().batch(&name, slot), &[&format!("old {slot}")]));
    let mut found: Vec<String> = (0..4).flat_map(|_| items(&instance.takes())).collect();
    found.sort_unstable();
    assert!(found.iter().all(|item| item.starts_with("old ")) && found.len() == 4, "{found:?}");
}

/// A batch is the instance's in the term in which it was taken; then it is read again, once a heartbeat
/// was accepted.
#[test]
fn a_batch_is_read_again_after_its_term() {
    let redis = FakeRedis::start();
    redis.push(LIST, &["a", "b"]);
    let mut instance = Instance::of(&redis);
    let mut batch = instance.takes();
    assert!(batch.is_held(&instance.lease));
    let later = QueueLease::new(TTL);
    assert!(!batch.is_held(&later));
    let mut link = redis.link();
    assert_eq!(link.once(|connection| batch.reread(&later, connection)), Ok(false));
    later.renew(later.now());
    later.renew(later.now() + TTL * 2);
    redis.push(&batch.key, &["c"]);
    assert_eq!(link.once(|connection| batch.reread(&instance.lease, connection)), Ok(true));
    assert_eq!(items(&batch), ["c", "b", "a"]);
    redis.remove(&batch.key);
    assert_eq!(link.once(|connection| batch.reread(&instance.lease, connection)), Ok(true));
    assert!(batch.items.is_empty(), "another instance has taken it over");
    // The server may still carry out one of two deletions.
    batch.record_delete_sent();
    batch.record_delete_sent();
    batch.end(&instance.slots);
    assert_eq!(instance.slots.used(), 5);
}

/// A heartbeat is set again before it expires, and soon after a failure.
#[test]
fn heartbeats_follow_each_other() {
    let redis = FakeRedis::start();
    redis.data().refuses.insert("SET".to_owned(), "OOM command not allowed".to_owned());
    let (slots, lease) = (BatchSlots::new(1), QueueLease::new(Duration::from_secs(2)));
    let _taker =
        Taker::start("test", &redis.server(), &redis.health(), keys(), slots, &lease, Targets::default())
            .unwrap();
    wait_until("it is tried again", || redis.count("SET") > 2);
    assert!(lease.term().is_none());
    redis.data().refuses.clear();
    wait_until("a heartbeat", || lease.term().is_some());
    let (term, since) = (lease.term(), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        assert_eq!(lease.term(), term, "the heartbeat expired");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(redis.count("SET") < 20, "and no more often than needed");
}

/// A proxy closes the connection when it is asked for the server's policy. The heartbeat goes on.
#[test]
fn a_question_that_ends_the_connection_stops_no_heartbeat() {
    let redis = FakeRedis::start();
    for name in ["CONFIG", "INFO"] {
        redis.data().loses_answers.insert(name.to_owned());
    }
    redis.push(LIST, &["a"]);
    let mut one = Instance::of(&redis);
    assert_eq!(redis.count("SET"), 1, "the first heartbeat counts");
    let batch = one.takes();
    one.does(&redis, batch);
}
