//! Goal: Redis is reached by TCP or socket, with a password or as a user of an access list, and
//! the original's configuration works as it stands, against three servers with passwords and a
//! real Kafka.

use crate::support::cluster::Cluster;
use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::queue::{INSTANCES, Queue, TARGETS, field, item};
use crate::support::redis::{NEWEST, Redis, newest, shown, versions};
use crate::support::servers::Store;
use crate::support::wait::{millis, seconds};
use crate::support::{all, repository, wait};
use redis_crate::cmd;
use std::net::TcpListener;
use std::ops::Range;
use std::time::Instant;

/// Passwords with characters that are special in an .inv, a command or a log.
const PASSWORDS: [&str; 3] = ["of_kv-1f4e!x", "list:geheim@%41#", "ar=$pa ss\\\"word"];

fn protected(version: &str, password: &str) -> Redis {
    let mut redis = Redis::up(version);
    redis.protect(password);
    redis
}

/// A line of the original, with addresses and passwords of this test.
fn changed(line: &str, broker: &str, [kv, list, ar]: [&Redis; 3]) -> String {
    let trimmed = line.trim_start();
    let key = trimmed.split('=').next().unwrap_or_default().trim();
    let value = match key {
        "broker_list" => broker.to_string(),
        "redis_kv_expire['host']" | "redis_ar['host']" => "127.0.0.1".to_string(),
        "redis_kv_expire['port']" => return format!("{key}={}", kv.port),
        "redis_ar['port']" => return format!("{key}={}", ar.port),
        "redis_kv_expire['password']" => kv.password.clone(),
        "redis_list['password']" => list.password.clone(),
        "redis_ar['password']" => ar.password.clone(),
        // The original has a key for the type of the socket; its code then reads the path from this
        // key.
        "redis_list['socket_type']" => {
            return format!("{key}='unix'\n    redis_list['socket']='{}'", shown(&list.socket()));
        }
        _ => return line.to_string(),
    };
    format!("{key}='{value}'")
}

/// All three jobs with the original's text.
#[test]
fn original_configuration_does_its_work() {
    // A broker without transactions, which came with 0.11: the original's configuration cannot set the
    // isolation.
    let mut runs = vec![("0.10.2.2", ["7.0.15", "7.0.15", "3.2.6"])];
    if all() {
        runs = vec![("0.10.2.2", ["6.2.14", "7.0.15", "3.2.6"]), ("0.9.0.1", ["3.2.6", "6.2.14", "7.0.15"])];
    }
    for (broker, redis) in runs {
        by_the_original(broker, redis);
    }
}

fn by_the_original(broker: &str, versions: [&str; 3]) {
    const USERS: u64 = 2000;
    // This test has a cluster of its own, because other tests also use the names of its topic and group.
    let cluster = Cluster::up(broker, 1);
    let kafka = cluster.kafka();
    let of_kafka = kafka.tested("the original's configuration");
    let servers: Vec<Redis> =
        versions.iter().zip(PASSWORDS).map(|(version, password)| protected(version, password)).collect();
    let [kv, list, ar] = <[Redis; 3]>::try_from(servers).ok().unwrap();
    let tested = [
        kv.tested("expired_to_list", "the original's configuration"),
        list.tested("expired_to_list", "the original's configuration, its list by unix socket"),
        ar.tested("list_to_hash", "the original's configuration"),
    ];
    let original = std::fs::read_to_string(repository("tests/inv/original.inv")).unwrap();
    let text: Vec<String> =
        original.lines().map(|line| changed(line, &kafka.address, [&kv, &list, &ar])).collect();
    let differing = original.lines().zip(&text).filter(|(before, after)| before != after).count();
    assert_eq!(differing, 9, "lines changed");

    let mut daemon = Daemon::with_text(&(text.join("\n") + "\n"));
    kafka.create("test", 2);
    let queue = Queue::on(list, ar, USERS);
    Produce::seq(&kafka, "test", 1000).with("--partitions", 2).run();
    daemon.start_and_listen();
    let expiry = Expiry { expire: kv, list: queue.list };
    expiry.set(&(0..USERS).map(item).collect::<Vec<_>>(), 100..3000);
    Produce::seq(&kafka, "test", 1000).with("--partitions", 2).with("--first", 500).run();
    let queue = Queue { list: expiry.list, ..queue };
    wait::until("every user has expired", seconds(60), || queue.fields_left() == 0);
    queue.wait_done(&mut daemon, seconds(10));
    daemon.finish(&[1000, 1000], seconds(30));
    let first = std::fs::read_to_string(&daemon.file).unwrap().lines().next().unwrap().to_string();
    assert!(first.starts_with("consumer_message:{\"offset\":0,\"size\":"), "{first}");
    assert_eq!(kafka.committed(Store::Kafka, "test", "test", 2), [1000, 1000]);
    queue.assert_clean();
    let said = daemon.log();
    for password in PASSWORDS {
        assert!(!said.contains(password), "a password in the log");
    }
    assert!(daemon.log_lines("; waiting").is_empty(), "nothing was to be waited for");
    of_kafka.passed("2000 records");
    for line in tested {
        line.passed(format_args!("{USERS} users"));
    }
}

/// One server for everything, as in the original's installations: pandad's own keys expire there as
/// well, after a kill, and are not taken for items.
#[test]
fn one_server_for_everything() {
    for version in versions() {
        let redis = Redis::up(&version);
        let tested = redis.tested("list_to_hash", "one server for everything");
        let inv = Inv::queue(&redis, &redis).and(Inv::expiry(&redis, &redis));
        let mut daemon = Daemon::new(&inv.server("redis_ar", "hashes", "users.id"));
        let pairs =
            |users: Range<u64>| users.flat_map(|user| [field(user), "x".to_string()]).collect::<Vec<_>>();
        redis.run::<String>(cmd("HMSET").arg("users.id").arg(pairs(0..1000)));
        // Fields that would be deleted if one of pandad's own keys were taken for an item.
        for word in ["alive", "batch", "instances", "dead"] {
            redis.ask::<u64>(&["HSET", "users.id", word, "stays"]);
        }
        let expire = |users: Range<u64>| {
            for user in users {
                redis.ask::<String>(&["SET", &item(user), "x", "PX", &fastrand::u64(1..300).to_string()]);
            }
        };
        let left = || redis.ask::<u64>(&["HLEN", "users.id"]) - 4;
        daemon.start_and_listen();
        expire(0..500);
        wait::until("the first are done", seconds(20), || left() == 500);
        daemon.kill9();
        let alive = redis.keys("pandad:*:alive");
        assert_eq!(alive.len(), 1, "{alive:?}");
        daemon.start_and_listen();
        // The heartbeat expires after ten seconds, and EXISTS makes the server notice.
        wait::until("its heartbeat has expired", seconds(15), || !redis.exists(&alive[0]));
        expire(500..1000);
        wait::until("all are done", seconds(20), || left() == 0);
        daemon.stop();
        let ended = daemon.log_lines("expired_to_list: ended");
        assert!(ended[0].contains("keys 500,"), "{ended:?}");
        assert_eq!(redis.ask::<u64>(&["HLEN", "users.id"]), 4, "a word became a field");
        let mut keys = redis.keys("*");
        keys.retain(|key| key != INSTANCES && key != TARGETS && key != "users.id");
        assert_eq!(keys, [""; 0]);
        tested.passed("1000 users, 1 kill");
    }
}

#[test]
fn unix_sockets_with_passwords() {
    for version in versions() {
        let expire = protected(&version, PASSWORDS[0]);
        let queue = Queue::on(protected(&version, PASSWORDS[1]), protected(&version, PASSWORDS[2]), 500);
        let tested = queue.list.tested("list_to_hash", "three servers by unix socket, with passwords");
        let inv = Inv::default().set("panda_server_section", "max_process_num", "2");
        let inv = inv.set("clearCache_section", "cache_clear_handler['worker_num']", "1");
        let inv = inv
            .by_socket("redis_kv_expire", &expire)
            .by_socket("redis_list", &queue.list)
            .by_socket("redis_ar", &queue.ar);
        let mut daemon = Daemon::new(&inv);
        daemon.start_and_listen();
        let expiry = Expiry { expire, list: queue.list };
        expiry.expire_now(&(0..500).map(item).collect::<Vec<_>>());
        let mut queue = Queue { list: expiry.list, ..queue };
        queue.wait_done(&mut daemon, seconds(20));
        // A socket that disappears and comes back is an outage like any other.
        queue.ar.stop();
        queue.push(500..501);
        daemon.wait_log("list_to_hash: redis_ar /", seconds(20));
        queue.ar.start();
        queue.fill(500..600);
        queue.push(500..600);
        queue.wait_done(&mut daemon, seconds(20));
        daemon.assert_waited_once("list_to_hash", "redis_ar");
        daemon.stop();
        queue.assert_clean_but_for_names();
        tested.passed("600 items");
    }
}

/// Users with few rights.
#[test]
fn acl_users_are_served() {
    let versions = if all() { vec!["6.2.14", NEWEST] } else { vec![NEWEST] };
    for version in versions {
        let mut queue = Queue::up(version, 500);
        let mut expire = Redis::up(version);
        let tested = queue.list.tested("list_to_hash", "users of an access list");
        for redis in [&mut expire, &mut queue.list, &mut queue.ar] {
            let user = ["ACL", "SETUSER", "pandad", "on", ">of-pandad", "~*", "&*", "+@all", "-@dangerous"];
            redis.ask::<String>(&user);
            redis.ask::<String>(&["ACL", "SETUSER", "pandad", "+config", "+role"]);
            // The server gives no access without name and password.
            redis.protect("nobody's");
        }
        let mut inv = queue.inv().and(Inv::expiry(&expire, &queue.list));
        for name in ["redis_kv_expire", "redis_list", "redis_ar"] {
            inv = inv.server(name, "user", "pandad").server(name, "password", "of-pandad");
        }
        let mut daemon = Daemon::new(&inv);
        daemon.start_and_listen();
        let expiry = Expiry { expire, list: queue.list };
        expiry.expire_now(&(0..500).map(item).collect::<Vec<_>>());
        let queue = Queue { list: expiry.list, ..queue };
        queue.finish(&mut daemon, seconds(20));
        assert!(!daemon.log().contains("of-pandad"), "a password in the log");
        tested.passed("500 items");
    }
}

/// Wrong, missing and needless passwords: each is logged once for its server, and waited for until it is
/// corrected at the server. pandad need not be restarted.
#[test]
fn wrong_passwords_are_logged() {
    for version in newest() {
        let mut queue = Queue::up(&version, 100);
        let mut expire = Redis::up(&version);
        let tested = queue.list.tested("list_to_hash", "wrong passwords");
        queue.push(0..100);
        queue.list.protect("the right one");
        queue.ar.protect("the right one");
        // A password for a server without one, a wrong password, and a missing one.
        let inv = queue.inv().and(Inv::expiry(&expire, &queue.list));
        let inv = inv
            .server("redis_kv_expire", "password", "one too many")
            .server("redis_list", "password", "a wrong one")
            .server("redis_ar", "password", "");
        let mut daemon = Daemon::new(&inv);
        daemon.start();
        for line in ["list_to_hash: redis_list ", "expired_to_list: redis_kv_expire "] {
            daemon.wait_log(line, seconds(20));
            assert!(daemon.log_lines(line).iter().any(|line| line.contains("password")), "{}", daemon.log());
        }
        std::thread::sleep(seconds(2));
        for words in ["the right one", "a wrong one", "one too many"] {
            assert!(!daemon.log().contains(words), "a password in the log: {}", daemon.log());
        }
        // Each server's password becomes the one that pandad has.
        queue.list.protect("a wrong one");
        daemon.wait_log("list_to_hash: redis_ar ", seconds(20));
        let logged = daemon.log_lines("list_to_hash: redis_ar ");
        assert!(logged[0].contains("password"), "{logged:?}");
        queue.ar.protect("");
        expire.protect("one too many");
        queue.wait_done(&mut daemon, seconds(30));
        daemon.wait_log(LISTENING, seconds(20));
        daemon.assert_waited_once("list_to_hash", "redis_list");
        daemon.assert_waited_once("list_to_hash", "redis_ar");
        daemon.assert_waited_once("expired_to_list", "redis_kv_expire");
        daemon.stop();
        queue.assert_clean();
        tested.passed("3 servers");
    }
}

/// A server that accepts the connection and never answers.
#[test]
fn connect_timeout_is_bounded() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ar = Redis::up(NEWEST);
    let tested = ar.tested("list_to_hash", "a server that never answers");
    for (timeout, least, most) in [("1.0", 900, 3000), ("0.0", 4500, 8000)] {
        let inv = Inv::queue(&ar, &ar).server("redis_list", "timeout", timeout);
        let mut daemon =
            Daemon::new(&inv.server("redis_list", "port", &silent.local_addr().unwrap().port().to_string()));
        let began = Instant::now();
        daemon.start();
        daemon.wait_log("list_to_hash: redis_list ", seconds(20));
        let took = began.elapsed();
        println!("timeout {timeout}: logged after {took:?}");
        assert!((millis(least)..millis(most)).contains(&took), "timeout {timeout}: logged after {took:?}");
        let began = Instant::now();
        daemon.signal(rustix::process::Signal::TERM);
        daemon.wait_exit(seconds(25));
        println!("and stopped within {:?}", began.elapsed());
        assert!(began.elapsed() < seconds(8), "stopped after {:?}", began.elapsed());
    }
    tested.passed("2 timeouts");
}

/// A database number beyond the server's range.
#[test]
fn missing_database_is_logged() {
    let queue = Queue::up(NEWEST, 10);
    let tested = queue.list.tested("list_to_hash", "a database that does not exist");
    let mut daemon = Daemon::new(&queue.inv().server("redis_ar", "database", "99"));
    daemon.start();
    queue.push(0..10);
    daemon.wait_log("list_to_hash: redis_ar ", seconds(20));
    let logged = daemon.log_lines("list_to_hash: redis_ar ");
    assert!(logged[0].contains("database") && logged[0].ends_with("; waiting"), "{logged:?}");
    daemon.stop();
    assert_eq!(queue.fields_left(), 170);
    // No item is lost.
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start();
    queue.wait_done(&mut daemon, seconds(10));
    daemon.stop();
    queue.assert_clean_but_for_names();
    tested.passed("10 items");
}

/// CLIENT LIST shows pandad's connections by the names of the original's processes.
#[test]
fn connections_have_names() {
    let queue = Queue::up(NEWEST, 1);
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start_and_wait();
    let names = || queue.list.ask::<String>(&["CLIENT", "LIST"]);
    wait::until("the name is there", seconds(10), || {
        names().contains(" name=panda_process:clear_redis_list_worker ")
    });
    daemon.stop();
}
