//! One TCP connection to one broker: a request, then its answer, each within a time
//! limit.
//!
//! After anything unexpected the connection is closed for good: a late answer must
//! never be taken for that to a later request.

mod patient;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::error::Fault;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::{ApiVersions, FindCoordinator, Request};
use crate::kafka::protocol::versions::Versions;
use crate::kafka::protocol::wire::{TooLong, WireReader, WireWriter};

/// How long is waited for what, and how much is taken in.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// For a connection, over all addresses of the broker's name.
    pub connect: Duration,
    /// For the answer to ApiVersions, which Kafka 0.9 never gives; one that comes later is
    /// not missed.
    pub silence: Duration,
    /// For a request's whole answer.
    pub answer: Duration,
    /// The largest answer, in bytes.
    pub largest: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_millis(300),
            answer: Duration::from_secs(10),
            largest: 16 * 1024 * 1024,
        }
    }
}

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerAddress {
    host: String,
    port: u16,
}

impl BrokerAddress {
    /// A name or an address without brackets, and a port; `None` if that is no port.
    pub fn new(host: &str, port: i32) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        Some(Self { host: host.to_owned(), port })
    }

    /// From `host:port` or `[v6]:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        Self::new(host, port.parse().ok()?)
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A connection that has shown what its broker speaks.
#[derive(Debug)]
pub struct Connection {
    address: BrokerAddress,
    client_id: String,
    limits: ConnectionLimits,
    versions: Versions,
    correlation: i32,
    /// Taken out while a request is under way: what failed cannot be used again.
    stream: Option<TcpStream>,
    used: Instant,
}

impl Connection {
    /// Connects, and asks what the broker speaks unless that is known.
    ///
    /// # Errors
    /// Why it cannot be reached, or is no Kafka broker.
    pub fn open(
        address: &BrokerAddress,
        client_id: &str,
        limits: ConnectionLimits,
        known: Option<Versions>,
    ) -> Result<Self, String> {
        let connect = |versions| Self::connect(address, client_id, limits, versions);
        match known {
            Some(versions) => connect(versions),
            None => match connect(Versions::Silent)?.speaks()? {
                ApiVersionsAnswer::With(connection) => Ok(connection),
                ApiVersionsAnswer::Silence(first, sent) => {
                    match first.doubt(sent, connect(Versions::Silent)?)? {
                        Some(connection) => Ok(connection),
                        // A broker that does not know the request still waits on those.
                        None => connect(Versions::Silent),
                    }
                }
            },
        }
    }

    /// Nothing was said to ApiVersions here. A broker of 0.9 does not know it, and still
    /// answers what it knows on another connection, and is silent there, too. One that
    /// hung, or is far away, has by then answered somewhere: that connection is used.
    fn doubt(mut self, sent: Sent, mut other: Self) -> Result<Option<Self>, String> {
        let asked = Instant::now();
        // A group that nobody has: found or not, it is an answer.
        other.ask(&FindCoordinator { group: "pandad" }).map_err(|fault| fault.to_string())?;
        other.limits.silence = self.limits.silence.max(asked.elapsed() * 3);
        if let ApiVersionsAnswer::With(other) = other.speaks()? {
            return Ok(Some(other));
        }
        let until = Instant::now() + self.limits.silence / 10;
        match self.read::<ApiVersions>(&Sent { until, ..sent }, &mut Frame::default()) {
            Ok((_code, spoken)) => {
                self.versions = Versions::Spoken(spoken);
                Ok(Some(self))
            }
            Err(ConnectionLost::Silent) => Ok(None),
            Err(lost) => Err(self.say(&lost)),
        }
    }

    fn connect(
        address: &BrokerAddress,
        client_id: &str,
        limits: ConnectionLimits,
        versions: Versions,
    ) -> Result<Self, String> {
        let stream = connect(address, limits.connect);
        let stream = stream.map_err(|error| format!("{address} is unreachable: {error}"))?;
        Ok(Self {
            address: address.clone(),
            client_id: client_id.to_owned(),
            limits,
            versions,
            correlation: 0,
            stream: Some(stream),
            used: Instant::now(),
        })
    }

    fn speaks(mut self) -> Result<ApiVersionsAnswer, String> {
        let sent = self.write(&ApiVersions, ApiVersions::LOWEST, self.limits.silence);
        let sent = sent.map_err(|lost| self.say(&lost))?;
        match self.read::<ApiVersions>(&sent, &mut Frame::default()) {
            Ok((_code, spoken)) => {
                self.versions = Versions::Spoken(spoken);
                Ok(ApiVersionsAnswer::With(self))
            }
            Err(ConnectionLost::Silent) => Ok(ApiVersionsAnswer::Silence(self, sent)),
            Err(lost) => Err(self.say(&lost)),
        }
    }

    /// Whose connection it is.
    pub fn address(&self) -> &BrokerAddress {
        &self.address
    }

    /// What the broker speaks.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// How long nothing was asked.
    pub fn idle(&self) -> Duration {
        self.used.elapsed()
    }

    /// Asks in the highest version that both sides speak.
    ///
    /// # Errors
    /// `Retry`: the connection is lost and of no further use. `Fatal`: the broker
    /// speaks no version of this request that is written here, or the request is too
    /// long for the protocol.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Answer, Fault> {
        let sent = self.send(request, Duration::ZERO)?;
        self.receive::<R>(sent, &mut Frame::default())
    }

    /// Writes a request; its answer is received later, and no other request is sent
    /// before. The answer may come so much later than others as `patience` says.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn send<R: Request>(&mut self, request: &R, patience: Duration) -> Result<Sent, Fault> {
        let version = self.versions.choose::<R>();
        let version = version.map_err(|why| Fault::Fatal(format!("{}: {why}", self.address)))?;
        let sent = self.write(request, version, self.limits.answer + patience);
        sent.map_err(|lost| match lost {
            ConnectionLost::TooLong => Fault::Fatal(self.say(&lost)),
            _ => Fault::Retry(self.say(&lost)),
        })
    }

    /// Waits for the answer to what was sent; its bytes are in `frame` then.
    ///
    /// # Errors
    /// `Retry`: the connection is lost and of no further use.
    pub fn receive<R: Request>(&mut self, sent: Sent, frame: &mut Frame) -> Result<R::Answer, Fault> {
        self.read::<R>(&sent, frame).map_err(|lost| Fault::Retry(self.say(&lost)))
    }

    fn say(&self, lost: &ConnectionLost) -> String {
        let address = &self.address;
        match lost {
            ConnectionLost::Closed => format!("lost the connection to {address} before"),
            ConnectionLost::Silent => format!("{address} does not answer"),
            ConnectionLost::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                format!("{address} closed the connection")
            }
            ConnectionLost::Io(error) => format!("lost the connection to {address}: {error}"),
            ConnectionLost::NotKafka(why) => format!("{address} does not answer as Kafka does: {why}"),
            ConnectionLost::TooLong => format!("a request to {address} is too long for the protocol"),
        }
    }

    fn write<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<Sent, ConnectionLost> {
        let mut stream = self.stream.take().ok_or(ConnectionLost::Closed)?;
        self.correlation = self.correlation.wrapping_add(1);
        let frame = frame(request, version, self.correlation, &self.client_id)
            .map_err(|_| ConnectionLost::TooLong)?;
        let until = Instant::now() + limit;
        write(&mut stream, &frame, until).map_err(ConnectionLost::Io)?;
        self.stream = Some(stream);
        Ok(Sent { version, correlation: self.correlation, until })
    }

    fn read<R: Request>(&mut self, sent: &Sent, frame: &mut Frame) -> Result<R::Answer, ConnectionLost> {
        let mut stream = self.stream.take().ok_or(ConnectionLost::Closed)?;
        match read(&mut stream, self.limits.largest, sent.until, frame) {
            // Not one byte: it may still come.
            Err(ConnectionLost::Silent) if R::KEY == ApiVersions::KEY => {
                self.stream = Some(stream);
                return Err(ConnectionLost::Silent);
            }
            done => done?,
        }
        let mut reader = WireReader::new(frame.bytes());
        // Before anything else is made of it.
        if reader.i32() != Ok(sent.correlation) {
            return Err(ConnectionLost::NotKafka("it answers another request".to_owned()));
        }
        let answer = R::read(sent.version, &mut reader).and_then(|answer| reader.end().map(|()| answer));
        let answer =
            answer.map_err(|why| ConnectionLost::NotKafka(format!("its answer to {}: {why}", R::NAME)))?;
        self.stream = Some(stream);
        self.used = Instant::now();
        Ok(answer)
    }
}

/// A request that was written and is not answered yet.
#[derive(Debug)]
#[must_use]
pub struct Sent {
    version: i16,
    correlation: i32,
    until: Instant,
}

impl Sent {
    /// In which version it was written.
    pub fn version(&self) -> i16 {
        self.version
    }
}

enum ApiVersionsAnswer {
    With(Connection),
    /// The connection on which it may still be said.
    Silence(Connection, Sent),
}

/// Why a connection is of no further use.
#[derive(Debug)]
enum ConnectionLost {
    /// It was lost before.
    Closed,
    /// Not one byte came in time.
    Silent,
    Io(io::Error),
    NotKafka(String),
    /// The request cannot be written.
    TooLong,
}

/// Tries the name's addresses in turn, so that a dead one leaves time for the others.
fn connect(address: &BrokerAddress, limit: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + limit;
    let addresses: Vec<_> = (address.host.as_str(), address.port).to_socket_addrs()?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for one in addresses {
        let share = until.saturating_duration_since(Instant::now()) / left;
        left = left.saturating_sub(1).max(1);
        // A limit of nothing is refused by the library.
        match TcpStream::connect_timeout(&one, share.max(Duration::from_millis(1))) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Length, header and body.
fn frame<R: Request>(
    request: &R,
    version: i16,
    correlation: i32,
    client_id: &str,
) -> Result<Vec<u8>, TooLong> {
    let mut writer = WireWriter::default();
    writer.i16(R::KEY);
    writer.i16(version);
    writer.i32(correlation);
    writer.string(client_id);
    request.write(version, &mut writer);
    let body = writer.finish()?;
    let length = i32::try_from(body.len()).map_err(|_| TooLong)?;
    Ok([length.to_be_bytes().as_slice(), &body].concat())
}

/// What is left of a time limit.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    left.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

fn write(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One answer, without its length.
fn read(
    stream: &mut TcpStream,
    largest: usize,
    until: Instant,
    frame: &mut Frame,
) -> Result<(), ConnectionLost> {
    let mut length = [0; 4];
    match fill(stream, &mut length, until) {
        Ok(()) => {}
        Err((0, error)) if timed_out(&error) => return Err(ConnectionLost::Silent),
        Err((_, error)) => return Err(ConnectionLost::Io(error)),
    }
    let length = i32::from_be_bytes(length);
    let wanted = usize::try_from(length).ok().filter(|wanted| *wanted <= largest);
    let Some(wanted) = wanted else {
        return Err(ConnectionLost::NotKafka(format!("an answer of {length} bytes")));
    };
    // One call for the limit, not one for each part: a part may overstay by the limit once.
    stream.set_read_timeout(Some(left(until).map_err(ConnectionLost::Io)?)).map_err(ConnectionLost::Io)?;
    let some = |room: &mut [u8]| loop {
        left(until)?;
        match stream.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    };
    frame.fill(wanted, some).map_err(ConnectionLost::Io)
}

/// Fills a buffer whole; an error comes with how many bytes there were before it.
fn fill(stream: &mut TcpStream, room: &mut [u8], until: Instant) -> Result<(), (usize, io::Error)> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let some =
            left(until).and_then(|left| stream.set_read_timeout(Some(left))).and_then(|()| stream.read(rest));
        match some {
            Ok(0) => return Err((filled, io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(())
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
