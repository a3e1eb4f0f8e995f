//! Goal: users who came back keep their fields: their marker key exists again, so their fields
//! are new.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::proxy::Proxy;
use crate::support::queue::{LIST, Queue, field, item};
use crate::support::redis::{NEWEST, Redis, newest, versions};
use crate::support::wait;
use crate::support::wait::{millis, seconds};
use redis_crate::cmd;
use std::time::Duration;

const PREFIX: &str = "USER_CACHE_OVERDUE:";

fn guarded(inv: Inv, markers: &Redis) -> Inv {
    inv.redis("redis_kv_expire", markers).set("clearCache_section", "expired['prefix']", PREFIX)
}

/// Runs only list_to_hash, although the .inv configures expired_to_list as well.
fn deleter(inv: &Inv) -> Daemon {
    Daemon::with_text(&inv.text()).only("list_to_hash")
}

#[test]
fn users_who_came_back_keep_fields() {
    for version in versions() {
        let (queue, markers) = (Queue::up(&version, 1000), Redis::up(&version));
        let tested = queue.list.tested("list_to_hash", "users who came back");
        // Every third user is back; and one key has the name of a marker but is not a marker.
        for user in (0..1000).step_by(3) {
            markers.ask::<String>(&["SET", &item(user), "here", "EX", "100"]);
        }
        markers.ask::<String>(&["SET", "other:1000999_1", "here"]);
        queue.push(0..1000);
        queue.list.push(LIST, "other:1000999_1");
        let mut daemon = deleter(&guarded(queue.inv(), &markers));
        daemon.start_and_wait();
        wait::until("every item is done", seconds(20), || {
            queue.list.len(LIST) == 0 && queue.batches().is_empty()
        });
        daemon.stop();
        for hash in &queue.hashes {
            for user in [0, 3, 996] {
                let there: bool = queue.ar.run(cmd("HEXISTS").arg(hash).arg(field(user)));
                assert!(there, "user {user} came back and is not in {hash}");
            }
        }
        // User 999 is back by one item's marker, and deleted by the other item.
        assert_eq!(queue.fields_left(), 333 * 17);
        let ended = daemon.log_lines("list_to_hash: ended");
        assert!(ended[0].contains(" items=1001 ") && ended[0].contains(" came_back=334 "), "{ended:?}");
        tested.passed("1001 items, 334 of users who came back");
    }
}

/// The original had neither a prefix nor this check.
#[test]
fn markers_count_only_with_a_prefix() {
    let (queue, markers) = (Queue::up(NEWEST, 20), Redis::up(NEWEST));
    let tested = queue.list.tested("list_to_hash", "users who came back, without a prefix");
    (0..20).for_each(|user| drop(markers.ask::<String>(&["SET", &item(user), "here"])));
    queue.push(0..10);
    let inv = queue.inv().redis("redis_kv_expire", &markers);
    let mut daemon = Daemon::new(&inv);
    daemon.start_and_wait();
    wait::until("the fields are deleted", seconds(20), || queue.fields_left() == 10 * 17);
    daemon.stop();
    queue.push(10..20);
    let mut daemon = Daemon::new(&inv.set("panda_server_section", "queue['came_back']", "yes"));
    daemon.start_and_wait();
    wait::until("every item is done", seconds(20), || {
        queue.list.len(LIST) == 0 && queue.batches().is_empty()
    });
    daemon.stop();
    assert_eq!(queue.fields_left(), 10 * 17, "users who had come back");
    tested.passed("20 items");
}

/// The user comes back after the check and before the delete. If markers and hashes are on one server,
/// pandad's transaction leaves no such gap.
#[test]
fn user_back_during_delete_keeps_fields() {
    for version in newest().into_iter().chain(["3.2.6".to_string()]) {
        for (markers, hashes) in [(0, 0), (4, 5)] {
            let one = Redis::up(&version);
            let tested = one.tested("list_to_hash", "a user comes back between check and delete");
            let (mut at_markers, mut at_hashes) = (one.connect_to(markers), one.connect_to(hashes));
            let slow = Proxy::in_front_of(&one, millis(150));
            let inv = guarded(Inv::queue(&one, &one), &one)
                .server("redis_ar", "port", &slow.port.to_string())
                .server("redis_kv_expire", "port", &slow.port.to_string())
                .server("redis_kv_expire", "database", &markers.to_string())
                .server("redis_ar", "database", &hashes.to_string())
                .server("redis_ar", "hashes", "users.id");
            let mut put = |field: &str| {
                cmd("HSET").arg("users.id").arg(field).arg("x").exec(&mut at_hashes).unwrap();
            };
            put("7");
            put("8");
            let mut daemon = deleter(&inv);
            daemon.start_and_wait();
            one.push(LIST, &format!("{PREFIX}7_1"));
            wait::until("it has read the marker", seconds(20), || one.calls("exists") > 0);
            // The answer to the check is still on its way.
            cmd("SET").arg(format!("{PREFIX}7_1")).arg("here").exec(&mut at_markers).unwrap();
            put("7");
            wait::until("the item is done", seconds(20), || {
                one.len(LIST) == 0 && one.keys("pandad:queue:*:batch").is_empty()
            });
            one.push(LIST, &format!("{PREFIX}8_1"));
            let mut fields = || cmd("HKEYS").arg("users.id").query::<Vec<String>>(&mut at_hashes).unwrap();
            let done = wait::within(seconds(20), || !fields().contains(&"8".to_string()));
            assert!(done, "8 did not come back");
            assert_eq!(fields(), ["7"], "Redis {version}, databases {markers} and {hashes}");
            daemon.stop();
            tested.passed("databases 0 and 0, 4 and 5");
        }
    }
}

/// Nothing is deleted while the markers cannot be read, and the log says why.
#[test]
fn unreachable_markers_are_waited_for() {
    let (queue, mut markers) = (Queue::up(NEWEST, 100), Redis::up(NEWEST));
    let tested = queue.list.tested("list_to_hash", "the markers' server is down");
    let mut daemon = deleter(&guarded(queue.inv(), &markers));
    daemon.start_and_wait();
    markers.ask::<String>(&["SET", &item(5), "here"]);
    markers.stop();
    queue.push(0..100);
    daemon.wait_log("redis_kv_expire", seconds(20));
    daemon.wait_log("; waiting", seconds(20));
    assert_eq!(queue.fields_left(), 100 * 17);
    markers.start();
    wait::until("every item is done", seconds(30), || queue.fields_left() == 17);
    daemon.stop();
    assert_eq!(daemon.log_lines("; waiting").len(), 1, "said once: {}", daemon.log());
    tested.passed("100 items");
}

/// Without WATCH the marker is read just before the delete, as with two servers, and that is logged.
#[test]
fn server_without_watch_is_served() {
    let one = Redis::new(NEWEST).line("rename-command WATCH \"\"").started();
    let queue = Queue::on(one, Redis::up(NEWEST), 0);
    let tested = queue.list.tested("list_to_hash", "users who came back, WATCH refused");
    let one = &queue.list;
    let inv = guarded(Inv::queue(one, one), one).server("redis_ar", "hashes", "users.id");
    for user in ["7", "8"] {
        one.ask::<u64>(&["HSET", "users.id", user, "x"]);
    }
    one.ask::<String>(&["SET", &format!("{PREFIX}7_1"), "here"]);
    let mut daemon = deleter(&inv);
    daemon.start_and_wait();
    one.push(LIST, &format!("{PREFIX}7_1"));
    one.push(LIST, &format!("{PREFIX}8_1"));
    wait::until("every item is done", seconds(20), || {
        one.ask::<Vec<String>>(&["HKEYS", "users.id"]) == ["7"]
    });
    daemon.wait_log("does not allow WATCH", Duration::from_secs(5));
    daemon.stop();
    tested.passed("2 items");
}
