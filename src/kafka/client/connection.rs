//! One TCP connection to one broker: a request, then its answer, each within a time
//! limit.
//!
//! After anything unexpected the connection is closed for good: a late answer must
//! never be taken for that to a later request.

mod detect_09;
mod patient;

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::address::BrokerAddress;
use super::transport::{self, ConnectionLost};
use crate::error::Fault;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::{ApiVersions, Request};
use crate::kafka::protocol::versions::Versions;
use crate::kafka::protocol::wire::{TooLong, WireReader, WireWriter};

/// How long is waited for what, and how much is taken in.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// For a connection, over all addresses of the broker's name.
    pub connect_timeout: Duration,
    /// For the answer to ApiVersions, which Kafka 0.9 never gives; one that comes later is
    /// not missed.
    pub versions_timeout: Duration,
    /// For a request's whole answer.
    pub answer_timeout: Duration,
    /// The largest answer, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            versions_timeout: Duration::from_millis(300),
            answer_timeout: Duration::from_secs(10),
            answer_bytes_max: 16 * 1024 * 1024,
        }
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
    fn connect(
        address: &BrokerAddress,
        client_id: &str,
        limits: ConnectionLimits,
        versions: Versions,
    ) -> Result<Self, String> {
        let stream = transport::connect(address, limits.connect_timeout);
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
        let sent = self.write(request, version, self.limits.answer_timeout + patience);
        sent.map_err(|lost| match lost {
            ConnectionLost::TooLong => Fault::Fatal(self.describe(&lost)),
            _ => Fault::Retry(self.describe(&lost)),
        })
    }

    /// Waits for the answer to what was sent; its bytes are in `frame` then.
    ///
    /// # Errors
    /// `Retry`: the connection is lost and of no further use.
    pub fn receive<R: Request>(&mut self, sent: Sent, frame: &mut Frame) -> Result<R::Answer, Fault> {
        self.read::<R>(&sent, frame).map_err(|lost| Fault::Retry(self.describe(&lost)))
    }

    fn describe(&self, lost: &ConnectionLost) -> String {
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
        transport::write(&mut stream, &frame, until).map_err(ConnectionLost::Io)?;
        self.stream = Some(stream);
        Ok(Sent { version, correlation: self.correlation, until })
    }

    fn read<R: Request>(&mut self, sent: &Sent, frame: &mut Frame) -> Result<R::Answer, ConnectionLost> {
        let mut stream = self.stream.take().ok_or(ConnectionLost::Closed)?;
        match transport::read(&mut stream, self.limits.answer_bytes_max, sent.until, frame) {
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
