//! Goal: answers and commands that come late delete nothing that is another's, and lose nothing. Method: a
//! proxy holds them back, and lets them go at a moment that the test chooses.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::proxy::Proxy;
use crate::support::queue::{LIST, Queue};
use crate::support::redis::newest;
use crate::support::wait::{self, seconds};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Duration;

/// The keys of the batch lists that one pandad with one worker can have at the same time.
const SLOTS: u64 = 2;
/// The most items of a batch.
const BATCH: u64 = 1000;

/// Two pandads, with one worker each. The first one reaches both servers through proxies.
struct Two {
    queue: Queue,
    list: Proxy,
    ar: Proxy,
    first: Daemon,
    other: Daemon,
}

/// Heartbeats last two seconds, and connecting to the hashes may take long.
fn inv(queue: &Queue) -> Inv {
    let inv = queue.inv().set("panda_server_section", "queue['life']", "2");
    inv.set("panda_server_section", "max_process_num", "1").server("redis_ar", "timeout", "60")
}

fn behind(inv: Inv, server: &str, proxy: &Proxy) -> Inv {
    inv.server(server, "port", &proxy.port.to_string())
}

impl Two {
    fn new(version: &str, users: u64, has_markers: bool) -> Two {
        let queue = Queue::up(version, users);
        let [list, ar] = [&queue.list, &queue.ar].map(|redis| Proxy::in_front_of(redis, Duration::ZERO));
        let mut direct = inv(&queue);
        if has_markers {
            direct = with_markers(direct, &queue);
        }
        let mut proxied = behind(behind(direct.clone(), "redis_list", &list), "redis_ar", &ar);
        if has_markers {
            proxied = behind(proxied, "redis_kv_expire", &ar);
        }
        let [first, other] = [&proxied, &direct].map(|inv| Daemon::new(inv).only("list_to_hash"));
        Two { queue, list, ar, first, other }
    }

    /// The other one starts, and does what the first one held.
    fn other_takes_over(&mut self) {
        self.other.start_and_wait();
        let Self { queue, other, .. } = self;
        queue.wait_done(other, seconds(30));
    }

    /// The first one receives what it waited for, and finds that its batch is another's.
    fn first_goes_on(&mut self) {
        self.ar.release_answers();
        self.first.wait_log("another pandad took over 500 items", seconds(20));
        self.first.stop();
        self.other.stop();
    }
}

/// The prefix of markers, on the server of the hashes: with it the check of the markers and the deletion are
/// one step.
fn with_markers(inv: Inv, queue: &Queue) -> Inv {
    let prefix = "USER_CACHE_OVERDUE:";
    inv.redis("redis_kv_expire", &queue.ar).set("clearCache_section", "expired['prefix']", prefix)
}

/// The pandad stood still while it waited for the hashes' server. Then the fields are no longer its to
/// delete: their users may have come back.
#[test]
fn deletion_is_not_sent_for_another_ones_batch() {
    for version in newest() {
        for has_markers in [false, true] {
            let mut two = Two::new(&version, 500, has_markers);
            let what = format!("stood still before the deletion, markers {has_markers}");
            let tested = two.queue.list.tested("list_to_hash", &what);
            two.ar.hold_answers();
            two.first.start_and_wait();
            two.queue.push(0..500);
            wait::until("the items are taken", seconds(20), || two.queue.list.len(LIST) == 0);
            two.first.signal(Signal::STOP);
            two.other_takes_over();
            two.queue.fill(0..500);
            let back = two.queue.fields_left();
            two.first.signal(Signal::CONT);
            two.first_goes_on();
            assert_eq!(two.queue.fields_left(), back, "fields of users who had come back are gone");
            tested.passed("500 items");
        }
    }
}

/// The pandad's heartbeats did not arrive while it deleted the fields: another one has done the batch
/// again, and its end is not this pandad's to count.
#[test]
fn end_is_not_sent_for_another_ones_batch() {
    for version in newest() {
        let mut two = Two::new(&version, 600, false);
        let tested = two.queue.list.tested("list_to_hash", "no heartbeat between the deletion and its end");
        two.first.start_and_wait();
        two.queue.push(500..600);
        wait::until("it has done some", seconds(20), || {
            two.queue.fields_left() == 500 * 17 && two.queue.batches().is_empty()
        });
        two.ar.hold_answers();
        two.queue.push(0..500);
        wait::until("all is taken and deleted", seconds(20), || {
            two.queue.fields_left() == 0 && two.queue.list.len(LIST) == 0
        });
        two.list.hold_requests();
        two.other_takes_over();
        two.list.release_requests();
        two.first_goes_on();
        let ended = two.first.log_lines("list_to_hash: ended; ");
        assert!(ended[0].contains(" items=100 "), "the batch counts for the other one: {ended:?}");
        two.queue.assert_clean_but_for_names();
        tested.passed("600 items");
    }
}

/// The number of items in each batch list of an instance.
fn batches_of(queue: &Queue, instance: &str) -> BTreeMap<String, u64> {
    queue.batches().into_iter().filter(|(key, _)| key.contains(instance)).collect()
}

fn heartbeats(queue: &Queue) -> Vec<String> {
    queue.list.keys("pandad:queue:*:alive")
}

/// Waits until the work list's server was asked for the register so many times more.
#[track_caller]
fn wait_scans(queue: &Queue, scans: u64) {
    let before = queue.list.calls("hgetall");
    wait::until("the register is read", seconds(20), || queue.list.calls("hgetall") >= before + scans);
}

/// However long a batch takes, nobody takes it over while its pandad lives.
#[test]
fn living_instance_keeps_its_batch() {
    for version in newest() {
        let mut two = Two::new(&version, 500, false);
        let tested =
            two.queue.list.tested("list_to_hash", "a batch that takes longer than a heartbeat lasts");
        two.ar.hold_answers();
        two.first.start_and_wait();
        two.queue.push(0..500);
        wait::until("the items are taken", seconds(20), || two.queue.list.len(LIST) == 0);
        let before = two.queue.batches();
        two.other.start_and_wait();
        // Both read the register once a second.
        wait_scans(&two.queue, 8);
        assert_eq!(two.queue.batches(), before, "another pandad has taken it over");
        two.ar.release_answers();
        let Two { queue, first, other, .. } = &mut two;
        queue.wait_done(first, seconds(20));
        first.stop();
        other.stop();
        queue.assert_clean();
        tested.passed("500 items");
    }
}

/// A pandad stood still until another one had found its batches, and went on before that one came to them.
#[test]
fn instance_that_goes_on_in_time_keeps_its_batches() {
    for version in newest() {
        let queue = Queue::up(&version, 500);
        let tested = queue.list.tested("list_to_hash", "resumed before its batches were taken over");
        let proxies = [(); 2].map(|()| Proxy::in_front_of(&queue.ar, Duration::ZERO));
        let mut daemons = proxies.each_ref().map(|ar| Daemon::new(&behind(inv(&queue), "redis_ar", ar)));
        proxies.iter().for_each(Proxy::hold_answers);
        // More items than both can hold at once.
        queue.push(0..(2 * SLOTS + 1) * BATCH);
        daemons[0].start_and_wait();
        wait::until("all of its slots are full", seconds(20), || {
            queue.batches().values().eq([&BATCH; SLOTS as usize])
        });
        let alive = heartbeats(&queue);
        let first = alive[0].split(':').nth(3).unwrap();
        let before = batches_of(&queue, first);
        daemons[1].start_and_wait();
        wait::until("all slots of both are full", seconds(20), || {
            queue.batches().values().eq([&BATCH; 2 * SLOTS as usize])
        });
        daemons[0].signal(Signal::STOP);
        wait::until("its heartbeat has run out", seconds(20), || !queue.list.exists(&alive[0]));
        wait_scans(&queue, 3);
        daemons[0].signal(Signal::CONT);
        wait::until("it sends heartbeats again", seconds(20), || queue.list.exists(&alive[0]));
        proxies[1].release_answers();
        wait::until("the other one has done all else", seconds(20), || {
            queue.list.len(LIST) == 0 && queue.batches().keys().all(|key| key.contains(first))
        });
        assert_eq!(batches_of(&queue, first), before, "another pandad has taken them over");
        proxies[0].release_answers();
        queue.wait_done(&mut daemons[0], seconds(20));
        daemons.iter_mut().for_each(|daemon| _ = daemon.stop());
        queue.assert_clean_but_for_names();
        tested.passed("5000 items");
    }
}

/// Holds back the next command that waits for an item, and returns its text.
fn hold_next_move(queue: &Queue, list: &Proxy) -> String {
    let is_waiting = || queue.list.figure("clients", "blocked_clients").as_deref() == Some("1");
    loop {
        wait::until("it waits for items", seconds(20), is_waiting);
        list.hold_requests();
        let mut held = None;
        wait::until("its next command is held back", seconds(20), || {
            held = list.held_requests().into_iter().find(|request| !request.contains(":alive"));
            held.is_some()
        });
        if let Some(request) = held.filter(|held| held.contains("BLMOVE") || held.contains("BRPOPLPUSH")) {
            return request;
        }
        // It reads its lists and the register now and then.
        list.release_requests();
    }
}

/// A move had no answer, and reaches the server only when its pandad works on other batches: its batch list
/// is none of theirs, and its item is found there.
#[test]
fn late_move_fills_no_list_in_use() {
    for version in newest() {
        let queue = Queue::up(&version, (SLOTS + 1) * BATCH);
        let tested =
            queue.list.tested("list_to_hash", "a move reaches the server after its connection ended");
        let list = Proxy::in_front_of(&queue.list, Duration::ZERO);
        let ar = Proxy::in_front_of(&queue.ar, Duration::ZERO);
        let inv = behind(behind(inv(&queue), "redis_ar", &ar), "redis_list", &list);
        let inv = inv.set("panda_server_section", "queue['life']", "4");
        let mut daemon = Daemon::new(&inv);
        daemon.start_and_wait();
        let held = hold_next_move(&queue, &list);
        ar.hold_answers();
        queue.push(0..(SLOTS + 1) * BATCH);
        let late = list.lose_clients();
        wait::until("all slots are full", seconds(20), || {
            queue.batches().values().eq([&BATCH; SLOTS as usize])
        });
        let key = held.split("\r\n").find(|word| word.ends_with(":batch")).unwrap();
        assert!(!queue.list.exists(key), "a list in use may still get an item that nobody knows of");
        late.deliver();
        wait::until("the server has carried it out", seconds(20), || queue.list.len(key) == 1);
        ar.release_answers();
        queue.wait_done(&mut daemon, seconds(20));
        daemon.stop();
        queue.assert_clean_but_for_names();
        tested.passed("3000 items");
    }
}
