//! Goal: pandad notices when it receives no events although the connection stands, logs that once, and
//! restores the setting. Method: notifications are turned off, or the master is demoted, under a live
//! subscription.

use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::redis::{Redis, newest, versions};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use rustix::process::Signal;

const SILENT: &str = "no events of expired keys are received";
const AGAIN: &str = "events of expired keys are received again";
const FLAGS: &str = "notify-keyspace-events";

#[test]
fn changed_notify_setting_is_restored() {
    for version in versions() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "notify-keyspace-events changed while connected");
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        expiry.assert_receives(&mut daemon, "before");
        expiry.expire.set(FLAGS, "Kl");
        daemon.wait_log(SILENT, seconds(60));
        daemon.wait_log(AGAIN, seconds(60));
        let now = expiry.expire.setting(FLAGS);
        assert!(['E', 'x', 'K', 'l'].iter().all(|letter| now.contains(*letter)), "{now:?}");
        expiry.assert_receives(&mut daemon, "after");
        assert_eq!(daemon.log_lines(SILENT).len(), 1, "{:?}", daemon.log_lines(SILENT));
        assert!(daemon.log_lines(SILENT)[0].contains("ERROR"));
        daemon.stop();
        expiry.assert_pushed_once(&["before", "after"]);
        expiry.assert_clean();
        tested.passed("");
    }
}

/// A failover that cuts no connection: the subscription holds, and no events come.
#[test]
fn demoted_master_is_noticed() {
    for version in newest() {
        let (master, expiry) = (Redis::up(&version), Expiry::up(&version));
        let tested = expiry.list.tested("expired_to_list", "a master becomes a replica while connected");
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        expiry.expire.ask::<String>(&["SLAVEOF", "127.0.0.1", &master.port.to_string()]);
        daemon.wait_log("; waiting", seconds(60));
        assert!(daemon.log_lines("; waiting")[0].contains("replica"), "{:?}", daemon.log_lines("; waiting"));
        expiry.expire.ask::<String>(&["SLAVEOF", "NO", "ONE"]);
        wait::until("pandad listens again", seconds(60), || daemon.log_lines(LISTENING).len() == 2);
        expiry.assert_receives(&mut daemon, "a master's");
        daemon.assert_waited_once("expired_to_list", "redis_kv_expire");
        daemon.stop();
        tested.passed("");
    }
}

/// Neither a pause of pandad itself nor a FLUSHALL counts as missing events.
#[test]
fn flushall_and_sigstop_raise_no_alarm() {
    for version in newest() {
        let expiry = Expiry::up(&version);
        let tested = expiry.list.tested("expired_to_list", "no false alarm by FLUSHALL or SIGSTOP");
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        let times = if all() { 10 } else { 2 };
        for _ in 0..times {
            expiry.expire.ask::<String>(&["FLUSHALL"]);
            std::thread::sleep(millis(700));
            daemon.signal(Signal::STOP);
            std::thread::sleep(seconds(3));
            daemon.signal(Signal::CONT);
            std::thread::sleep(millis(2500));
        }
        expiry.assert_receives(&mut daemon, "a key");
        assert!(daemon.log_lines(SILENT).is_empty(), "{:?}", daemon.log_lines(SILENT));
        daemon.stop();
        tested.passed(format_args!("{times} times"));
    }
}
