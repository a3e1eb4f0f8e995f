//! Goal: partitions are read from their leaders although the brokers of the configuration are dead, or say
//! what was true before. Method: clusters of three of which one broker is killed, or loses its connection to
//! the controller and goes on to answer clients.

use crate::support::cluster::Cluster;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::relay::Relay;
use crate::support::servers::Kafka;
use crate::support::wait::seconds;
use crate::support::{all, unique};

const PARTITIONS: usize = 4;
const RECORDS: u64 = 400;
/// By then librdkafka reads on, too, where it does.
const SOON: std::time::Duration = seconds(45);

/// Produces some records to a part of the cluster, from this place of each partition on.
fn produce(kafka: &Kafka, topic: &str, first: u64) {
    let produce = Produce::seq(kafka, topic, RECORDS).with("--partitions", PARTITIONS);
    produce.with("--first", first).run();
}

/// The cluster without broker 2.
fn without_2(cluster: &Cluster) -> Kafka {
    let addresses = [&cluster.addresses[0], &cluster.addresses[2]].map(String::as_str).join(",");
    cluster.at(&addresses)
}

#[test]
fn the_only_broker_of_the_configuration_dies() {
    for version in if all() { &["1.1.1", "3.9.1", "4.1.0"][..] } else { &["4.1.0"] } {
        let cluster = Cluster::up(version, 3);
        let tested = cluster.kafka().tested("the only broker of broker_list dies, others lead");
        let topic = unique("bootstrap");
        cluster.create_on(&topic, &[&[2, 3], &[3, 2], &[1, 3], &[2, 1]]);
        produce(&cluster.kafka(), &topic, 0);
        let mut daemon = Daemon::new(&Inv::log(&cluster.at(&cluster.addresses[1]), &topic, &topic));
        daemon.start();
        let before = RECORDS / PARTITIONS as u64;
        daemon.wait_written(&[before; PARTITIONS], seconds(30));
        cluster.kill(2);
        std::thread::sleep(seconds(8));
        produce(&without_2(&cluster), &topic, before);
        daemon.finish(&[2 * before; PARTITIONS], SOON);
        assert_eq!(daemon.log_lines("the look-up of leaders"), Vec::<String>::new());
        tested.passed(format_args!("{} records", 2 * RECORDS));
    }
}

/// The broker loses what tells it that others lead now, answers as before, and is the only one of the
/// configuration.
#[test]
fn a_broker_that_is_cut_off_from_its_controller_is_not_believed_for_ever() {
    for version in if all() { &["1.1.1", "3.9.1", "4.1.0"][..] } else { &["4.1.0"] } {
        let cluster = Cluster::up(version, 3);
        let tested = cluster.kafka().tested("a broker is cut off from its controller and answers as before");
        let key = if *version == "1.1.1" { "zookeeper.connect" } else { "controller.quorum.voters" };
        let named = cluster.setting(2, key);
        let (prefix, port) = named.rsplit_once(':').unwrap();
        let relay = Relay::to(port.parse().unwrap());
        cluster.configure(2, &format!("{key}={prefix}:{}", relay.port));
        cluster.stop(2);
        cluster.start(2);
        let topic = unique("cutoff");
        cluster.create_on(&topic, &[&[2, 3], &[2, 3], &[2, 1], &[2, 1]]);
        produce(&cluster.kafka(), &topic, 0);
        let mut daemon = Daemon::new(&Inv::log(&cluster.at(&cluster.addresses[1]), &topic, &topic));
        daemon.start();
        let before = RECORDS / PARTITIONS as u64;
        daemon.wait_written(&[before; PARTITIONS], seconds(30));
        relay.cut();
        // The controller waits for the broker for 6 s.
        std::thread::sleep(seconds(9));
        produce(&without_2(&cluster), &topic, before);
        daemon.finish(&[2 * before; PARTITIONS], SOON);
        for damage in ["recreated", "deleted at the broker"] {
            assert!(daemon.log_lines(damage).is_empty(), "{:#?}", daemon.log_lines(damage));
        }
        tested.passed(format_args!("{} records", 2 * RECORDS));
    }
}
