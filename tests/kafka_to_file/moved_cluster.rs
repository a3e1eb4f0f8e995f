//! Goal: a log file's journal knows which cluster its records are of. Another one is neither read nor
//! committed to until the configuration names it, and is told in one line. Method: broker_list is changed to
//! another broker, which has the same topic with other records.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Store, kafka};
use crate::support::unique;
use crate::support::wait::seconds;

#[test]
fn another_cluster_is_not_used_before_the_configuration_names_it() {
    let (own, other) = (kafka("3.9.1"), kafka("1.1.1"));
    let tested = own.tested("broker_list names another cluster than the one that was read");
    let topic = unique("moved");
    own.create(&topic, 1);
    other.create(&topic, 1);
    Produce::seq(&own, &topic, 500).run();
    // These name another partition, so that the checker can tell them.
    Produce::seq(&other, &topic, 700).with("--base", 1).run();
    let inv = Inv::log(&own, &topic, &topic);
    let mut daemon = Daemon::new(&inv);
    daemon.start();
    daemon.wait_written(&[500], seconds(30));
    daemon.stop();
    let moved = inv.set("log_section", "broker_list", &other.address);
    daemon.configure(&moved);
    daemon.start();
    daemon.wait_log("nothing is read from", seconds(30));
    daemon.wait_log("belongs to the cluster", seconds(30));
    daemon.stop();
    let told = daemon.log_lines("ERROR");
    assert!(matches!(&told[..], [_]), "{told:?}");
    let id = told[0].split("kafka['cluster'] = '").nth(1).and_then(|rest| rest.split('\'').next());
    let id = id.expect("it says what to set");
    assert_eq!(other.committed(Store::Kafka, &topic, &topic, 1), [-1], "nothing is committed there");
    daemon.configure(&moved.set("log_section", "kafka['cluster']", id));
    daemon.start();
    daemon.wait_log("from now on, in place of", seconds(30));
    daemon.finish(&[500, 700], seconds(60));
    tested.passed("500 records of one cluster and 700 of another");
}
