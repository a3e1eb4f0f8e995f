//! Goal: the lease goes to the pandad that should listen. Method: an outage of the list's server, in which
//! the lease is lost; and a replica in the place of the server where keys expire.

use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::queue::item;
use crate::support::redis::{Redis, newest};
use crate::support::wait::{self, seconds};
use rustix::process::Signal;

/// A lease that was lost in an outage is left to the pandad that had it, for two checks: it ran out only
/// because nobody could renew it.
#[test]
fn lost_lease_is_left_to_its_last_holder() {
    for version in newest() {
        let mut expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "the lease is lost in an outage");
        let mut daemons = [Daemon::new(&expiry.inv()), Daemon::new(&expiry.inv())];
        daemons[0].start_and_listen();
        daemons[1].start_and_wait();
        daemons[1].wait_log("another pandad listens", seconds(20));
        // The holder lives, and is too slow to renew its lease.
        daemons[0].signal(Signal::STOP);
        expiry.list.kill();
        daemons[1].wait_log("; waiting", seconds(20));
        expiry.list.forget_data();
        expiry.list.start();
        let has_lease = || !expiry.list.keys("pandad:expiry:*:lease").is_empty();
        wait::until("the lease is taken", seconds(20), has_lease);
        let checks = expiry.list.calls("get");
        assert!(checks >= 3, "taken at check {checks} after the outage");
        daemons[1].wait_log(LISTENING, seconds(20));
        daemons[0].signal(Signal::CONT);
        daemons[0].wait_log("another pandad has taken over", seconds(20));
        daemons.iter_mut().for_each(|daemon| _ = daemon.stop());
        tested.passed("");
    }
}

/// Replicas announce no expired keys.
#[test]
fn replica_is_not_listened_to() {
    for version in newest() {
        let mut expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "the server where keys expire is a replica");
        let master = std::mem::replace(&mut expiry.expire, Redis::up(&version));
        expiry.expire.demote(&master);
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_wait();
        daemon.wait_log("this server is a replica", seconds(20));
        assert!(daemon.log_lines(LISTENING).is_empty(), "it listens to a replica");
        expiry.expire.promote();
        daemon.wait_log(LISTENING, seconds(30));
        expiry.assert_receives(&mut daemon, "a master's");
        daemon.stop();
        tested.passed("");
    }
}

/// At a boot the list's server may come up after pandad. Nobody has the lease then, so pandad goes on
/// listening.
#[test]
fn lists_server_comes_up_later() {
    for version in newest() {
        for how in ["no", "yes"] {
            let mut expiry = Expiry::up(&version);
            let tested = expiry
                .list
                .tested("expired_to_list", &format!("the list's server comes up later, reconcile {how}"));
            expiry.list.kill();
            let mut daemon =
                Daemon::new(&expiry.inv().set("clearCache_section", "expired['reconcile']", how));
            daemon.start();
            daemon.wait_log(LISTENING, seconds(20));
            let keys: Vec<String> = (0..80).map(item).collect();
            for (round, some) in keys.chunks(10).enumerate() {
                if round == 2 {
                    expiry.list.start();
                }
                expiry.expire_now(some);
                std::thread::sleep(wait::millis(700));
            }
            expiry.wait_pushed(&mut daemon, keys.len(), seconds(20));
            daemon.stop();
            expiry.assert_pushed_once(&keys);
            assert_eq!(daemon.log_lines(LISTENING).len(), 1, "{:?}", daemon.log_lines(LISTENING));
            assert!(daemon.log_lines("another pandad").is_empty());
            tested.passed(format_args!("{} keys", keys.len()));
        }
    }
}
