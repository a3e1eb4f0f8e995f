//! A cluster in which one broker lacks a request: something else listens at its address, for example.

use super::*;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::protocol::messages::FindCoordinator;
use kafka_protocol::messages::FindCoordinatorResponse;

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
