//! Goal: a server that carries out one command and refuses the next loses no item between two
//! lists, and no log line shows a password.

use crate::support::daemon::Daemon;
use crate::support::queue::{DEAD, INSTANCES, LIST, Queue, item};
use crate::support::redis::{NEWEST, Redis, newest};
use crate::support::run::run;
use crate::support::wait::{millis, seconds};
use crate::support::{repository, wait};
use redis_crate::{cmd, pipe};

/// A killed instance's batch is taken over while the server refuses commands that need memory. Renaming a
/// list needs no memory; registering does.
#[test]
fn takeover_on_full_redis_loses_nothing() {
    for version in newest() {
        let queue = Queue::up(&version, 200);
        let tested = queue.list.tested("list_to_hash", "a takeover on a full Redis");
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        std::thread::sleep(seconds(1));
        let items: Vec<String> = (0..50).map(item).collect();
        let orphan = "pandad:queue:panda_user_expire:deadbeef00000000:0:batch";
        // In one transaction, or the batch would be taken over before the server is full.
        queue.list.run_all(
            pipe()
                .atomic()
                .add_command(cmd("LPUSH").arg(orphan).arg(&items).clone())
                .add_command(cmd("HSET").arg(INSTANCES).arg("deadbeef00000000").arg(4).clone())
                .add_command(cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).clone()),
        );
        daemon.wait_log("OOM", seconds(20));
        std::thread::sleep(seconds(7));
        queue.list.set("maxmemory", "0");
        for first in (50..200).step_by(10) {
            queue.push(first..first + 10);
            std::thread::sleep(millis(100));
        }
        queue.wait_done(&mut daemon, seconds(30));
        daemon.stop();
        tested.passed("200 items");
    }
}

/// An item that cannot be put on the dead list stays in its batch.
#[test]
fn wrong_type_dead_list_is_waited_out() {
    for version in newest() {
        let queue = Queue::up(&version, 10);
        let tested = queue.list.tested("list_to_hash", "the dead list has the wrong type");
        queue.list.ask::<String>(&["SET", DEAD, "somebody's"]);
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        queue.list.push(LIST, "x:");
        daemon.wait_log("WRONGTYPE", seconds(10));
        // Other items are done in the meantime, and the log does not report the outage as over.
        queue.push(0..10);
        std::thread::sleep(seconds(3));
        assert_eq!(queue.batches().values().sum::<u64>(), 1, "the item is where it was");
        assert_eq!(daemon.log_lines("; waiting").len(), 1, "said once: {}", daemon.log());
        queue.list.ask::<u64>(&["DEL", DEAD]);
        daemon.wait_log("back after", seconds(20));
        queue.wait_done(&mut daemon, seconds(20));
        assert_eq!(queue.list.len(DEAD), 1);
        daemon.stop();
        tested.passed("11 items");
    }
}

/// Old servers repeat an unknown command, with its arguments, in their error.
#[test]
fn server_without_auth_hides_password() {
    let list = Redis::new(NEWEST).line("rename-command AUTH \"\"").started();
    let queue = Queue::on(list, Redis::up(NEWEST), 0);
    let inv = queue.inv().set("redis_env_section", "redis_list['password']", "s3cr3t-and-more");
    let mut daemon = Daemon::new(&inv);
    daemon.start();
    daemon.wait_log("; waiting", seconds(20));
    assert!(daemon.log().contains("AUTH"), "{}", daemon.log());
    assert!(!daemon.log().contains("s3cr3t"), "the password is in the log");
}

/// The rights (words with a plus) that docs/work-list.md gives a user of this server.
fn rights(server: &str) -> Vec<String> {
    let page = std::fs::read_to_string(repository("docs/work-list.md")).unwrap();
    let (_, rest) = page.split_once(&format!("On `{server}`")).unwrap();
    let lines = rest.lines().take_while(|line| !line.starts_with("On `") && !line.starts_with("If"));
    let words = lines.filter(|line| line.starts_with("    ACL")).flat_map(|line| line.split(' '));
    words.filter(|word| word.starts_with('+')).map(str::to_string).collect()
}

/// Moves, takeovers, unreadable items and users who came back, by users with no other rights.
#[test]
fn documented_rights_are_enough() {
    for version in newest().iter().filter(|version| !version.starts_with("3.")) {
        let queue = Queue::up(version, 100);
        let tested = queue.list.tested("list_to_hash", "users of an access list, with the documented rights");
        let user = |redis: &Redis, keys: &[&str], rights: Vec<String>| {
            let mut set = cmd("ACL");
            set.arg(&["SETUSER", "panda", "on", ">secret", "-@all"]).arg(keys).arg(rights);
            redis.run::<String>(&set);
        };
        user(&queue.list, &["~panda_user_expire", "~pandad:*"], rights("redis_list"));
        let hashes: Vec<String> = queue.hashes.iter().map(|hash| format!("~{hash}")).collect();
        let mut keys: Vec<&str> = hashes.iter().map(String::as_str).collect();
        keys.push("~USER_CACHE_OVERDUE:*");
        let mut at_hashes = [rights("redis_ar"), rights("redis_kv_expire")].concat();
        // What the page names for one server that is both.
        at_hashes.extend(["+watch", "+unwatch", "+multi", "+exec"].map(str::to_owned));
        user(&queue.ar, &keys, at_hashes);

        let orphan = "pandad:queue:panda_user_expire:deadbeef00000000:0:batch";
        (0..20).for_each(|user| queue.list.push(orphan, &item(user)));
        queue.list.ask::<u64>(&["HSET", INSTANCES, "deadbeef00000000", "1"]);
        queue.ar.ask::<String>(&["SET", &item(99), "here"]);
        queue.push(20..100);
        queue.list.push(LIST, "x:");
        let mut inv = queue.inv().redis("redis_kv_expire", &queue.ar);
        for server in ["redis_list", "redis_ar", "redis_kv_expire"] {
            inv = inv.server(server, "user", "panda").server(server, "password", "secret");
        }
        let mut daemon = Daemon::new(&inv.set("panda_server_section", "queue['came_back']", "yes"));
        daemon.start_and_wait();
        wait::until("all but one are done", seconds(30), || {
            queue.fields_left() == 17 && queue.batches().is_empty() && queue.list.len(DEAD) == 1
        });
        let file = daemon.dir.join("test.inv").display().to_string();
        for action in ["list", "retry", "drop"] {
            run(&["dead", &file, action]).expect(0);
        }
        daemon.stop();
        assert!(!daemon.log().contains("NOPERM"), "{}", daemon.log());
        assert!(queue.ar.calls("exec") > 0, "markers were not watched");
        tested.passed("100 items");
    }
}
