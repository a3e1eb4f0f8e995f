//! Goal: items are moved only to batch lists that others can find. Method: the register of instances cannot
//! be written, or loses an instance. And instances that would do a part of each item notice each other.

use crate::support::daemon::Daemon;
use crate::support::queue::{INSTANCES, LIST, Queue};
use crate::support::redis::{NEWEST, newest};
use crate::support::wait::{self, seconds};

/// Nothing is moved before the server accepts the registration. Reading the register is allowed here.
#[test]
fn nothing_is_taken_by_an_unregistered_instance() {
    let queue = Queue::up(NEWEST, 500);
    let tested = queue.list.tested("list_to_hash", "the register cannot be written");
    queue.list.ask::<String>(&["ACL", "SETUSER", "default", "-hset"]);
    queue.push(0..500);
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start_and_wait();
    daemon.wait_log("NOPERM", seconds(20));
    assert_eq!(queue.list.len(LIST), 500, "items were moved to a list that nobody finds");
    assert!(queue.batches().is_empty());
    queue.list.ask::<String>(&["ACL", "SETUSER", "default", "+hset"]);
    queue.finish(&mut daemon, seconds(30));
    tested.passed("500 items");
}

/// An instance that stood still for a long time may have been deleted from the register. It registers again
/// with each move.
#[test]
fn forgotten_instance_registers_again() {
    for version in newest() {
        let queue = Queue::up(&version, 500);
        let tested = queue.list.tested("list_to_hash", "an instance is deleted from the register");
        let mut daemon = Daemon::new(&queue.inv());
        daemon.start_and_wait();
        let registered = || queue.list.ask::<Vec<String>>(&["HKEYS", INSTANCES]);
        wait::until("it is registered", seconds(20), || registered().len() == 1);
        let instance = registered().remove(0);
        queue.list.ask::<u64>(&["HDEL", INSTANCES, &instance]);
        wait::until("it is registered again", seconds(20), || registered() == [instance.as_str()]);
        queue.push(0..500);
        queue.finish(&mut daemon, seconds(30));
        tested.passed("500 items");
    }
}

/// Two pandads with different hashes would delete the fields of half of the users each. Both say so; and
/// when one is gone, the other says that it is well.
#[test]
fn pandads_with_other_hashes_notice_each_other() {
    for version in newest() {
        let queue = Queue::up(&version, 0);
        let tested = queue.list.tested("list_to_hash", "two pandads with different hashes");
        let fast = queue.inv().set("panda_server_section", "queue['life']", "3");
        let mut one = Daemon::new(&fast.clone());
        let mut other = Daemon::new(&fast.clone().server("redis_ar", "hashes", "users.id,other"));
        let mut same = Daemon::new(&fast);
        for daemon in [&mut one, &mut other, &mut same] {
            daemon.start_and_wait();
        }
        for daemon in [&mut one, &mut same] {
            daemon.wait_log("deletes from other hashes: only here: active_config.netbar_id", seconds(20));
        }
        other.wait_log("only here: other; only there: active_config.netbar_id", seconds(20));
        std::thread::sleep(seconds(4));
        assert_eq!(one.log_lines("deletes from other hashes").len(), 1, "{}", one.log());
        assert_eq!(other.log_lines("deletes from other hashes").len(), 2, "one of each other pandad");
        other.kill9();
        for daemon in [&mut one, &mut same] {
            daemon.wait_log("delete from the same hashes again", seconds(20));
            daemon.stop();
        }
        tested.passed("3 pandads");
    }
}
