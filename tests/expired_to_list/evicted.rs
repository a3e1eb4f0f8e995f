//! Goal: a server that deletes keys because its memory is full is named in the log, and causes no false alarm
//! and no takeover. Method: caches of other clients fill the memory, so that keys with little time to live,
//! as pandad's own, are deleted first.

use crate::support::all;
use crate::support::daemon::{Daemon, LISTENING};
use crate::support::eviction::{POLICY, evicting, under_pressure, wait_evicting};
use crate::support::expiry::Expiry;
use crate::support::redis::newest;
use crate::support::wait;
use crate::support::wait::seconds;
use std::time::Instant;

/// Keys that are evicted are pushed at their deadline, or at once if that had passed.
#[test]
fn evictions_raise_no_alarm() {
    for version in newest() {
        let mut expiry = Expiry::up(&version);
        expiry.expire = evicting(&version);
        let tested = expiry.list.tested("expired_to_list", "reconcile: evictions where keys expire");
        let inv = expiry.inv().set("clearCache_section", "expired['prefix']", "k:");
        let mut daemon = Daemon::new(&inv.set("clearCache_section", "expired['reconcile']", "yes"));
        daemon.start_and_listen();
        let keys: Vec<String> = (0..1000).map(|n| format!("k:{n}")).collect();
        let began = Instant::now();
        expiry.set(&keys, 4000..9000);
        expiry.wait_remembered(keys.len());
        under_pressure(&expiry.expire, || {
            wait_evicting(&expiry.expire);
            let life = if all() { seconds(40) } else { seconds(9) };
            std::thread::sleep(life.saturating_sub(began.elapsed()));
        });
        expiry.wait_pushed(&mut daemon, keys.len(), seconds(30));
        wait::until("nothing is stored", seconds(20), || expiry.remembered() == 0);
        daemon.stop();
        expiry.assert_pushed(&keys);
        assert!(daemon.log_lines("ERROR").is_empty(), "{:?}", daemon.log_lines("ERROR"));
        assert_eq!(daemon.log_lines(LISTENING).len(), 1);
        assert_eq!(daemon.log_lines(POLICY).len(), 1, "{:?}", daemon.log_lines("WARN"));
        tested.passed(format_args!("{} keys", keys.len()));
    }
}

/// The lease is evicted as soon as it is written. Its holder lives all the same.
#[test]
fn evicted_lease_stays_with_its_holder() {
    for version in newest() {
        let mut expiry = Expiry::up(&version);
        expiry.list = evicting(&version);
        let tested = expiry.expire.tested("expired_to_list", "evictions on the list's server");
        let mut daemons = [Daemon::new(&expiry.inv()), Daemon::new(&expiry.inv())];
        daemons[0].start_and_listen();
        under_pressure(&expiry.list, || {
            wait_evicting(&expiry.list);
            daemons[1].start_and_wait();
            std::thread::sleep(if all() { seconds(60) } else { seconds(9) });
            assert!(daemons[1].log_lines(LISTENING).is_empty(), "it took over from one that lives");
            let killed = Instant::now();
            daemons[0].kill9();
            daemons[1].wait_log(LISTENING, seconds(20));
            println!("taken over {:?} after the kill", killed.elapsed());
        });
        expiry.assert_receives(&mut daemons[1], "heard");
        daemons[1].stop();
        assert_eq!(daemons[0].log_lines(POLICY).len(), 1);
        assert!(expiry.list.keys("pandad:*").is_empty(), "{:?}", expiry.list.keys("pandad:*"));
        tested.passed("two pandads");
    }
}
