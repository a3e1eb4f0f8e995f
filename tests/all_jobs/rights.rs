//! Goal: a user with the rights that the documents name is refused nothing. Method: the lines of the
//! documents make the user; keys expire, also while pandad is killed, items are done, taken over and found
//! dead.

use crate::support::daemon::Daemon;
use crate::support::expiry::Expiry;
use crate::support::inv::Inv;
use crate::support::queue::{DEAD, LIST, ORIGINAL_HASHES, Queue, item};
use crate::support::redis::{NEWEST, Redis, versions};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use redis_crate::Value;

const DOCUMENTS: [&str; 2] = [include_str!("../../docs/expiry.md"), include_str!("../../docs/work-list.md")];

/// Carries out what the documents say of a server.
fn give_rights(redis: &Redis, name: &str) {
    let hashes = ORIGINAL_HASHES.map(|hash| format!("~{hash}")).join(" ");
    let mut lines = 0;
    for document in DOCUMENTS {
        let mut is_here = false;
        for line in document.lines() {
            if let Some(rest) = line.strip_prefix("On `") {
                is_here = rest.starts_with(&format!("{name}`"));
            }
            if is_here && let Some(line) = line.strip_prefix("    ACL SETUSER pandad") {
                let line = line.replace("PASSWORD", "of-pandad").replace("PREFIX", "USER_CACHE_OVERDUE:");
                let line = line.replace("~LIST", &format!("~{LIST}")).replace("~HASH", &hashes);
                let words: Vec<&str> =
                    ["ACL", "SETUSER", "pandad"].into_iter().chain(line.split(' ').skip(1)).collect();
                redis.ask::<String>(&words);
                lines += 1;
            }
        }
    }
    assert!(lines > 0, "the documents say nothing of {name}");
}

fn assert_nothing_refused(redis: &Redis, name: &str) {
    let log: Vec<Value> = redis.ask(&["ACL", "LOG"]);
    assert!(log.is_empty(), "refused on {name}: {log:#?}");
}

#[test]
fn the_documented_rights_are_enough() {
    let with_channels = |version: &String| !version.starts_with("3.");
    let versions = if all() { versions() } else { vec![NEWEST.to_owned()] };
    for version in versions.into_iter().filter(with_channels) {
        let queue = Queue::up(&version, 400);
        let expire = Redis::up(&version);
        let tested = queue.list.tested("list_to_hash", "both Redis jobs with the documented rights");
        let inv = queue.inv().and(Inv::expiry(&expire, &queue.list)).set(
            "panda_server_section",
            "queue['life']",
            "2",
        );
        let mut inv = inv.set("clearCache_section", "expired['reconcile']", "yes").set(
            "clearCache_section",
            "expired['prefix']",
            "USER_CACHE_OVERDUE:",
        );
        for (name, redis) in
            [("redis_kv_expire", &expire), ("redis_list", &queue.list), ("redis_ar", &queue.ar)]
        {
            give_rights(redis, name);
            inv = inv.server(name, "user", "pandad").server(name, "password", "of-pandad");
        }
        let (mut daemon, mut other) = (Daemon::new(&inv), Daemon::new(&inv));
        daemon.start_and_listen();
        other.start_and_wait();
        let expiry = Expiry { expire, list: queue.list };
        expiry.set(&(0..200).map(item).collect::<Vec<_>>(), 100..1000);
        expiry.list.push(LIST, "");
        // These expire while nobody listens.
        expiry.set(&(200..300).map(item).collect::<Vec<_>>(), 4000..4001);
        expiry.wait_remembered(100);
        wait::until("an item is dead", seconds(20), || expiry.list.len(DEAD) == 1);
        std::thread::sleep(millis(1500));
        other.kill9();
        daemon.kill9();
        std::thread::sleep(millis(3000));
        expiry.expire_now(&(300..400).map(item).collect::<Vec<_>>());
        (300..400).for_each(|user| expiry.list.push(LIST, &item(user)));
        daemon.start_and_listen();
        let queue = Queue { list: expiry.list, ..queue };
        wait::until("the fields of all users are deleted", seconds(40), || queue.fields_left() == 0);
        daemon.stop();
        for (name, redis) in
            [("redis_kv_expire", &expiry.expire), ("redis_list", &queue.list), ("redis_ar", &queue.ar)]
        {
            assert_nothing_refused(redis, name);
        }
        let told = daemon.log_lines("refuse");
        assert!(told.is_empty(), "{told:#?}");
        tested.passed("400 users, a kill of both pandads");
    }
}
