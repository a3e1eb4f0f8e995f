//! The dialer: when a broker is asked for its versions, and what its clones share.

use super::*;
use crate::kafka::client::connection::Connection;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::protocol::messages::FindCoordinator;
use crate::kafka::protocol::versions::Versions;
use kafka_protocol::messages::FindCoordinatorResponse;

const ASK: FindCoordinator<'static> = FindCoordinator { group: "the group" };

fn find(asked: &Asked) -> Reply {
    let answer = FindCoordinatorResponse::default().with_node_id(7.into()).with_host(text("h"));
    say(&answer.with_port(9), asked.version)
}

/// A broker that answers ApiVersions with `versions`.
fn broker(versions: impl Fn() -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |asked| if asked.key == API_VERSIONS { versions() } else { find(asked) })
}

/// How often the broker was asked for its versions.
fn versions_asked(broker: &Scripted) -> usize {
    broker.asked.lock().unwrap().iter().filter(|one| one.key == API_VERSIONS).count()
}

/// Sends any request: its answer confirms the versions of the connection.
fn confirm(dialer: &Dialer, mut connection: Connection) {
    connection.ask(&ASK).unwrap();
    dialer.confirm(&connection);
}

#[test]
fn confirmed_versions_are_not_asked_for_again() {
    // A broker of today is asked on one connection, one of Kafka 0.9 on two.
    for (broker, asks) in [(broker(speaks_as_4_1), 1), (broker(|| Reply::Silence), 2)] {
        let dialer = Dialer::new("c", limits());
        let other = dialer.clone().with_limits(ConnectionLimits { answer_bytes_max: 99, ..limits() });
        confirm(&dialer, dialer.reopen(&broker.address).unwrap());
        assert_eq!(versions_asked(&broker), asks);
        let connection = other.reopen(&broker.address).unwrap();
        assert_eq!(versions_asked(&broker), asks, "the clone knows them");
        let unconfirmed = dialer.reopen(&broker.address).unwrap();
        assert_eq!(unconfirmed.versions(), connection.versions());
        assert_eq!(versions_asked(&broker), 2 * asks, "nobody has confirmed them since");
        confirm(&dialer, connection);
        let connection = dialer.open(&broker.address).unwrap();
        assert_eq!(versions_asked(&broker), 3 * asks, "open asks always");
        drop(connection);
        dialer.reopen(&broker.address).unwrap();
        assert_eq!(versions_asked(&broker), 3 * asks);
    }
}

/// A broker's versions change, for instance by an upgrade.
#[test]
fn other_versions_replace_the_confirmed_ones() {
    let upgraded = Arc::new(Mutex::new(false));
    let now = Arc::clone(&upgraded);
    let broker = broker(move || if *now.lock().unwrap() { speaks_as_4_1() } else { Reply::Silence });
    let dialer = Dialer::new("c", limits());
    confirm(&dialer, dialer.open(&broker.address).unwrap());
    *upgraded.lock().unwrap() = true;
    let read = dialer.open(&broker.address).unwrap();
    assert_ne!(*read.versions(), Versions::Silent);
    assert_eq!(dialer.reopen(&broker.address).unwrap().versions(), read.versions());
}
