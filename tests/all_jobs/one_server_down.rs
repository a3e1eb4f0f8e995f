//! Goal: a server that is down stops only the jobs that need it.

use crate::support::daemon::{Daemon, LISTENING};
use crate::support::expiry::Expiry;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::queue::{Queue, item};
use crate::support::redis::{NEWEST, Redis};
use crate::support::servers::kafka;
use crate::support::wait::{millis, seconds};
use crate::support::{unique, wait};

/// Redis is down, and Kafka is up.
#[test]
fn log_file_grows_while_redis_is_down() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("Redis is down, the log file grows");
    let topic = unique("without-redis");
    kafka.create(&topic, 2);
    let (list, mut ar) = (Redis::up(NEWEST), Redis::up(NEWEST));
    let inv = Inv::log(&kafka, &topic, &unique("without-redis")).and(Inv::queue(&list, &ar));
    let mut daemon = Daemon::new(&inv.and(Inv::expiry(&ar, &list)));
    // One server hangs, the other one is down.
    list.hang();
    ar.stop();
    daemon.start();
    let producing = Produce::seq(&kafka, &topic, 4000).with("--partitions", 2).with("--rate", 800).start();
    daemon.wait_log("expired_to_list: redis_kv_expire ", seconds(20));
    producing.finish();
    daemon.wait_written(&[2000, 2000], seconds(30));
    assert!(daemon.log_lines("kafka_to_file").iter().all(|line| !line.contains("WARN")));
    list.resume();
    ar.start();
    wait::until("both servers are back", seconds(30), || daemon.log_lines("back after").len() >= 2);
    daemon.finish(&[2000, 2000], seconds(10));
    tested.passed("4000 records");
}

/// Kafka is down, and Redis is up.
#[test]
fn items_are_done_while_kafka_is_down() {
    let queue = Queue::up(NEWEST, 1000);
    let tested = queue.list.tested("list_to_hash", "Kafka is down, items are done");
    let expire = Redis::up(NEWEST);
    let mut kafka = kafka("3.9.1");
    // Nothing listens on this port.
    kafka.address = "127.0.0.1:1".to_string();
    let inv = Inv::log(&kafka, "no-topic", "no-group").and(queue.inv());
    let mut daemon = Daemon::new(&inv.and(Inv::expiry(&expire, &queue.list)));
    daemon.start();
    daemon.wait_log(LISTENING, seconds(20));
    daemon.wait_log("kafka_to_file", seconds(20));
    let expiry = Expiry { expire, list: queue.list };
    expiry.expire_now(&(0..500).map(item).collect::<Vec<_>>());
    let queue = Queue { list: expiry.list, ..queue };
    queue.push(500..1000);
    queue.finish(&mut daemon, seconds(30));
    tested.passed("500 keys, 1000 items");
}

/// One server is down; the job that needs only the others goes on.
#[test]
fn down_server_stops_one_job() {
    let mut queue = Queue::up(NEWEST, 100);
    let tested = queue.list.tested("list_to_hash", "one server is down, one job waits");
    let mut expire = Redis::up(NEWEST);
    let mut daemon = Daemon::new(&queue.inv().and(Inv::expiry(&expire, &queue.list)));
    daemon.start();
    daemon.wait_log(LISTENING, seconds(20));
    expire.kill();
    daemon.wait_log("expired_to_list: redis_kv_expire ", seconds(20));
    queue.push(0..100);
    queue.wait_done(&mut daemon, seconds(10));
    expire.start();
    wait::until("pandad listens again", seconds(30), || daemon.log_lines(LISTENING).len() == 2);
    queue.ar.kill();
    expire.ask::<String>(&["SET", &item(7), "x", "PX", "1"]);
    std::thread::sleep(millis(5));
    expire.exists(&item(7));
    daemon.wait_log("list_to_hash: redis_ar ", seconds(20));
    queue.ar.start();
    queue.finish(&mut daemon, seconds(30));
    let waited = daemon.log_lines("; waiting");
    assert_eq!(waited.len(), 2, "each of the two for one job: {waited:#?}");
    tested.passed("2 servers");
}
