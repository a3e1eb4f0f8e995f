//! Goal: pandad's own commits on real brokers of every version, each with metadata, are read back by pandad
//! and by other clients, and a refusal names its partition.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::servers::{Kafka, Store, kafka, readable};
use crate::support::tail::places;
use crate::support::{unique, wait};
use kafka_crate::client::{CommitOffset, FetchGroupOffset, GroupOffsetStorage, KafkaClient};
use pandad::error::Fault;
use pandad::kafka::client::address::BrokerAddress;
use pandad::kafka::client::brokers::Brokers;
use pandad::kafka::client::connection::ConnectionLimits;
use pandad::kafka::client::dialer::Dialer;
use pandad::kafka::client::group_offsets::{Answers, CommittedOffset, GroupOffsets};
use pandad::kafka::protocol::error_code::ErrorCode;
use pandad::kafka::protocol::messages::{GenerationMember, Metadata};
use pandad::kafka::protocol::refusal::Refusal;
use pandad::kafka::protocol::versions::Versions;
use pandad::record::{Commit, Token, TopicPartition};
use std::time::Instant;

/// Every broker of this run, and 4.1.0, which the crate cannot read.
fn every() -> Vec<Kafka> {
    let mut brokers = readable();
    brokers.push(kafka("4.1.0"));
    brokers
}

fn dialer() -> Dialer {
    Dialer::new("pandad-tests", ConnectionLimits::default())
}

/// One group of one broker, asked by pandad's client.
struct Client {
    brokers: Brokers,
    commits: GroupOffsets,
    topic: String,
}

impl Client {
    fn new(kafka: &Kafka, group: &str, topic: &str) -> Client {
        let brokers = Brokers::new(std::slice::from_ref(&kafka.address), dialer());
        Client { brokers, commits: GroupOffsets::new(group), topic: topic.to_owned() }
    }

    /// For a topic that was created just now: the broker may not know it yet.
    fn of_new_topic(kafka: &Kafka, group: &str, topic: &str) -> Client {
        let mut probe = Client::new(kafka, &unique("probe"), topic);
        let known = || fine(&probe.commit(&[(0, 0, "")]));
        wait::until("the broker knows the topic", wait::seconds(20), known);
        Client::new(kafka, group, topic)
    }

    fn partition(&self, number: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), number)
    }

    fn commit(&mut self, offsets: &[(i32, i64, &str)]) -> Answers<()> {
        let commit = |(number, offset, metadata): &(i32, i64, &str)| {
            let metadata = (*metadata).to_owned();
            Commit { partition: self.partition(*number), offset: *offset, metadata }
        };
        let offsets: Vec<Commit> = offsets.iter().map(commit).collect();
        retrying(|| self.commits.commit(&mut self.brokers, GenerationMember::NONE, &offsets))
    }

    fn committed(&mut self, partitions: i32) -> Vec<Result<Option<(i64, String)>, Refusal>> {
        let asked: Vec<TopicPartition> = (0..partitions).map(|number| self.partition(number)).collect();
        let answers = retrying(|| self.commits.committed(&mut self.brokers, &asked));
        let plain = |one: Option<CommittedOffset>| one.map(|one| (one.offset, one.metadata));
        answers.into_iter().map(|(_, answer)| answer.map(plain)).collect()
    }
}

/// A broker that has just started has no coordinator for a moment.
#[track_caller]
fn retrying<T>(mut ask: impl FnMut() -> Result<Answers<T>, Fault>) -> Answers<T> {
    let until = wait::deadline(wait::seconds(30));
    loop {
        let fault = match ask() {
            Ok(answers) => {
                let passing =
                    [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::NOT_COORDINATOR].map(Refusal::Code);
                let waits =
                    |one: &(_, Result<T, Refusal>)| one.1.as_ref().is_err_and(|why| passing.contains(why));
                if !answers.iter().any(waits) {
                    return answers;
                }
                "not yet".to_owned()
            }
            Err(fault) => fault.to_string(),
        };
        assert!(Instant::now() < until, "{fault}");
        std::thread::sleep(wait::millis(100));
    }
}

fn fine(answers: &Answers<()>) -> bool {
    answers.iter().all(|(_, answer)| answer.is_ok())
}

#[test]
fn commits_are_read_back() {
    for kafka in every() {
        let tested = kafka.tested("commits with metadata, read back by pandad and librdkafka");
        let (topic, group) = (unique("own"), unique("own"));
        kafka.create(&topic, 4);
        let mut client = Client::of_new_topic(&kafka, &group, &topic);
        assert_eq!(client.committed(4), vec![Ok(None); 4], "nothing is committed yet");
        let longest = "ü".repeat(2048);
        let rounds: [&[(i32, i64, &str)]; 3] = [
            &[(0, 5, "pandad1:1:2:5"), (1, 0, ""), (3, i64::MAX - 1, &longest)],
            &[(0, 3, "back"), (1, 1 << 40, "forward")],
            &[(3, 7, "")],
        ];
        let mut held: Vec<Option<(i64, String)>> = vec![None; 4];
        for round in rounds {
            assert!(fine(&client.commit(round)));
            for (number, offset, metadata) in round {
                held[usize::try_from(*number).unwrap()] = Some((*offset, (*metadata).to_owned()));
            }
            // The offsets are read by the connection that committed, by another one, and by librdkafka.
            let expected: Vec<_> = held.iter().cloned().map(Ok).collect();
            assert_eq!(client.committed(4), expected);
            assert_eq!(Client::new(&kafka, &group, &topic).committed(4), expected);
            assert_eq!(kafka.held(&group, &topic, 4), held);
        }
        assert!(fine(&client.commit(&[(0, 8, "for others\0")])));
        assert_eq!(kafka.beside(&group, &topic), "for others");
        tested.passed("4 rounds, 4 partitions");
    }
}

/// A refusal names its partition; the other partitions are committed.
#[test]
fn refusals_name_their_partition() {
    for kafka in every() {
        let tested = kafka.tested("refused commits, each partition by itself");
        let (topic, group) = (unique("refused"), unique("refused"));
        kafka.create(&topic, 2);
        let mut client = Client::of_new_topic(&kafka, &group, &topic);
        let too_long = "x".repeat(4097);
        let answers = client.commit(&[(0, 5, "token"), (1, 6, &too_long)]);
        let refusal = Refusal::Code(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        assert_eq!(answers[0].1, Ok(()));
        assert_eq!(answers[1].1, Err(refusal));
        assert!(matches!(refusal.fault("commit"), Fault::Fatal(_)));
        assert_eq!(client.committed(2), [Ok(Some((5, "token".to_owned()))), Ok(None)]);
        // A partition that does not exist.
        let answers = client.commit(&[(0, 7, "token"), (9, 1, "")]);
        assert_eq!(answers[0].1, Ok(()));
        let unknown = answers[1].1;
        // Brokers with the first group protocol accept a commit for a missing partition.
        let allowed = [Ok(()), Err(Refusal::Code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))];
        assert!(allowed.contains(&unknown), "{unknown:?}");
        tested.passed("2 refusals");
    }
}

/// A client that is no member may commit only while the group has no members.
#[test]
fn commit_to_a_live_group_is_refused() {
    for kafka in every() {
        let tested = kafka.tested("commits to a group with live members are refused");
        let (topic, group) = (unique("members"), unique("members"));
        kafka.create(&topic, 1);
        let mut client = Client::of_new_topic(&kafka, &group, &topic);
        assert!(fine(&client.commit(&[(0, 1, "before")])));
        kafka.join(&group, &topic);
        assert_eq!(client.commit(&[(0, 2, "during")])[0].1, Err(Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID)));
        kafka.part(&group);
        assert!(fine(&client.commit(&[(0, 3, "after")])));
        assert_eq!(client.committed(1), [Ok(Some((3, "after".to_owned())))]);
        tested.passed("");
    }
}

/// Which versions each broker announces. Also: from 0.11 on, a question about a missing topic does not
/// create it. Older brokers create the topic.
#[test]
fn api_versions_are_detected() {
    for kafka in every() {
        let address = BrokerAddress::parse(&kafka.address).unwrap();
        let connection = dialer().open(&address).unwrap();
        let fetch = connection.versions().range(1);
        let expected = match kafka.version.as_str() {
            "0.9.0.1" => None,
            "0.10.2.2" => Some((0, 3)),
            "1.1.1" => Some((0, 7)),
            "2.8.2" => Some((0, 12)),
            "3.9.1" => Some((0, 17)),
            "4.1.0" => Some((4, 18)),
            other => panic!("which versions of Fetch has {other}?"),
        };
        assert_eq!(fetch, expected, "{}", kafka.version);
        assert_eq!(*connection.versions() == Versions::Silent, kafka.version.starts_with("0.9"));
        let mut client = Client::new(&kafka, "g", "t");
        let missing = [unique("missing")];
        for _ in 0..3 {
            let found = client.brokers.ask(&Metadata { topics: &missing }).unwrap();
            assert_eq!(found.brokers.len(), 1, "{}", kafka.version);
            let there = found.topics.iter().any(|topic| topic.code.is_none());
            assert!(!there || !kafka.at_least(0, 11), "{}: {found:?}", kafka.version);
        }
    }
}

/// Commits by the `kafka` crate, as an older pandad made them. The broker may not know a topic created
/// just now.
#[track_caller]
fn by_the_crate(kafka: &Kafka, topic: &str, group: &str, offsets: &[(i32, i64)]) -> KafkaClient {
    let mut client = KafkaClient::new(vec![kafka.address.clone()]);
    client.set_group_offset_storage(Some(GroupOffsetStorage::Kafka));
    let offsets: Vec<_> =
        offsets.iter().map(|(number, offset)| CommitOffset::new(topic, *number, *offset)).collect();
    wait::until("the crate's commit", wait::seconds(30), || {
        client.load_metadata(&[topic]).is_ok() && client.commit_offsets(group, &offsets).is_ok()
    });
    client
}

#[test]
fn crate_and_pandad_share_commits() {
    for kafka in readable() {
        let tested = kafka.tested("commits of pandad and of the kafka crate, read by each other");
        let (topic, group) = (unique("both"), unique("both"));
        kafka.create(&topic, 2);
        let mut theirs = by_the_crate(&kafka, &topic, &group, &[(0, 300), (1, 5)]);
        let mut ours = Client::of_new_topic(&kafka, &group, &topic);
        assert_eq!(ours.committed(2), [Ok(Some((300, String::new()))), Ok(Some((5, String::new())))]);
        assert!(fine(&ours.commit(&[(0, 301, "token")])));
        let asked = [FetchGroupOffset::new(&topic, 0), FetchGroupOffset::new(&topic, 1)];
        let mut found: Vec<i64> = Vec::new();
        for (_, partitions) in theirs.fetch_group_offsets(&group, &asked).unwrap() {
            found.extend(partitions.iter().map(|one| one.offset));
        }
        found.sort_unstable();
        assert_eq!(found, [5, 301]);
        tested.passed("2 partitions");
    }
}

/// A group whose offset the crate committed goes on exactly there, and its offsets have tokens from
/// then on.
#[test]
fn group_of_the_crate_keeps_its_position() {
    for kafka in readable() {
        let tested = kafka.tested("a group whose offsets the kafka crate committed");
        let (topic, group) = (unique("moved"), unique("moved"));
        kafka.create(&topic, 1);
        Produce::seq(&kafka, &topic, 1000).run();
        by_the_crate(&kafka, &topic, &group, &[(0, 300)]);
        let mut daemon = Daemon::new(&Inv::log(&kafka, &topic, &group));
        daemon.start();
        daemon.wait_written_at_least(700, wait::seconds(30));
        daemon.stop();
        let lines = places(&daemon.file);
        assert!(lines == (300..1000).collect::<Vec<u64>>(), "{} lines from {}", lines.len(), lines[0]);
        let held = kafka.held(&group, &topic, 1);
        let (offset, metadata) = held[0].clone().unwrap();
        let token = Token::parse(&metadata).unwrap_or_else(|| panic!("{metadata:?} is no token"));
        assert_eq!((offset, token.offset), (1000, 1000));
        assert_eq!(kafka.committed(Store::Kafka, &group, &topic, 1), [1000]);
        tested.passed("700 records");
    }
}
