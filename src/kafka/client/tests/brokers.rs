//! A cluster in which one broker lacks a request: something else listens at its address, for example.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::protocol::messages::{FindCoordinator, Metadata};
use crate::test_log::lines_of;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{FindCoordinatorResponse, MetadataResponse};

const ASK: FindCoordinator<'static> = FindCoordinator { group: "the group" };

fn good() -> Scripted {
    Scripted::new(|asked| match asked.key {
        API_VERSIONS => speaks_as_4_1(),
        _ => {
            let answer = FindCoordinatorResponse::default().with_node_id(7.into()).with_host(text("h"));
            say(&answer.with_port(9), asked.version)
        }
    })
}

/// A broker that answers ApiVersions, and does not name FindCoordinator.
fn lacking() -> Scripted {
    Scripted::new(
        |asked| if asked.key == API_VERSIONS { speaks(&[(3, 0, 13), (18, 0, 4)]) } else { Reply::Close },
    )
}

fn brokers(of: &[&Scripted]) -> Brokers {
    let hosts: Vec<String> = of.iter().map(|one| one.host()).collect();
    Brokers::new(&hosts, Dialer::new("c", limits()))
}

#[test]
fn a_broker_that_lacks_a_request_is_passed_over() {
    let (lacking, good) = (lacking(), good());
    for order in [[&lacking, &good], [&good, &lacking]] {
        let mut brokers = brokers(&order);
        for _ in 0..3 {
            assert_eq!(brokers.ask(&ASK).unwrap().host, "h");
        }
    }
    assert!(lacking.asked().is_empty(), "it was sent what it does not support");
    assert_eq!(good.asked().len(), 6);
}

/// As long as one of the others may come back, nothing is final.
#[test]
fn a_request_that_nobody_supports_is_final() {
    let (one, two) = (lacking(), lacking());
    let Err(Fault::Fatal(why)) = brokers(&[&one, &two]).ask(&ASK) else { panic!("it may be tried again") };
    assert!(why.contains("does not support the request FindCoordinator"), "{why}");
    let silent = Scripted::new(|_| Reply::Close);
    for order in [[&silent, &one], [&one, &silent]] {
        assert!(matches!(brokers(&order).ask(&ASK), Err(Fault::Retry(_))));
    }
}

/// A controller stands in the list of brokers, and the only broker is started again.
#[test]
fn an_address_without_a_broker_ends_nothing_once_a_broker_has_served() {
    let (named, is_gone) = (Arc::default(), Arc::default());
    let (lacking, broker) = (lacking(), naming("one", &named, &is_gone));
    named.lock().unwrap().push(port(&broker));
    for order in [[&lacking, &broker], [&broker, &lacking]] {
        is_gone.store(false, SeqCst);
        let mut brokers = brokers(&order);
        brokers.ask(&Metadata { topics: &["t".to_owned()] }).unwrap();
        is_gone.store(true, SeqCst);
        let Err(Fault::Retry(why)) = brokers.ask(&ASK) else { panic!("it may not be tried again") };
        assert!(why.contains(&broker.host()), "it is the broker that is missing: {why}");
    }
}

/// A broker of the cluster `id`, which names these brokers, until it is gone.
fn naming(id: &'static str, named: &Arc<Mutex<Vec<i32>>>, is_gone: &Arc<AtomicBool>) -> Scripted {
    let (named, is_gone) = (Arc::clone(named), Arc::clone(is_gone));
    Scripted::new(move |asked| match asked.key {
        _ if is_gone.load(SeqCst) => Reply::Close,
        API_VERSIONS => speaks(&[(3, 0, 7), (10, 0, 2), (18, 0, 4)]),
        3 => {
            let one = |port: &i32| {
                let broker = MetadataResponseBroker::default().with_node_id((*port).into());
                broker.with_host(text("127.0.0.1")).with_port(*port)
            };
            let brokers = named.lock().unwrap().iter().map(one).collect();
            let answer = MetadataResponse::default().with_cluster_id(Some(text(id))).with_brokers(brokers);
            say(&answer, asked.version)
        }
        _ => {
            let answer = FindCoordinatorResponse::default().with_node_id(7.into()).with_host(text(id));
            say(&answer.with_port(9), asked.version)
        }
    })
}

fn port(of: &Scripted) -> i32 {
    of.host().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Two of these are not in the configuration; one of the two belongs to another cluster.
#[test]
fn brokers_that_the_cluster_names_are_asked_when_those_of_the_configuration_are_gone() {
    let (named, stays, is_gone) = (Arc::default(), Arc::default(), Arc::default());
    let [own, other] = ["one", "two"].map(|id| naming(id, &named, &stays));
    let configured = naming("one", &named, &is_gone);
    named.lock().unwrap().extend([port(&other), port(&own), port(&configured)]);
    let mut brokers = brokers(&[&configured]);
    let metadata = Metadata { topics: &["t".to_owned()] };
    assert_eq!(brokers.ask(&metadata).unwrap().brokers.len(), 3);
    is_gone.store(true, SeqCst);
    for _ in 0..3 {
        assert_eq!(brokers.ask_another(&ASK).unwrap().host, "one", "the other cluster must not be asked");
    }
    assert_eq!(other.asked(), [(0, 3, 7)], "it is asked once who it is");
    // Others get the addresses, too.
    let mut others = brokers.with_own_connections(limits());
    assert_eq!(others.ask_another(&ASK).unwrap().host, "one");
}

/// A broker that is cut off from its cluster answers, and does not know what has changed.
#[test]
fn another_broker_is_asked_each_time() {
    let (named, stays) = (Arc::default(), Arc::default());
    let all = [(); 3].map(|()| naming("one", &named, &stays));
    named.lock().unwrap().extend(all.iter().map(port));
    let mut brokers = brokers(&[&all[0]]);
    let metadata = Metadata { topics: &["t".to_owned()] };
    for round in 1..4 {
        let answered = all.iter().map(|_| {
            brokers.ask_another(&metadata).unwrap();
            brokers.answered_last().unwrap().clone()
        });
        let answered: BTreeSet<_> = answered.collect();
        assert_eq!(answered.len(), 3, "round {round}: {answered:?}");
    }
}

/// The first cluster that answers is the one that is read. That of the other host is never asked for
/// anything, also when the first one is gone.
#[test]
fn a_configured_host_of_another_cluster_is_not_asked() {
    let (named, others, is_gone, stays) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
    let own = naming("one", &named, &is_gone);
    let other = naming("two", &others, &stays);
    named.lock().unwrap().push(port(&own));
    others.lock().unwrap().push(port(&other));
    let mut brokers = brokers(&[&own, &other]);
    let metadata = Metadata { topics: &["t".to_owned()] };
    let told = lines_of(|| {
        for _ in 0..3 {
            assert_eq!(brokers.ask_another(&metadata).unwrap().cluster_id.as_deref(), Some("one"));
            assert_eq!(brokers.ask_another(&ASK).unwrap().host, "one");
        }
        assert!(brokers.open(&other.address).is_err(), "offsets would be committed there");
        is_gone.store(true, SeqCst);
        for _ in 0..2 {
            assert!(matches!(brokers.ask_another(&ASK), Err(Fault::Retry(_))));
        }
    });
    assert!(other.asked().iter().all(|(_, key, _)| *key == 3), "{:?}", other.asked());
    let [(log::Level::Error, text)] = &told[..] else { panic!("{told:?}") };
    let says =
        format!("kafka_to_file: {} belongs to the Kafka cluster two, and one is the one", other.host());
    assert!(text.starts_with(&says) && text.contains("take it out of broker_list"), "{text}");
}

/// An address that nobody names any more, or at which nobody answers, costs a time limit.
#[test]
fn living_brokers_are_asked_before_those_that_are_gone() {
    let (named, stays, is_gone) = (Arc::default(), Arc::default(), Arc::default());
    let [first, second] = [(); 2].map(|()| naming("one", &named, &stays));
    let gone = naming("one", &named, &is_gone);
    named.lock().unwrap().extend([&first, &second, &gone].map(port));
    let mut brokers = brokers(&[&first]);
    let metadata = Metadata { topics: &["t".to_owned()] };
    brokers.ask_another(&metadata).unwrap();
    // It is named no longer before it was ever asked.
    named.lock().unwrap().pop();
    is_gone.store(true, SeqCst);
    brokers.ask(&metadata).unwrap();
    for _ in 0..6 {
        brokers.ask_another(&metadata).unwrap();
    }
    assert_eq!(gone.asked.lock().unwrap().len(), 0, "the others answer");
    // It is named again, and does not answer. One client tries; what that one finds out, the others know.
    named.lock().unwrap().push(port(&gone));
    for _ in 0..6 {
        brokers.ask_another(&metadata).unwrap();
    }
    let mut others = brokers.with_own_connections(limits());
    for _ in 0..6 {
        others.ask_another(&metadata).unwrap();
    }
    let tried = gone.asked.lock().unwrap().iter().map(|one| one.connection).max();
    assert_eq!(tried, Some(0), "it is tried once");
    stays.store(true, SeqCst);
    is_gone.store(false, SeqCst);
    others.ask_another(&metadata).unwrap();
    assert_eq!(others.answered_last(), Some(&gone.address), "there is no other");
}

/// As long as others answer, nobody has a reason to ask it.
#[test]
fn a_configured_host_that_was_not_asked_is_tried_once() {
    let (named, others, stays) = (Arc::default(), Arc::default(), Arc::default());
    let (own, other) = (naming("one", &named, &stays), naming("two", &others, &stays));
    named.lock().unwrap().push(port(&own));
    let mut brokers = brokers(&[&own, &other]);
    brokers.ask_another(&Metadata { topics: &["t".to_owned()] }).unwrap();
    assert!(other.asked.lock().unwrap().is_empty());
    let told = lines_of(|| (0..3).for_each(|_| brokers.try_one_untried()));
    let errors = told.iter().filter(|(level, _)| *level == log::Level::Error).count();
    assert_eq!((errors, other.asked()), (1, vec![(0, 3, 7)]), "{told:?}");
    assert_eq!(brokers.ask(&ASK).unwrap().host, "one");
}
