//! Goal: of two clusters in broker_list only the one that answers first is read and committed to, and the log
//! names the other. Method: both have the topic, with as many records.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Store, kafka};
use crate::support::unique;
use crate::support::wait::seconds;

#[test]
fn a_host_of_another_cluster_in_broker_list_is_not_used() {
    let (own, other) = (kafka("3.9.1"), kafka("1.1.1"));
    let tested = own.tested("broker_list names a broker of another cluster, too");
    let topic = unique("clusters");
    for one in [&own, &other] {
        one.create(&topic, 1);
    }
    Produce::seq(&own, &topic, 1000).run();
    // These name another partition, so that the checker can tell them.
    Produce::seq(&other, &topic, 1000).with("--base", 1).run();
    let both = format!("{},{}", own.address, other.address);
    let mut daemon = Daemon::new(&Inv::log(&own, &topic, &topic).set("log_section", "broker_list", &both));
    daemon.start();
    let says = format!("{} belongs to the Kafka cluster ", other.address);
    daemon.wait_log(&says, seconds(60));
    daemon.finish(&[1000], seconds(30));
    let told = daemon.log_lines("ERROR");
    assert!(matches!(&told[..], [line] if line.contains(&says)), "{told:?}");
    assert_eq!(own.committed(Store::Kafka, &topic, &topic, 1), [1000]);
    assert_eq!(other.committed(Store::Kafka, &topic, &topic, 1), [-1], "nothing is committed there");
    tested.passed("1000 records");
}
