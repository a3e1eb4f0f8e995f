//! Which brokers are remembered, for how long, and which are avoided.

use super::*;
use crate::kafka::protocol::messages::metadata::BrokerMetadata;
use crate::test_log::lines_of;

fn metadata(id: Option<&str>, ports: std::ops::Range<i32>) -> ClusterMetadata {
    let brokers = ports.map(|port| BrokerMetadata { node: port, host: "h".to_owned(), port });
    let cluster_id = id.map(str::to_owned);
    ClusterMetadata { cluster_id, brokers: brokers.collect(), topics: Vec::new() }
}

fn at(port: i32) -> BrokerAddress {
    BrokerAddress::new("h", port).unwrap()
}

fn all(of: &NamedBrokers, now: Instant) -> Vec<(BrokerAddress, bool)> {
    of.all(now).into_iter().collect()
}

#[test]
fn a_broker_that_is_named_no_longer_is_forgotten_after_a_day() {
    let (named, now) = (NamedBrokers::default(), Instant::now());
    named.record(&metadata(Some("c"), 1..3), now).unwrap();
    let later = now + NAMED_AGE_MAX - Duration::from_secs(1);
    named.record(&metadata(Some("c"), 2..4), later).unwrap();
    assert_eq!(all(&named, later), [(at(1), false), (at(2), true), (at(3), true)]);
    assert_eq!(all(&named, now + NAMED_AGE_MAX), [(at(2), true), (at(3), true)]);
}

#[test]
fn those_named_last_are_kept() {
    let (named, now) = (NamedBrokers::default(), Instant::now());
    named.record(&metadata(None, 1..10), now).unwrap();
    let later = now + Duration::from_secs(1);
    named.record(&metadata(None, 10..10 + i32::try_from(NAMED_MAX).unwrap()), later).unwrap();
    let kept = named.all(now);
    assert_eq!((kept.len(), kept.get(&at(9)), kept.get(&at(10))), (NAMED_MAX, None, Some(&true)));
}

/// One answer may name any number of brokers: each costs memory and an attempt.
#[test]
fn one_answer_names_a_limited_number() {
    let (named, now) = (NamedBrokers::default(), Instant::now());
    named.record(&metadata(None, 60_000..60_005), now).unwrap();
    let later = now + Duration::from_secs(1);
    named.record(&metadata(None, 1..50_000), later).unwrap();
    let kept: Vec<BrokerAddress> = named.all(now).into_keys().collect();
    let first: BTreeSet<BrokerAddress> = (1..1001).map(at).collect();
    assert_eq!((kept.len(), kept.iter().all(|one| first.contains(one))), (NAMED_MAX, true));
}

/// The address of a broker that is gone may belong to a broker of another cluster by now, and the
/// configuration may name brokers of two clusters.
#[test]
fn a_broker_of_another_cluster_is_never_taken_for_one_of_this() {
    let (named, now) = (NamedBrokers::default(), Instant::now());
    named.record(&metadata(None, 1..2), now).unwrap();
    assert!(!named.has_id());
    named.record(&metadata(Some("c"), 1..3), now).unwrap();
    let (own, other) = ("c".to_owned(), "d".to_owned());
    assert_eq!(named.record(&metadata(Some("d"), 5..6), now), Err(OtherCluster { own, other }));
    assert_eq!(all(&named, now), [(at(1), true), (at(2), true)]);
    named.record(&metadata(None, 3..4), now).unwrap();
    let told = |number, id| {
        let told = lines_of(|| named.tell_foreign(&at(number), id));
        told.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("")
    };
    let says = "the Kafka cluster d, and c is the one that is read: this address is not used";
    assert!(told(5, "d").contains(says));
    assert_eq!(told(5, "d"), "", "once for each");
    assert!(told(5, "e").contains("cluster e") && told(6, "d").contains(says));
}

/// The journal or the configuration says which cluster is read. Of another one all brokers are in one line.
#[test]
fn an_expected_cluster_counts_before_any_broker_is_asked() {
    for (source, says) in [
        (ClusterIdSource::Journal, "the log file's records are of c: nothing is read from d"),
        (ClusterIdSource::Configuration, "kafka['cluster'] is c: nothing is read from d"),
    ] {
        let (named, now) = (NamedBrokers::default(), Instant::now());
        named.expect("c", source);
        assert!(named.has_id() && named.id().as_deref() == Some("c"));
        assert!(named.record(&metadata(Some("d"), 5..6), now).is_err());
        let told = lines_of(|| {
            named.tell_foreign(&at(5), "d");
            named.tell_foreign(&at(6), "d");
        });
        let [(log::Level::Error, text)] = &told[..] else {
            panic!("one line for the whole cluster: {told:?}")
        };
        assert!(text.contains(says), "{text}");
        assert_eq!(lines_of(|| named.tell_foreign(&at(6), "e")).len(), 1);
        named.record(&metadata(Some("c"), 1..3), now).unwrap();
    }
}

#[test]
fn a_broker_is_avoided_for_longer_the_more_often_it_fails() {
    let (named, mut now) = (NamedBrokers::default(), Instant::now());
    let moment = Duration::from_millis(1);
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        named.record_failed(&at(1), now);
        now += Duration::from_secs(60 * minutes);
        assert!(named.is_avoided(&at(1), now - moment), "{minutes}");
        assert!(!named.is_avoided(&at(1), now), "{minutes}");
    }
    assert!(!named.is_avoided(&at(2), now));
    named.record_failed(&at(1), now);
    named.record_answered(&at(1));
    assert!(!named.is_avoided(&at(1), now));
    named.record_failed(&at(1), now);
    assert!(!named.is_avoided(&at(1), now + AVOIDED_FOR), "it is the first one again");
}
