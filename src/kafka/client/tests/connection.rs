//! One connection: which versions it uses, its time limits, and which answers it refuses.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use super::*;
use crate::error::Fault;
use crate::kafka::client::brokers::Brokers;
use crate::kafka::client::connection::Connection;
use crate::kafka::client::dialer::Dialer;
use crate::kafka::client::versions_seen::{KnownVersions, VersionsSeen};
use crate::kafka::protocol::error_code::ErrorCode;
use crate::kafka::protocol::messages::{FindCoordinator, Request};
use crate::kafka::protocol::versions::Versions;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

const ASK: FindCoordinator<'static> = FindCoordinator { group: "the group" };

fn find(asked: &Asked) -> Reply {
    assert_eq!(asked.key, FindCoordinator::KEY);
    assert!(["the group", "pandad"].contains(&asked.read::<FindCoordinatorRequest>().key.as_str()));
    let answer = FindCoordinatorResponse::default().with_node_id(7.into()).with_host(text("h"));
    say(&answer.with_port(9), asked.version)
}

fn today(asked: &Asked) -> Reply {
    if asked.key == API_VERSIONS { speaks_as_4_1() } else { find(asked) }
}

/// A broker that answers ApiVersions as Kafka 4.1, and other requests with `reply`.
fn then(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |asked| if asked.key == API_VERSIONS { speaks_as_4_1() } else { reply(asked) })
}

fn open(broker: &Scripted) -> Connection {
    Dialer::new("the client", limits()).open(&broker.address).unwrap()
}

/// The error text for an answer that must be refused; the connection cannot be used after it.
#[track_caller]
fn refused(broker: &Scripted) -> String {
    let mut connection = open(broker);
    let Err(Fault::Retry(why)) = connection.ask(&ASK) else { panic!("it was taken for an answer") };
    let again = connection.ask(&ASK);
    assert!(matches!(&again, Err(Fault::Retry(why)) if why.contains("before")), "{again:?}");
    assert_eq!(broker.asked().len(), 1, "nothing more is sent on it");
    why
}

#[test]
fn asks_what_is_spoken_and_then_in_the_highest_version() {
    for ip in ["127.0.0.1", "::1"] {
        let broker = Scripted::at(ip, today);
        let mut connection = open(&broker);
        for _ in 0..3 {
            let found = connection.ask(&ASK).unwrap();
            assert_eq!(
                (found.code, found.node, found.host.as_str(), found.port),
                (ErrorCode::NONE, 7, "h", 9)
            );
        }
        assert_eq!(broker.asked(), [(0, 10, 2); 3], "one connection, one version");
        assert_eq!(broker.last().client_id, "the client");
    }
}

/// Kafka 0.9 neither answers ApiVersions nor closes the connection.
#[test]
fn silence_means_the_lowest_versions_on_another_connection() {
    let silent = |asked: &Asked| if asked.key == API_VERSIONS { Reply::Silence } else { find(asked) };
    let broker = Scripted::new(silent);
    let began = Instant::now();
    let mut connection = open(&broker);
    assert!(began.elapsed() >= limits().versions_timeout);
    assert_eq!(*connection.versions(), Versions::Silent);
    assert_eq!(connection.ask(&ASK).unwrap().node, 7);
    assert_eq!(broker.asked(), [(1, 10, 0), (2, 10, 0)], "once for proof that it is alive");

    // Once such a broker has answered another request, it is not asked for its versions again.
    let mut brokers = Brokers::new(&[broker.host()], Dialer::new("the client", limits()));
    brokers.ask(&ASK).unwrap();
    let began = Instant::now();
    let mut connection = brokers.open(&broker.address).unwrap();
    assert!(began.elapsed() < limits().versions_timeout);
    assert_eq!(connection.ask(&ASK).unwrap().node, 7);
}

/// A broker that was stopped and goes on answers everything that it was asked.
#[test]
fn a_broker_that_hung_when_it_was_asked_is_not_taken_for_an_old_one() {
    let late = AtomicBool::new(false);
    let broker = Scripted::new(move |asked| {
        if asked.key != API_VERSIONS {
            // On the second connection: from now on the broker answers.
            late.store(true, SeqCst);
            return find(asked);
        }
        while !late.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        speaks_as_4_1()
    });
    let mut connection = open(&broker);
    assert_ne!(*connection.versions(), Versions::Silent);
    assert_eq!(connection.ask(&ASK).unwrap().node, 7);
    assert_eq!(broker.last().version, 2);
}

/// One broker that does not answer ApiVersions, among others that do.
#[test]
fn where_one_broker_speaks_no_other_is_taken_for_an_old_one() {
    let silent = |asked: &Asked| if asked.key == API_VERSIONS { Reply::Silence } else { find(asked) };
    let (today, silent) = (Scripted::new(today), Scripted::new(silent));
    let brokers = Brokers::new(&[silent.host(), today.host()], Dialer::new("the client", limits()));
    assert_eq!(*brokers.open(&silent.address).unwrap().versions(), Versions::Silent);
    brokers.open(&today.address).unwrap();
    let why = brokers.open(&silent.address).unwrap_err();
    assert!(why.contains("does not answer ApiVersions"), "{why}");
}

#[test]
fn a_broker_without_a_common_version_is_never_asked() {
    let broker = Scripted::new(|_| speaks(&[(10, 3, 6)]));
    let mut connection = open(&broker);
    assert!(matches!(connection.ask(&ASK), Err(Fault::Fatal(why)) if why.contains("3 to 6")));
    assert_eq!(broker.asked(), []);
}

#[test]
fn an_answer_to_another_request_is_not_read() {
    let body = |asked: &Asked| match find(asked) {
        Reply::Say(body) => body,
        _ => panic!("it says something"),
    };
    let broker = then(move |asked| Reply::Raw(framed(asked.correlation - 1, &body(asked))));
    assert!(refused(&broker).contains("another request"));
}

#[test]
fn what_is_no_answer_is_refused() {
    let refused_raw = |bytes: &'static [u8]| refused(&then(move |_| Reply::Raw(bytes.to_vec())));
    assert!(refused_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n").contains("1213486160 bytes"));
    assert!(refused_raw(&[0xff, 0xff, 0xff, 0xff]).contains("-1 bytes"));
    assert!(refused_raw(&[0, 0, 0, 2, 0, 0]).contains("another request"));
    // An answer that is cut, and one with bytes after its end.
    let said = |asked: &Asked, change: fn(&mut Vec<u8>)| match find(asked) {
        Reply::Say(mut body) => {
            change(&mut body);
            Reply::Say(body)
        }
        other => other,
    };
    let cut = then(move |asked| said(asked, |body| body.truncate(body.len() - 1)));
    assert!(refused(&cut).contains("beyond the end"));
    let longer = then(move |asked| said(asked, |body| body.push(0)));
    assert!(refused(&longer).contains("bytes follow the message"));
}

/// The plain client at a port for TLS: Kafka answers with an alert, others begin a handshake.
#[test]
fn a_port_for_tls_is_named() {
    for kind in [0x15, 0x16] {
        let why = refused(&then(move |_| Reply::Raw(vec![kind, 3, 3, 0, 2, 2, 40])));
        assert!(why.contains("that port speaks TLS"), "{why}");
    }
    let why = refused(&then(|_| Reply::Raw(vec![0x17, 3, 3, 0, 2, 2, 40])));
    assert!(!why.contains("TLS"), "{why}");
}

/// A wrong length allocates no memory before its bytes arrive.
#[test]
fn memory_is_taken_as_bytes_come() {
    let largest = i32::try_from(limits().answer_bytes_max).unwrap();
    let broker = then(move |_| Reply::Raw([largest.to_be_bytes().as_slice(), &[0; 10]].concat()));
    let mut connection = open(&broker);
    let used = allocation_counter::measure(|| assert!(connection.ask(&ASK).is_err()));
    assert!(used.bytes_max < 256 * 1024, "{} bytes", used.bytes_max);
}

#[test]
fn the_time_limit_is_that_of_the_whole_answer() {
    let step = Duration::from_millis(100);
    let silent = then(|_| Reply::Silence);
    let slow = then(move |asked| Reply::Trickle(framed(asked.correlation, &[0; 100]), step));
    for broker in [silent, slow] {
        let began = Instant::now();
        refused(&broker);
        let took = began.elapsed();
        // The whole answer of the slow broker would take ten seconds.
        assert!(took >= limits().answer_timeout && took < limits().answer_timeout * 8, "{took:?}");
    }
}

#[test]
fn a_closed_connection_is_said_to_be_closed() {
    assert!(refused(&then(|_| Reply::Close)).contains("closed the connection"));
    let gone = Scripted::new(|_| Reply::Close);
    let closed = Dialer::new("c", limits()).open(&gone.address);
    assert!(closed.unwrap_err().contains("closed the connection"));
}

/// The queue of this listener is full, so the system neither accepts nor refuses.
#[test]
fn connecting_has_a_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = i32::from(listener.local_addr().unwrap().port());
    let address = BrokerAddress::new("127.0.0.1", port).unwrap();
    let limits = ConnectionLimits { connect_timeout: Duration::from_millis(200), ..limits() };
    let seen = VersionsSeen::default();
    let dialer = Dialer::new("c", limits).with_versions_seen(&seen);
    let mut filling = Vec::new();
    loop {
        let began = Instant::now();
        // The versions are known, so the client does not ask for them.
        seen.confirm(&address, &KnownVersions { versions: Versions::Silent, asked_at: Instant::now() });
        match dialer.reopen(&address) {
            Ok(connection) => filling.push(connection),
            Err(why) => {
                assert!(why.contains("unreachable"), "{why}");
                assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
                return;
            }
        }
        assert!(filling.len() < 10_000, "the queue is never full here");
    }
}

#[test]
fn bootstrap_brokers_are_tried_in_turn() {
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let hung =
        Scripted::new(|asked| if asked.key == API_VERSIONS { speaks_as_4_1() } else { Reply::Silence });
    let good = Scripted::new(today);
    let mut brokers = Brokers::new(&[dead.clone(), hung.host(), good.host()], Dialer::new("c", limits()));
    assert_eq!(brokers.ask(&ASK).unwrap().node, 7);
    // The broker that answered is asked again.
    for _ in 0..3 {
        brokers.ask(&ASK).unwrap();
    }
    assert_eq!((hung.asked().len(), good.asked().len()), (1, 4));

    let mut brokers = Brokers::new(&[dead.clone(), good.host()], Dialer::new("c", limits()));
    assert!(brokers.ask_versions().is_ok_and(|versions| versions != Versions::Silent));
    let mut brokers = Brokers::new(&[dead], Dialer::new("c", limits()));
    assert!(brokers.ask_versions().is_err());
    assert!(matches!(brokers.ask(&ASK), Err(Fault::Retry(why)) if why.contains("unreachable")));
}

#[test]
fn addresses_are_read_and_written() {
    for (given, shown) in [("h:9092", "h:9092"), ("[::1]:1", "[::1]:1"), ("10.0.0.1:65535", "10.0.0.1:65535")]
    {
        assert_eq!(BrokerAddress::parse(given).unwrap().to_string(), shown);
    }
    for wrong in ["h", "h:", "h:0", "h:65536", "h:-1", ""] {
        assert_eq!(BrokerAddress::parse(wrong), None, "{wrong}");
    }
    assert_eq!(BrokerAddress::new("::1", 5), BrokerAddress::parse("[::1]:5"));
}

/// An answer to JoinGroup takes as long as other members need, so its wait is longer, and can be ended.
#[test]
fn patience_is_added_to_the_time_limit() {
    let late = Duration::from_millis(300);
    let broker = then(move |asked| {
        std::thread::sleep(limits().answer_timeout + late);
        find(asked)
    });
    let patience = Duration::from_secs(20);
    assert_eq!(open(&broker).ask_patiently(&ASK, patience, || true).unwrap().node, 7);
    let began = Instant::now();
    let short = open(&broker).ask_patiently(&ASK, Duration::ZERO, || true);
    assert!(matches!(short, Err(Fault::Retry(why)) if why.contains("does not answer")));
    let mut left = 3;
    let ended = open(&broker).ask_patiently(&ASK, patience, || {
        left -= 1;
        left > 0
    });
    assert!(matches!(ended, Err(Fault::Retry(_))) && began.elapsed() < patience / 2);
}

/// Trying again cannot help, so it is the caller's fault.
#[test]
fn a_request_too_long_for_the_protocol_is_final() {
    let broker = then(find);
    let mut connection = open(&broker);
    let group = "g".repeat(40_000);
    let asked = connection.ask(&FindCoordinator { group: &group });
    assert!(matches!(asked, Err(Fault::Fatal(why)) if why.contains("too long")));
    let sent = open(&broker).send(&ASK, Duration::ZERO).unwrap();
    assert_eq!(sent.version(), FindCoordinator::HIGHEST, "answers are read in the version of the request");
}
