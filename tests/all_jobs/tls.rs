//! Goal: Kafka and Redis are reached by TLS, with a certificate of the client's own, and nothing is lost or
//! doubled by kills; what does not fit is said. Method: brokers and Redis servers of the test's own with a
//! port for TLS beside their plain one, which the producers use.

use crate::support::cluster::Cluster;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::queue::Queue;
use crate::support::redis::{NEWEST, Redis, free_port, shown};
use crate::support::wait::seconds;
use crate::support::{all, repository, unique};
use std::path::PathBuf;

const PARTITIONS: usize = 2;

fn file(name: &str) -> PathBuf {
    repository("tests/vectors/tls").join(name)
}

/// A broker that demands a certificate of its clients at this port, and its plain port.
fn secured(version: &str) -> (Cluster, String) {
    let cluster = Cluster::up(version, 1);
    let place = format!("127.0.0.1:{}", free_port());
    let and_tls = |key: &str| format!("{},SSL://{place}", cluster.setting(1, key));
    let protocols = cluster.setting(1, "listener.security.protocol.map");
    let lines = [
        format!("listeners={}", and_tls("listeners")),
        format!("advertised.listeners={}", and_tls("advertised.listeners")),
        format!("listener.security.protocol.map={protocols},SSL:SSL"),
        format!("ssl.keystore.location={}", shown(&file("rsa2048.p12"))),
        format!("ssl.truststore.location={}", shown(&file("ca-rsa2048.p12"))),
        "ssl.keystore.type=PKCS12\nssl.truststore.type=PKCS12\nssl.client.auth=required".to_owned(),
        "ssl.keystore.password=changeit\nssl.key.password=changeit".to_owned(),
        "ssl.truststore.password=changeit".to_owned(),
    ];
    cluster.stop(1);
    cluster.configure(1, &lines.join("\n"));
    cluster.start(1);
    (cluster, place)
}

/// The keys of TLS of one server or cluster.
fn keys(inv: Inv, section: &str, block: &str) -> Inv {
    let put =
        |inv: Inv, key: &str, name: &str| inv.set(section, &format!("{block}['{key}']"), shown(&file(name)));
    let inv = put(inv, "tls_ca", "ca-rsa2048.pem");
    put(put(inv, "tls_cert", "rsa2048.pem"), "tls_key", "rsa2048.key")
}

fn read_by_tls(version: &str, records: u64) {
    let (cluster, place) = secured(version);
    let (plain, topic) = (cluster.kafka(), unique("tls"));
    let tested = plain.tested("TLS with a client certificate, kills");
    plain.create(&topic, PARTITIONS);
    let half = records / 2;
    let produce = |first: u64| {
        let all = Produce::seq(&plain, &topic, half).with("--partitions", PARTITIONS);
        all.with("--first", first / PARTITIONS as u64).run();
    };
    produce(0);
    let inv = |place: &str| keys(Inv::log(&cluster.at(place), &topic, &topic), "log_section", "kafka");
    let secure = |place: &str| inv(place).job("kafka['security']", "ssl");
    let mut daemon = Daemon::new(&secure(&place));
    daemon.start();
    daemon.wait_written_at_least(records / 4, seconds(60));
    daemon.kill9();

    // What does not fit is said, and is no reason to give up.
    for (inv, words) in [
        (secure(&plain.address), "speaks no TLS"),
        (inv(&place), "that port speaks TLS"),
        (
            secure(&place).job("kafka['tls_cert']", "").job("kafka['tls_key']", ""),
            "wants a client certificate",
        ),
        (secure(&place).job("kafka['tls_ca']", shown(&file("ca-p256.pem"))), "holds no authority"),
    ] {
        daemon.configure(&inv);
        daemon.start();
        daemon.wait_log(words, seconds(60));
        daemon.stop();
    }
    daemon.configure(&secure(&place));
    daemon.start();
    produce(half);
    daemon.finish(&[records / PARTITIONS as u64; PARTITIONS], seconds(60));
    tested.passed(format_args!("{records} records, 1 kill -9"));
}

#[test]
fn kafka_is_read_by_tls() {
    let versions: &[&str] = match all() {
        true => &["0.10.2.2", "1.1.1", "2.8.2", "3.9.1", "4.1.0"],
        false => &["1.1.1", "3.9.1"],
    };
    std::thread::scope(|scope| {
        for version in versions {
            scope.spawn(|| read_by_tls(version, if all() { 10_000 } else { 2000 }));
        }
    });
}

/// A server with a port for TLS beside its plain one.
fn with_tls(version: &str) -> (Redis, u16) {
    let port = free_port();
    let redis = Redis::new(version)
        .line(format_args!("tls-port {port}"))
        .line(format_args!("tls-cert-file {}", shown(&file("rsa2048.pem"))))
        .line(format_args!("tls-key-file {}", shown(&file("rsa2048.key"))))
        .line(format_args!("tls-ca-cert-file {}", shown(&file("ca-rsa2048.pem"))));
    (redis.started(), port)
}

#[test]
fn items_are_taken_by_tls() {
    let users = if all() { 10_000 } else { 3000 };
    let ((list, list_port), (ar, ar_port)) = (with_tls(NEWEST), with_tls(NEWEST));
    let tested = list.tested("list_to_hash", "TLS with a client certificate, kills");
    let (list_plain, queue) = (list.port, Queue::on(list, ar, users));
    let secure = |inv: Inv| {
        [("redis_list", list_port), ("redis_ar", ar_port)].into_iter().fold(inv, |inv, (name, port)| {
            let inv = inv.server(name, "port", &port.to_string()).server(name, "tls", "yes");
            keys(inv, "redis_env_section", name)
        })
    };
    let inv = secure(queue.inv());
    let mut daemon = Daemon::new(&inv);
    queue.push(0..users / 2);
    daemon.start_and_wait();
    daemon.kill9();

    let of_list = |inv: Inv, key: &str, value: &str| inv.server("redis_list", key, value);
    for (inv, words) in [
        (of_list(secure(queue.inv()), "port", &list_plain.to_string()), "speaks no TLS"),
        (of_list(queue.inv(), "port", &list_port.to_string()), "this port speaks TLS"),
        (of_list(of_list(secure(queue.inv()), "tls_cert", ""), "tls_key", ""), "wants a client certificate"),
        (of_list(secure(queue.inv()), "tls_ca", shown(&file("ca-p256.pem"))), "holds no authority"),
    ] {
        daemon.configure(&inv);
        daemon.start();
        daemon.wait_log(words, seconds(60));
        daemon.stop();
    }
    daemon.configure(&inv);
    daemon.start();
    queue.push(users / 2..users);
    queue.finish(&mut daemon, seconds(60));
    tested.passed(format_args!("{users} items, 1 kill -9"));
}
