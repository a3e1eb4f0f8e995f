//! Goal: pandad adds the flags of `notify-keyspace-events` that it needs and removes none; if pandad has no
//! right to that, the log has the line for redis.conf. Method: servers with other settings, without CONFIG,
//! with users of few rights, and restarted ones.

use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::queue::LIST;
use crate::support::redis::{NEWEST, Redis, newest, versions};
use crate::support::wait::seconds;
use crate::support::{all, wait};
use std::collections::BTreeSet;

const FLAGS: &str = "notify-keyspace-events";

fn letters(flags: &str) -> BTreeSet<char> {
    // The letter A stands for these flags.
    flags.replace('A', "g$lshzxetd").chars().collect()
}

#[test]
fn notify_flags_are_only_added() {
    for version in newest() {
        let tested =
            Redis::new(&version).tested("expired_to_list", "flags are only added to notify-keyspace-events");
        for (before, enough) in [
            ("", false),
            ("Kl", false),
            ("Eg", false),
            ("Kx", false),
            ("Ex", false),
            ("Exg", true),
            ("KEA", true),
            ("AE", true),
        ] {
            let expiry = Expiry::up(&version);
            expiry.expire.set(FLAGS, before);
            let (set, calls) = (expiry.expire.setting(FLAGS), expiry.expire.calls("config|set"));
            let mut daemon = Daemon::new(&expiry.inv());
            daemon.start_and_listen();
            expiry.assert_receives(&mut daemon, "a key");
            let now = expiry.expire.setting(FLAGS);
            println!("{before:?} became {now:?}");
            assert!(letters(&now).is_superset(&letters(&set)), "{set:?} lost letters: {now:?}");
            assert!(letters(&now).is_superset(&BTreeSet::from(['E', 'g', 'x'])), "{now:?}");
            let added = letters(&now).difference(&letters(&set)).count();
            let needed = BTreeSet::from(['E', 'g', 'x']).difference(&letters(&set)).count();
            assert_eq!(added, needed, "{set:?} became {now:?}: more than was needed");
            if enough {
                assert_eq!(expiry.expire.calls("config|set"), calls, "set though there was nothing to set");
                assert!(daemon.log_lines(FLAGS).is_empty(), "{:?}", daemon.log_lines(FLAGS));
            } else {
                // The log has the line for redis.conf.
                let logged = daemon.log_lines(FLAGS);
                let line = logged.iter().filter_map(|line| line.rsplit_once(&format!("{FLAGS} ")));
                let lines: Vec<_> = line.map(|(_, flags)| letters(flags)).collect();
                assert_eq!(lines, [letters(&now)], "{logged:#?}");
            }
            daemon.stop();
        }
        tested.passed("8 settings");
    }
}

/// CONFIG is disabled, as on many hosted Redis servers. If the setting is right, this is no fault;
/// otherwise the log has the line for redis.conf, once.
#[test]
fn refused_config_logs_redis_conf_line() {
    for version in newest() {
        let refusing = || Redis::new(&version).line("rename-command CONFIG \"\"");
        let tested =
            refusing().tested("expired_to_list", "CONFIG refused, with and without the line in redis.conf");
        let expiry = Expiry { expire: refusing().started(), list: Redis::up(&version) };
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        daemon.wait_log("notify-keyspace-events Ex", seconds(10));
        assert_logged_once(&daemon, "notify-keyspace-events Ex");
        expiry.expire_now(&["not announced"]);
        daemon.stop();
        assert!(!expiry.list.exists(LIST));

        let expire = refusing().line("notify-keyspace-events Ex").started();
        let expiry = Expiry { expire, list: Redis::up(&version) };
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        expiry.assert_receives(&mut daemon, "announced");
        daemon.stop();
        tested.passed("2 servers");
    }
}

/// A line that somebody must act on is logged once while nothing changes.
#[track_caller]
fn assert_logged_once(daemon: &Daemon, line: &str) {
    std::thread::sleep(seconds(3));
    let logged = daemon.log_lines(line);
    assert_eq!(logged.len(), 1, "{logged:#?}");
    assert!(logged[0].contains("WARN") || logged[0].contains("ERROR"), "{logged:?}");
    assert!(logged[0].contains("redis_kv_expire"), "it does not say which server: {logged:?}");
    println!("{}", logged[0]);
}

/// A user who may read the setting and not change it: the logged line keeps the flags that are set.
/// When somebody else has set them, pandad receives events without a restart.
#[test]
fn denied_config_set_logs_the_line() {
    let versions = if all() { vec!["6.2.14", NEWEST] } else { vec![NEWEST] };
    for version in versions {
        let expiry = Expiry::up(version);
        let tested = expiry.list.tested("expired_to_list", "a user without the right to CONFIG SET");
        // Before 7.0 an access list can only refuse the whole command.
        let rights = if version == NEWEST { "-config|set" } else { "-config" };
        let user = ["ACL", "SETUSER", "pandad", "on", ">secret-of-pandad", "~*", "&*", "+@all", rights];
        expiry.expire.ask::<String>(&user);
        expiry.expire.set(FLAGS, "Kl");
        let set = expiry.expire.setting(FLAGS);
        let inv = expiry.inv().server("redis_kv_expire", "user", "pandad");
        let mut daemon = Daemon::new(&inv.server("redis_kv_expire", "password", "secret-of-pandad"));
        daemon.start_and_wait();
        let line = if version == NEWEST { format!("{FLAGS} {set}Ex") } else { format!("{FLAGS} Ex") };
        daemon.wait_log(&line, seconds(10));
        assert_logged_once(&daemon, &line);
        assert_eq!(expiry.expire.setting(FLAGS), set);
        expiry.expire.set(FLAGS, "KlEx");
        expiry.assert_receives(&mut daemon, "announced now");
        daemon.stop();
        assert!(!daemon.log().contains("secret-of-pandad"), "a password in the log");
        tested.passed("");
    }
}

/// A restart of Redis loses settings made by command, and ends the subscription.
#[test]
fn notify_setting_survives_redis_restart() {
    for version in versions() {
        let mut expiry = Expiry::up(&version);
        let tested =
            expiry.list.tested("expired_to_list", "notify-keyspace-events after a restart of the server");
        let mut daemon = Daemon::new(&expiry.inv());
        daemon.start_and_listen();
        expiry.assert_receives(&mut daemon, "before");
        expiry.expire.stop();
        daemon.wait_log("; waiting", seconds(20));
        expiry.expire.start();
        assert_eq!(expiry.expire.setting(FLAGS), "", "the restart forgot nothing: this shows nothing");
        wait::until("pandad listens again", seconds(30), || daemon.log_lines(LISTENING).len() == 2);
        expiry.assert_receives(&mut daemon, "after");
        daemon.assert_waited_once("expired_to_list", "redis_kv_expire");
        daemon.stop();
        expiry.assert_pushed_once(&["before", "after"]);
        tested.passed("");
    }
}
