use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use simple_dns::rdata::{A, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

use super::a_query::NameServers;
use super::shared_lookup::SharedLookups;
use super::*;

const LIMIT: Duration = Duration::from_secs(6);

/// The reaction of a name server to a question for a name's IPv4 addresses.
#[derive(Clone, Copy)]
enum Does {
    Answer(u8),
    AnswerOverTcp(u8),
    AnswerByAnotherName(u8),
    AnswerSomethingElseFirst(u8),
    Refuse(RCODE),
    HaveNone,
    Nothing,
}

/// A name server on loopback. `rule` gives its reaction to each name.
fn name_server(rule: impl Fn(&str) -> Does + Send + 'static) -> SocketAddr {
    let (udp, tcp) = (0..100).find_map(|_| both_sockets().ok()).expect("a port that is free for UDP and TCP");
    let at = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut room = [0; 512];
        while let Ok((count, from)) = udp.recv_from(&mut room) {
            let question = Packet::parse(&room[..count]).unwrap();
            let name = question.questions[0].qname.to_string();
            match rule(&name) {
                Does::Nothing => {}
                Does::AnswerOverTcp(last) => {
                    let mut cut = question.clone().into_reply();
                    cut.set_flags(PacketFlag::TRUNCATION);
                    udp.send_to(&cut.build_bytes_vec().unwrap(), from).unwrap();
                    let (mut stream, _) = tcp.accept().unwrap();
                    let mut asked = vec![0; 2 + count];
                    stream.read_exact(&mut asked).unwrap();
                    let whole = reply(&asked[2..], Does::Answer(last));
                    let length = u16::try_from(whole.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length[..], &whole].concat()).unwrap();
                }
                Does::AnswerSomethingElseFirst(last) => {
                    let mut other = question.clone();
                    other.set_id(question.id().wrapping_add(1));
                    let other = reply(&other.build_bytes_vec().unwrap(), Does::Answer(66));
                    udp.send_to(&other, from).unwrap();
                    udp.send_to(b"no packet", from).unwrap();
                    udp.send_to(&reply(&room[..count], Does::Answer(last)), from).unwrap();
                }
                does => {
                    udp.send_to(&reply(&room[..count], does), from).unwrap();
                }
            }
        }
    });
    at
}

/// The port that is free for UDP may be taken for TCP.
fn both_sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let tcp = TcpListener::bind(udp.local_addr()?)?;
    Ok((udp, tcp))
}

fn reply(question: &[u8], does: Does) -> Vec<u8> {
    let mut packet = Packet::parse(question).unwrap().into_reply();
    let name = packet.questions[0].qname.clone();
    let address = |name, last| {
        let address = A { address: Ipv4Addr::new(10, 0, 0, last).into() };
        ResourceRecord::new(name, CLASS::IN, 60, RData::A(address))
    };
    match does {
        Does::Answer(last) => packet.answers.push(address(name, last)),
        Does::AnswerByAnotherName(last) => {
            let other = Name::new_unchecked("other.example");
            let stands_for = RData::CNAME(CNAME(other.clone()));
            packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, stands_for));
            packet.answers.push(address(other, last));
        }
        Does::Refuse(code) => *packet.rcode_mut() = code,
        _ => {}
    }
    packet.build_bytes_vec().unwrap()
}

fn servers_at(servers: &[SocketAddr], rest: &str) -> NameServers {
    // In this test each server has a port of its own, so the addresses are added after parsing.
    NameServers::parse(rest.as_bytes(), 53).with_servers(servers)
}

/// Resolves `host`, with `lookup` in the place of the system's resolver.
fn resolved(
    host: &str,
    servers: NameServers,
    lookup: impl FnOnce() -> io::Result<Vec<IpAddr>> + Send + 'static,
) -> io::Result<Vec<IpAddr>> {
    let lookups: &'static SharedLookups = Box::leak(Box::new(SharedLookups::new()));
    resolve_with(lookups, |_| lookup(), || servers, host, LIMIT)
}

fn refused() -> io::Result<Vec<IpAddr>> {
    Err(io::Error::other("Try again"))
}

fn ten(last: u8) -> Vec<IpAddr> {
    vec![IpAddr::from([10, 0, 0, last])]
}

#[test]
fn a_name_resolves_whatever_becomes_of_the_question_for_ipv6_addresses() {
    for does in [
        Does::Answer(1),
        Does::AnswerOverTcp(1),
        Does::AnswerByAnotherName(1),
        Does::AnswerSomethingElseFirst(1),
    ] {
        let server = name_server(move |_| does);
        assert_eq!(resolved("kafka.example", servers_at(&[server], ""), refused).unwrap(), ten(1));
    }
    // The system's resolver still waits when the limit is over, or finds nothing.
    let server = name_server(|_| Does::Answer(1));
    let hangs = || {
        thread::sleep(LIMIT * 2);
        refused()
    };
    let begun = Instant::now();
    assert_eq!(resolved("kafka.example", servers_at(&[server], ""), hangs).unwrap(), ten(1));
    assert!(begun.elapsed() < LIMIT);
    assert_eq!(resolved("kafka.example", servers_at(&[server], ""), || Ok(vec![])).unwrap(), ten(1));
}

#[test]
fn the_systems_answer_counts_and_then_no_name_server_is_asked() {
    let never = || panic!("asked a name server");
    let lookups: &'static SharedLookups = Box::leak(Box::new(SharedLookups::new()));
    let found = resolve_with(lookups, |_| Ok(ten(7)), never, "kafka.example", LIMIT);
    assert_eq!(found.unwrap(), ten(7));
    let address = resolve_with(lookups, |_| refused(), || panic!(), "::1", LIMIT);
    assert_eq!(address.unwrap(), vec!["::1".parse::<IpAddr>().unwrap()]);
    // The late answer counts even if the name servers do not know the name: it may be in /etc/hosts.
    let server = name_server(|_| Does::Refuse(RCODE::NameError));
    let late = || {
        thread::sleep(SYSTEM_ALONE * 2);
        Ok(ten(8))
    };
    assert_eq!(resolved("kafka.example", servers_at(&[server], ""), late).unwrap(), ten(8));
}

#[test]
fn the_next_name_server_is_asked_if_one_does_not_serve() {
    let good = name_server(|_| Does::Answer(2));
    let silent = name_server(|_| Does::Nothing);
    let failing = name_server(|_| Does::Refuse(RCODE::ServerFailure));
    let refusing = name_server(|_| Does::Refuse(RCODE::Refused));
    for bad in [silent, failing, refusing] {
        assert_eq!(resolved("kafka.example", servers_at(&[bad, good], ""), refused).unwrap(), ten(2));
    }
    let error = resolved("kafka.example", servers_at(&[failing, refusing], ""), refused).unwrap_err();
    let expected = format!(
        "Try again; asked for IPv4 addresses only: {failing} for kafka.example: ServerFailure, \
         {refusing} for kafka.example: Refused"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn short_names_are_completed_as_resolv_conf_says() {
    let rule = |name: &str| match name {
        "kafka.b.example" => Does::Answer(3),
        "one.dot" => Does::Answer(4),
        "one.dot.a.example" => Does::Answer(5),
        "none.b.example" => Does::HaveNone,
        _ => Does::Refuse(RCODE::NameError),
    };
    let server = name_server(rule);
    let search = "search a.example b.example\nnonsense";
    let asked = |host: &str, rest: &str| resolved(host, servers_at(&[server], rest), refused);
    assert_eq!(asked("kafka", search).unwrap(), ten(3));
    assert_eq!(asked("one.dot", search).unwrap(), ten(4));
    assert_eq!(asked("one.dot", "search a.example\noptions ndots:2").unwrap(), ten(5));
    assert_eq!(asked("kafka.b.example.", search).unwrap(), ten(3));
    assert_eq!(asked("kafka.", search).unwrap_err().kind(), ErrorKind::Other);
    let error = asked("none", search).unwrap_err().to_string();
    assert!(error.contains(&format!("{server} knows none of none.b.example")), "{error}");
}

#[test]
fn nobody_answers_within_the_limit() {
    let silent = name_server(|_| Does::Nothing);
    let hangs = || {
        thread::sleep(LIMIT * 2);
        refused()
    };
    let lookups: &'static SharedLookups = Box::leak(Box::new(SharedLookups::new()));
    let limit = Duration::from_millis(500);
    let begun = Instant::now();
    let error = resolve_with(lookups, move |_| hangs(), || servers_at(&[silent], ""), "kafka.example", limit);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() < LIMIT);
}

#[test]
fn many_who_wait_for_one_name_cost_one_thread() {
    static LOOKUPS: SharedLookups = SharedLookups::new();
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let (go, wait) = crossbeam_channel::bounded::<()>(0);
    let first = LOOKUPS
        .join("kafka.example", move |_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            wait.recv().unwrap_err();
            Ok(ten(1))
        })
        .unwrap();
    let never = |_: &str| -> io::Result<Vec<IpAddr>> { panic!("asked twice") };
    let others: Vec<_> = (0..50).map(|_| LOOKUPS.join("kafka.example", never).unwrap()).collect();
    assert!(first.wait(Duration::from_millis(10)).is_none());
    drop(go);
    for one in others.iter().chain([&first]) {
        assert_eq!(one.wait(LIMIT).unwrap().unwrap(), ten(1));
    }
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    // The question is asked again after the first answer, and a panic is an error for all who wait.
    let error = LOOKUPS.join("kafka.example", never).unwrap().wait(LIMIT).unwrap().unwrap_err();
    assert!(error.to_string().contains("asked twice"), "{error}");
}

#[test]
fn resolv_conf_without_servers_means_this_machine() {
    let servers = NameServers::parse(b"# nothing\n", 53);
    assert_eq!(servers.servers(), ["127.0.0.1:53".parse::<SocketAddr>().unwrap()]);
    let text = b"nameserver 10.0.0.1\nnameserver ::1\nnameserver fe80::1%7\nnameserver 10.0.0.4\n";
    let shown: Vec<_> = NameServers::parse(text, 53).servers().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.1:53", "[::1]:53", "[fe80::1%7]:53"]);
}

/// resolv.conf may say `search .`, as systemd-resolved does, or end its domains with a dot.
#[test]
fn search_domains_may_end_with_a_dot() {
    let rule = |name: &str| match name {
        "kafka.a.example" => Does::Answer(3),
        "lone" => Does::Answer(4),
        _ => Does::Refuse(RCODE::NameError),
    };
    let server = name_server(rule);
    let asked = |host: &str, rest: &str| resolved(host, servers_at(&[server], rest), refused);
    let begun = Instant::now();
    assert_eq!(asked("lone", "search .").unwrap(), ten(4));
    assert_eq!(asked("kafka", "search a.example.").unwrap(), ten(3));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn an_address_needs_nobody_who_resolves_it() {
    let found = resolve("10.0.0.7", 9092, LIMIT).unwrap();
    assert_eq!(found, [SocketAddr::from(([10, 0, 0, 7], 9092))]);
    let found = resolve("::1", 9092, LIMIT).unwrap();
    assert_eq!(found, ["[::1]:9092".parse::<SocketAddr>().unwrap()]);
}

/// An address that does not answer leaves time for the others: each gets its part of what is left.
#[test]
fn addresses_share_the_time() {
    let addresses = [1, 2, 3, 4].map(|last| SocketAddr::from(([10, 0, 0, last], 9092)));
    let mut tried = Vec::new();
    let until = Instant::now() + LIMIT;
    let found: io::Result<u16> = try_each(&addresses, until, |address, share| {
        tried.push(address);
        let parts = 5 - tried.len() as u32;
        let fair = LIMIT / parts;
        assert!(share <= fair && share > fair * 9 / 10, "{parts} parts: {share:?}");
        if tried.len() < 4 { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(address.port()) }
    });
    assert_eq!((found.unwrap(), &tried[..]), (9092, &addresses[..]));
    // Nothing is left, and the last error counts.
    let mut tried = 0;
    let failed: io::Result<()> = try_each(&addresses, Instant::now(), |_, share| {
        tried += 1;
        assert_eq!(share, Duration::from_millis(1));
        Err(io::Error::other(format!("number {tried}")))
    });
    assert_eq!((failed.unwrap_err().to_string(), tried), ("number 4".to_owned(), 4));
    let none: io::Result<()> = try_each(&[], until, |_, _| Ok(()));
    assert_eq!(none.unwrap_err().kind(), ErrorKind::NotFound);
}
