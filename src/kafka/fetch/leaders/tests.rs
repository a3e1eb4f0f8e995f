//! Brokers that agree, and one that is cut off from the others.

use super::*;
use crate::kafka::protocol::messages::metadata::{BrokerMetadata, PartitionMetadata, TopicMetadata};

fn at(node: i32) -> BrokerAddress {
    BrokerAddress::new("h", 100 + node).unwrap()
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// What a broker says of a cluster of so many brokers.
fn metadata(brokers: i32, code: ErrorCode, partitions: &[(i32, i32, i32)]) -> ClusterMetadata {
    let broker = |node| BrokerMetadata { node, host: "h".to_owned(), port: 100 + node };
    let partitions = partitions.iter().map(|(number, leader, epoch)| PartitionMetadata {
        code: ErrorCode::NONE,
        number: *number,
        leader: *leader,
        epoch: *epoch,
    });
    let topic = TopicMetadata { code, name: "t".to_owned(), id: None, partitions: partitions.collect() };
    ClusterMetadata { cluster_id: None, brokers: (1..=brokers).map(broker).collect(), topics: vec![topic] }
}

/// Says who is believed to lead after the broker `by` has said so.
fn told(leaders: &mut KnownLeaders, by: i32, said: &ClusterMetadata) -> Option<(i32, i32)> {
    let topics = BTreeSet::from([Arc::from("t")]);
    leaders.take(said, &topics, &at(by), &|_| true);
    let found = leaders.of(&partition())?;
    let node = (1..10).find(|node| at(*node) == found.address)?;
    Some((node, found.epoch))
}

fn leads(node: i32, epoch: i32) -> ClusterMetadata {
    metadata(3, ErrorCode::NONE, &[(0, node, epoch)])
}

#[test]
fn a_broker_that_is_cut_off_is_not_believed_when_it_says_what_was_true_before() {
    let mut leaders = KnownLeaders::default();
    assert_eq!(told(&mut leaders, 1, &leads(1, 4)), Some((1, 4)), "nobody has said otherwise");
    assert_eq!(told(&mut leaders, 2, &leads(2, 5)), Some((2, 5)));
    for _ in 0..3 {
        assert_eq!(told(&mut leaders, 1, &leads(1, 4)), Some((2, 5)));
        assert!(leaders.has_doubts());
    }
    assert_eq!(told(&mut leaders, 3, &leads(2, 5)), Some((2, 5)));
    assert!(!leaders.has_doubts());
    assert_eq!(told(&mut leaders, 3, &leads(-1, 4)), Some((2, 5)), "it had no leader then");
    assert_eq!(told(&mut leaders, 3, &leads(-1, 6)), None);
}

#[test]
fn a_topic_that_was_made_anew_has_lower_epochs_once_two_brokers_say_so() {
    let mut leaders = KnownLeaders::default();
    told(&mut leaders, 1, &leads(1, 4));
    assert_eq!(told(&mut leaders, 2, &leads(3, 0)), Some((1, 4)));
    assert_eq!(told(&mut leaders, 2, &leads(3, 0)), Some((1, 4)), "it is the same broker");
    assert_eq!(told(&mut leaders, 3, &leads(3, 0)), Some((3, 0)));
    told(&mut leaders, 3, &leads(3, 7));
    assert_eq!(told(&mut leaders, 1, &metadata(3, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, &[])), None);
    assert_eq!(told(&mut leaders, 1, &leads(2, 0)), Some((2, 0)), "it was gone in between");
    told(&mut leaders, 1, &leads(2, 3));
    let alone = metadata(1, ErrorCode::NONE, &[(0, 1, 0)]);
    assert_eq!(told(&mut leaders, 1, &alone), Some((1, 0)), "there is no other broker");
}

/// Before Kafka 2.1 there are no epochs, and two of three brokers are right.
#[test]
fn without_epochs_two_brokers_contradict_a_third() {
    let mut leaders = KnownLeaders::default();
    told(&mut leaders, 1, &leads(1, -1));
    assert_eq!(told(&mut leaders, 2, &leads(2, -1)), Some((1, -1)));
    assert_eq!(told(&mut leaders, 3, &leads(2, -1)), Some((2, -1)));
    assert_eq!(told(&mut leaders, 1, &leads(1, -1)), Some((2, -1)));
    assert_eq!(told(&mut leaders, 2, &leads(2, -1)), Some((2, -1)));
    assert!(!leaders.has_doubts());
    let two = metadata(2, ErrorCode::NONE, &[(0, 1, -1)]);
    assert_eq!(told(&mut leaders, 1, &two), Some((1, -1)), "nobody can contradict");
}

/// The epochs of the new topic may be higher or lower.
#[test]
fn a_topic_with_another_id_counts_once_two_brokers_name_it() {
    let says = |id, leader, epoch| {
        let mut said = leads(leader, epoch);
        said.topics[0].id = TopicId::new(id);
        said
    };
    for epoch in [0, 4, 9] {
        let mut leaders = KnownLeaders::default();
        told(&mut leaders, 1, &says(7, 1, 4));
        assert_eq!(told(&mut leaders, 2, &says(8, 1, epoch)), Some((1, 4)), "one broker may be cut off");
        assert_eq!(told(&mut leaders, 2, &says(0, 1, 4)), Some((1, 4)), "no id says nothing");
        assert_eq!(leaders.of(&partition()).unwrap().topic, TopicId::new(7));
        told(&mut leaders, 2, &says(8, 1, epoch));
        assert_eq!(told(&mut leaders, 3, &says(8, 1, epoch)), Some((1, epoch)));
        assert_eq!(leaders.of(&partition()).unwrap().topic, TopicId::new(8));
        told(&mut leaders, 1, &says(7, 1, 4));
        assert_eq!(leaders.of(&partition()).unwrap().topic, TopicId::new(8), "that one is cut off");
    }
}

#[test]
fn a_partition_that_is_not_named_has_no_leader() {
    let mut leaders = KnownLeaders::default();
    told(&mut leaders, 1, &leads(1, 4));
    assert_eq!(told(&mut leaders, 1, &metadata(3, ErrorCode::NONE, &[(1, 2, 4)])), None);
    assert_eq!(
        leaders.of(&TopicPartition::new("t", 1)),
        Some(&Leader { address: at(2), epoch: 4, topic: None })
    );
}

/// While brokers are upgraded from a version before 2.1, only some of them tell the epoch.
#[test]
fn brokers_with_and_without_epochs_agree_on_a_leader() {
    for brokers in [2, 3] {
        let says = |leader, epoch| metadata(brokers, ErrorCode::NONE, &[(0, leader, epoch)]);
        let mut leaders = KnownLeaders::default();
        assert_eq!(told(&mut leaders, 1, &says(1, -1)), Some((1, -1)));
        assert_eq!(told(&mut leaders, 2, &says(1, 5)), Some((1, 5)), "it knows more");
        for _ in 0..3 {
            assert_eq!(told(&mut leaders, 1, &says(1, -1)), Some((1, 5)), "{brokers} brokers");
            assert!(!leaders.has_doubts());
            assert_eq!(told(&mut leaders, 2, &says(1, 5)), Some((1, 5)));
        }
        // Another one leads. One broker is cut off, and says what was true before.
        told(&mut leaders, 1, &says(2, -1));
        if brokers == 3 {
            told(&mut leaders, 3, &says(2, -1));
        }
        for _ in 0..3 {
            assert_eq!(told(&mut leaders, 2, &says(1, 5)), Some((2, -1)), "{brokers} brokers");
            assert_eq!(told(&mut leaders, 1, &says(2, -1)), Some((2, -1)));
        }
        assert_eq!(told(&mut leaders, 2, &says(2, 6)), Some((2, 6)));
        assert_eq!(told(&mut leaders, 1, &says(2, -1)), Some((2, 6)));
        assert_eq!(told(&mut leaders, 2, &says(1, 5)), Some((2, 6)));
    }
    // One tells the epoch and the other does not, and both name the same new leader.
    let mut leaders = KnownLeaders::default();
    told(&mut leaders, 1, &leads(1, -1));
    assert_eq!(told(&mut leaders, 2, &leads(2, -1)), Some((1, -1)));
    assert_eq!(told(&mut leaders, 3, &leads(2, 4)), Some((2, 4)));
}

/// The others are gone for good, or cannot be reached.
#[test]
fn what_one_broker_repeats_is_believed_if_no_other_says_anything() {
    for (before, now) in [((1, 4), (3, 0)), ((1, -1), (3, -1))] {
        let mut leaders = KnownLeaders::default();
        told(&mut leaders, 1, &leads(before.0, before.1));
        for _ in 1..DOUBT_REPEATS {
            assert_eq!(told(&mut leaders, 2, &leads(now.0, now.1)), Some(before));
        }
        assert_eq!(told(&mut leaders, 2, &leads(now.0, now.1)), Some(now));
        assert!(!leaders.has_doubts());
        // An answer in between ends the count.
        let mut leaders = KnownLeaders::default();
        told(&mut leaders, 1, &leads(before.0, before.1));
        for run in 0..3 * DOUBT_REPEATS {
            let by = if run % DOUBT_REPEATS == 0 { (1, before) } else { (2, now) };
            assert_eq!(told(&mut leaders, by.0, &leads(by.1.0, by.1.1)), Some(before), "run {run}");
        }
    }
}

/// Nobody asks for these any more, so no broker would end the doubt.
#[test]
fn a_doubt_about_a_topic_that_is_not_read_is_forgotten() {
    let mut leaders = KnownLeaders::default();
    told(&mut leaders, 1, &leads(1, 4));
    told(&mut leaders, 2, &leads(3, 0));
    leaders.forget_doubts_but(&BTreeSet::from([Arc::from("t"), Arc::from("u")]));
    assert!(leaders.has_doubts());
    leaders.forget_doubts_but(&BTreeSet::from([Arc::from("u")]));
    assert!(!leaders.has_doubts());
}
