//! Goal: rights that are taken away while pandad runs are named once and waited for, and nothing else stops.
//! Method: a broker with access lists refuses one topic of a pattern, then hides the topic, then refuses the
//! group; afterwards it allows all again, and then each record is in the file once.

use crate::support::cluster::Cluster;
use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::Kafka;
use crate::support::tail::Tail;
use crate::support::wait::seconds;
use crate::support::{all, unique, wait};
use serde_json::json;

/// A broker at which anybody may do what no rule forbids.
fn with_access_lists(version: &str) -> Cluster {
    let cluster = Cluster::up(version, 1);
    let authorizer = match version {
        "1.1.1" => "kafka.security.auth.SimpleAclAuthorizer",
        _ => "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    };
    cluster.stop(1);
    let lines = format!("authorizer.class.name={authorizer}\nallow.everyone.if.no.acl.found=true");
    cluster.configure(1, &lines);
    cluster.start(1);
    cluster
}

struct Watched {
    kafka: Kafka,
    topics: [String; 2],
    written: [u64; 2],
    daemon: Daemon,
}

impl Watched {
    fn begin(kafka: Kafka, group: &str) -> Self {
        let name = unique("rights");
        let topics = ["open", "shut"].map(|which| format!("{name}-{which}"));
        topics.iter().for_each(|topic| kafka.create(topic, 1));
        let inv = Inv::member(&kafka, &format!("/{name}-.*/"), group).client(&kafka, ClientKind::Native);
        let mut watched = Self { kafka, topics, written: [0, 0], daemon: Daemon::new(&inv) };
        watched.produce(0, 500);
        watched.produce(1, 500);
        watched.daemon.start();
        watched.wait_for([500, 500]);
        watched
    }

    fn produce(&mut self, topic: usize, count: u64) {
        let produce =
            Produce::seq(&self.kafka, &self.topics[topic], count).with("--first", self.written[topic]);
        produce.with("--base", topic as u64).run();
        self.written[topic] += count;
    }

    fn wait_for(&mut self, least: [u64; 2]) {
        let mut tail = Tail::new(&self.daemon.file, 2);
        wait::until("enough records of each topic", seconds(60), || {
            assert!(self.daemon.running(), "the daemon ended");
            tail.read();
            tail.next.iter().zip(least).all(|(next, least)| *next >= least)
        });
    }

    fn may(&self, kind: &str, name: &str, may: bool, hidden: bool) {
        self.kafka.ask(json!({"do": "may_read", "name": name, "may": may, "kind": kind, "hidden": hidden}));
    }

    /// How many warnings and errors name this code.
    fn told(&self, code: &str) -> usize {
        let lines = self.daemon.log_lines(code);
        lines.iter().for_each(|line| println!("{line}"));
        lines.iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).count()
    }
}

#[test]
fn refused_topic_of_a_pattern_stops_no_other() {
    for version in if all() { &["1.1.1", "3.9.1", "4.1.0"][..] } else { &["3.9.1"] } {
        refused_topic(version, false);
        refused_topic(version, true);
    }
}

fn refused_topic(version: &str, hidden: bool) {
    let cluster = with_access_lists(version);
    let tested = cluster.kafka().tested("a topic of a pattern that may not be read any more");
    let mut watched = Watched::begin(cluster.kafka(), &unique("rights"));
    let shut = watched.topics[1].clone();
    watched.may("TOPIC", &shut, false, hidden);
    watched.produce(0, 500);
    if hidden {
        // Longer than the topics of a pattern are listed apart.
        std::thread::sleep(seconds(15));
    } else {
        watched.produce(1, 500);
        watched.daemon.wait_log("TOPIC_AUTHORIZATION_FAILED", seconds(60));
    }
    watched.produce(0, 500);
    watched.wait_for([1500, 500]);
    watched.may("TOPIC", &shut, true, false);
    watched.produce(1, 500);
    let written = watched.written;
    watched.wait_for(written);
    let told = watched.told("TOPIC_AUTHORIZATION_FAILED");
    assert!(told <= 1 && (hidden || told == 1), "{told} lines");
    watched.daemon.finish(&written, seconds(10));
    tested.passed(format!("{} records, 2 topics", written.iter().sum::<u64>()));
}

#[test]
fn refused_group_is_named_and_waited_for() {
    for version in if all() { &["1.1.1", "3.9.1", "4.1.0"][..] } else { &["3.9.1"] } {
        refused_group(version);
    }
}

fn refused_group(version: &str) {
    let cluster = with_access_lists(version);
    let tested = cluster.kafka().tested("a group that may not be used any more");
    let group = unique("rights");
    let mut watched = Watched::begin(cluster.kafka(), &group);
    watched.may("GROUP", &group, false, false);
    watched.daemon.wait_log("GROUP_AUTHORIZATION_FAILED", seconds(60));
    watched.produce(0, 500);
    watched.produce(1, 500);
    std::thread::sleep(seconds(5));
    watched.may("GROUP", &group, true, false);
    watched.wait_for([1000, 1000]);
    assert_eq!(watched.told("GROUP_AUTHORIZATION_FAILED"), 1);
    watched.daemon.finish(&[1000, 1000], seconds(10));
    tested.passed("2000 records, 2 topics");
}
