//! Goal: an address that leads to something else than a Redis server is named. Method: each of the servers of
//! the job is a Sentinel or a Kafka broker.

use crate::support::daemon::Daemon;
use crate::support::queue::Queue;
use crate::support::redis::{NEWEST, Redis};
use crate::support::servers::brokers;
use crate::support::wait::seconds;

const SENTINEL: &str = "this is a Redis Sentinel, which holds no keys: set host and port of the master that \
                        it watches (\"mymaster\")";
const KAFKA: &str = "this is a Kafka broker: set the host and the port of the Redis server";

/// One line for each server, not one for each try, and every job goes on when the address is right.
#[test]
fn sentinel_and_kafka_are_named() {
    let queue = Queue::up(NEWEST, 10);
    let sentinel = Redis::sentinel(NEWEST, queue.list.port);
    let kafka = brokers().pop().unwrap();
    let (_, kafka_port) = kafka.address.rsplit_once(':').unwrap();
    let sentinel_port = sentinel.port.to_string();
    for (port, expected) in [(sentinel_port.as_str(), SENTINEL), (kafka_port, KAFKA)] {
        for name in ["redis_list", "redis_ar"] {
            queue.push(0..10);
            let mut daemon = Daemon::new(&queue.inv().server(name, "port", port));
            daemon.start_and_wait();
            daemon.wait_log(expected, seconds(20));
            std::thread::sleep(seconds(2));
            daemon.stop();
            assert_eq!(daemon.log_lines("; waiting").len(), 1, "{}", daemon.log());
        }
    }
    let mut daemon = Daemon::new(&queue.inv());
    daemon.start_and_wait();
    queue.finish(&mut daemon, seconds(30));
}
