//! Goal: when the broker that coordinates a group dies or hangs, pandad finds the next
//! coordinator and loses no offset. Method: three brokers, the coordinator killed and hung in turn.

use crate::support::cluster::Cluster;
use crate::support::tested::Tested;
use crate::support::{all, unique, wait};
use pandad::kafka::client::brokers::Brokers;
use pandad::kafka::client::connection::ConnectionLimits;
use pandad::kafka::client::dialer::Dialer;
use pandad::kafka::client::group_offsets::GroupOffsets;
use pandad::kafka::protocol::messages::{FindCoordinator, GenerationMember};
use pandad::record::{Commit, TopicPartition};
use std::time::Instant;

struct Client {
    brokers: Brokers,
    commits: GroupOffsets,
    group: String,
    partition: TopicPartition,
}

impl Client {
    fn new(cluster: &Cluster, group: &str, topic: &str) -> Client {
        let brokers =
            Brokers::new(&cluster.addresses, Dialer::new("pandad-tests", ConnectionLimits::default()));
        let (commits, partition) = (GroupOffsets::new(group), TopicPartition::new(topic, 0));
        Client { brokers, commits, group: group.to_owned(), partition }
    }

    /// Commits until the group has the offset; returns the number of tries.
    #[track_caller]
    fn commit(&mut self, offset: i64) -> u32 {
        let one = Commit { partition: self.partition.clone(), offset, metadata: format!("token {offset}") };
        let (mut tries, until) = (0, wait::deadline(wait::seconds(90)));
        loop {
            tries += 1;
            let tried =
                self.commits.commit(&mut self.brokers, GenerationMember::NONE, std::slice::from_ref(&one));
            match tried {
                Ok(answers) if answers[0].1.is_ok() => return tries,
                failed => assert!(Instant::now() < until, "after {tries} tries: {failed:?}"),
            }
            std::thread::sleep(wait::millis(200));
        }
    }

    /// The group's offset, asked until there is an answer.
    #[track_caller]
    fn committed(&mut self) -> Option<(i64, String)> {
        let mut found = None;
        wait::until("the group's offset is answered", wait::seconds(90), || {
            let asked = std::slice::from_ref(&self.partition);
            if let Ok(answers) = self.commits.committed(&mut self.brokers, asked)
                && let Ok(held) = &answers[0].1
            {
                found = held.clone().map(|one| (one.offset, one.metadata));
                return true;
            }
            false
        });
        found
    }

    /// The number of the group's coordinator.
    fn coordinator(&mut self, cluster: &Cluster) -> usize {
        let found = self.brokers.ask(&FindCoordinator { group: &self.group }).unwrap();
        cluster.number(&format!("{}:{}", found.host, found.port))
    }
}

#[test]
fn killed_or_hung_coordinator_is_replaced() {
    let cluster = Cluster::up("1.1.1", 3);
    let tested = Tested::begins("Kafka 1.1.1", "kafka_to_file", "the group's coordinator killed and hung");
    let (topic, group) = (unique("coordinator"), unique("coordinator"));
    cluster.create(&topic, 1);
    let mut client = Client::new(&cluster, &group, &topic);
    client.commit(1);
    let held = |offset: i64| Some((offset, format!("token {offset}")));
    let mut offset = 1;
    let mut slowest = wait::seconds(0);
    let rounds = if all() { 4 } else { 2 };
    for round in 0..rounds {
        let old = client.coordinator(&cluster);
        if round % 2 == 0 {
            cluster.kill(old)
        } else {
            cluster.hang(old)
        }
        let began = Instant::now();
        offset += 1;
        let tries = client.commit(offset);
        slowest = slowest.max(began.elapsed());
        let new = client.coordinator(&cluster);
        println!("broker {old} gone: {tries} tries, {:?}, now broker {new}", began.elapsed());
        assert_ne!(old, new);
        assert_eq!(client.committed(), held(offset));
        assert_eq!(Client::new(&cluster, &group, &topic).committed(), held(offset), "asked anew");
        if round % 2 == 0 {
            cluster.start(old)
        } else {
            cluster.resume(old)
        }
        // The broker that comes back may become the coordinator again or not.
        for _ in 0..20 {
            offset += 1;
            client.commit(offset);
            std::thread::sleep(wait::millis(100));
        }
        assert_eq!(client.committed(), held(offset));
    }
    println!("replaced within {slowest:?}");
    tested.passed(format_args!("{} kills, {} hangs", rounds / 2, rounds / 2));
}
