//! Asks the name servers of `/etc/resolv.conf` for the IPv4 addresses of a name (record type A), as in RFC
//! 1035: over UDP, and over TCP if the answer does not fit.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use resolv_conf::{Config, ScopedIp};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};

use crate::time_limit::time_left;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;
/// The most name servers that are asked, as resolv.conf(5) says.
const SERVERS_MAX: usize = 3;
/// The time limit for one server. It is shorter if other servers need the time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest answer over UDP if the question does not allow larger ones (RFC 1035, 4.2.1).
const UDP_ANSWER_BYTES_MAX: usize = 512;

/// The name servers of this machine, and its rules for short names.
pub(super) struct NameServers {
    servers: Vec<SocketAddr>,
    /// Domains that are appended to a name.
    search: Vec<String>,
    /// A name with at least this many dots is first asked for without an appended domain.
    dots: usize,
}

/// Why one server gave no address.
enum NoAddress {
    /// The name does not exist, or has no IPv4 address: no other server is asked for it.
    NoSuchName,
    Other(String),
}

impl NameServers {
    /// The present content of `/etc/resolv.conf`. As in the system's resolver, lines that cannot be read
    /// are left out, and without any server one on this machine is used.
    pub(super) fn of_system() -> Self {
        Self::parse(&std::fs::read(RESOLV_CONF).unwrap_or_default(), DNS_PORT)
    }

    pub(super) fn parse(text: &[u8], port: u16) -> Self {
        let (config, _left_out) = Config::parse_with_errors(text);
        let named = config.nameservers.iter().take(SERVERS_MAX);
        let mut servers: Vec<_> = named.map(|server| socket_address(server, port)).collect();
        if servers.is_empty() {
            servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        }
        // The final dot of a full name is not part of a question. Nothing is left of the root domain, and a
        // name is asked for without a domain in any case.
        let domains = config.get_last_search_or_domain().map(|domain| domain.trim_end_matches('.'));
        let search = domains.filter(|domain| !domain.is_empty()).map(str::to_owned).collect();
        Self { servers, search, dots: usize::try_from(config.ndots).unwrap_or(1) }
    }

    #[cfg(test)]
    pub(super) fn with_servers(self, servers: &[SocketAddr]) -> Self {
        Self { servers: servers.to_vec(), ..self }
    }

    #[cfg(test)]
    pub(super) fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Asks for the addresses of `host`, completed by the rules of resolv.conf. The result has at least one
    /// address.
    ///
    /// # Errors
    /// The last server's refusal for each name.
    pub(super) fn ask(&self, host: &str, until: Instant) -> Result<Vec<Ipv4Addr>, String> {
        let names = self.names(host);
        let mut left = names.len() * self.servers.len();
        let mut why = Vec::new();
        for name in &names {
            let mut refusals = Vec::new();
            for server in &self.servers {
                let share =
                    until.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
                left = (left - 1).max(1);
                match ask(*server, name, Instant::now() + share.min(ANSWER_TIMEOUT)) {
                    Ok(addresses) => return Ok(addresses),
                    Err(NoAddress::NoSuchName) => {
                        refusals.push(format!("{server} knows none of {name}"));
                        break;
                    }
                    Err(NoAddress::Other(error)) => refusals.push(format!("{server} for {name}: {error}")),
                }
            }
            why.append(&mut refusals);
        }
        Err(why.join(", "))
    }

    /// The full names to ask for, in order.
    fn names(&self, host: &str) -> Vec<String> {
        if let Some(full) = host.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let mut names: Vec<_> = self.search.iter().map(|domain| format!("{host}.{domain}")).collect();
        let dots = host.bytes().filter(|byte| *byte == b'.').count();
        names.insert(if dots >= self.dots { 0 } else { names.len() }, host.to_owned());
        names
    }
}

fn socket_address(server: &ScopedIp, port: u16) -> SocketAddr {
    match server {
        ScopedIp::V4(address) => SocketAddr::new(IpAddr::V4(*address), port),
        ScopedIp::V6(address, scope) => {
            let scope = scope.as_deref().map_or(0, interface_number);
            SocketAddr::V6(SocketAddrV6::new(*address, port, 0, scope))
        }
    }
}

/// The number of the network interface with this name; 0 if there is no such interface.
fn interface_number(name: &str) -> u32 {
    let file = || std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok();
    name.parse().ok().or_else(|| file()?.trim().parse().ok()).unwrap_or(0)
}

fn ask(server: SocketAddr, name: &str, until: Instant) -> Result<Vec<Ipv4Addr>, NoAddress> {
    let id = fastrand::u16(..);
    let question = question(id, name).map_err(NoAddress::of)?;
    let answer = over_udp(server, &question, id, name, until).map_err(NoAddress::of)?;
    if answer_of(&answer, id, name).is_some_and(|packet| packet.has_flags(PacketFlag::TRUNCATION)) {
        let answer = over_tcp(server, &question, until).map_err(NoAddress::of)?;
        return addresses(&answer, id, name);
    }
    addresses(&answer, id, name)
}

fn question(id: u16, name: &str) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let (kind, class) = (QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(Name::new(name)?, kind, class, false));
    packet.build_bytes_vec()
}

/// The packet, if it is the answer to this question. Anybody who guesses the address of the socket could
/// send other packets.
fn answer_of<'a>(bytes: &'a [u8], id: u16, name: &str) -> Option<Packet<'a>> {
    let packet = Packet::parse(bytes).ok()?;
    let asked = packet.questions.first().is_some_and(|question| {
        question.qtype == QTYPE::TYPE(TYPE::A) && question.qname.to_string().eq_ignore_ascii_case(name)
    });
    Some(packet).filter(|packet| asked && packet.id() == id && packet.has_flags(PacketFlag::RESPONSE))
}

fn over_udp(server: SocketAddr, question: &[u8], id: u16, name: &str, until: Instant) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // A connected socket receives no packets from other senders.
    socket.connect(server)?;
    socket.send(question)?;
    let mut room = vec![0; UDP_ANSWER_BYTES_MAX];
    loop {
        socket.set_read_timeout(Some(time_left(until)?))?;
        let count = match socket.recv(&mut room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            received => received?,
        };
        let answer = room.get(..count).unwrap_or_default();
        if answer_of(answer, id, name).is_some() {
            return Ok(answer.to_vec());
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a name server, not a broker")]
fn over_tcp(server: SocketAddr, question: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, time_left(until)?)?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.set_write_timeout(Some(time_left(until)?))?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    stream.set_read_timeout(Some(time_left(until)?))?;
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.set_read_timeout(Some(time_left(until)?))?;
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn addresses(answer: &[u8], id: u16, name: &str) -> Result<Vec<Ipv4Addr>, NoAddress> {
    let packet = answer_of(answer, id, name).ok_or_else(|| NoAddress::of("what came is no answer"))?;
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(NoAddress::NoSuchName),
        refused => return Err(NoAddress::Other(format!("{refused:?}"))),
    }
    // An alias (CNAME) comes together with the addresses of the name that it stands for.
    let address = |record: &ResourceRecord| match &record.rdata {
        RData::A(address) => Some(Ipv4Addr::from(address.address)),
        _ => None,
    };
    let found: Vec<_> = packet.answers.iter().filter_map(address).collect();
    if found.is_empty() { Err(NoAddress::NoSuchName) } else { Ok(found) }
}

impl NoAddress {
    fn of(error: impl fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}
