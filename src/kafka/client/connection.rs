//! One connection to one broker: one request at a time, then its answer, each within a time
//! limit.
//!
//! After any fault the connection is closed, because a late answer must never be taken for the answer
//! to a later request.

mod detect_09;
mod patient;

use std::io;
use std::time::{Duration, Instant};

pub(super) use detect_09::ApiVersionsAnswer;

use super::address::BrokerAddress;
use super::transport::{self, ConnectionLost};
use super::versions_seen::KnownVersions;
use crate::error::Fault;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::{ApiVersions, Request};
use crate::kafka::protocol::versions::Versions;
use crate::kafka::protocol::wire::{TooLong, WireReader, WireWriter};
use crate::net::NetStream;

/// A broker that throttles for longer is asked again all the same.
const MUTED_MAX: Duration = Duration::from_secs(3600);

/// Time limits, and the largest answer.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// The time limit for connecting, over all addresses of the broker's host name.
    pub connect_timeout: Duration,
    /// The time limit for the answer to ApiVersions, which Kafka 0.9 never sends. An answer that comes a
    /// little later is still used.
    pub versions_timeout: Duration,
    /// The time limit for the whole answer to a request.
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

/// A connection to a broker whose versions are known. The [`super::dialer::Dialer`] opens it.
#[derive(Debug)]
pub struct Connection {
    address: BrokerAddress,
    client_id: String,
    limits: ConnectionLimits,
    known: KnownVersions,
    correlation: i32,
    /// The stream is taken out during each step and put back after it, but not after a fault. So after a
    /// fault the connection cannot be used again.
    stream: Option<NetStream>,
    used: Instant,
    /// Until then the broker reads nothing from this connection: the client has used up its quota.
    muted_until: Option<Instant>,
}

impl Connection {
    /// A connection over this new stream. The caller knows the broker's versions already, or asks for them
    /// next.
    pub(super) fn new(
        stream: NetStream,
        address: &BrokerAddress,
        client_id: &str,
        limits: ConnectionLimits,
        known: KnownVersions,
    ) -> Self {
        Self {
            address: address.clone(),
            client_id: client_id.to_owned(),
            limits,
            known,
            correlation: 0,
            stream: Some(stream),
            used: Instant::now(),
            muted_until: None,
        }
    }

    /// The address of the broker.
    pub fn address(&self) -> &BrokerAddress {
        &self.address
    }

    /// The versions that the broker supports.
    pub fn versions(&self) -> &Versions {
        &self.known.versions
    }

    /// The versions that the broker supports, and when it was asked for them.
    pub(super) fn known(&self) -> &KnownVersions {
        &self.known
    }

    /// How long ago the last answer came.
    pub fn idle(&self) -> Duration {
        self.used.elapsed()
    }

    /// How long the broker reads nothing from this connection, because the client has used up its quota.
    /// [`Self::send`] waits for so long.
    pub fn muted_for(&self) -> Duration {
        let now = Instant::now();
        self.muted_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Sends a request in the highest version that both sides support, and waits for the answer.
    ///
    /// # Errors
    /// `Retry`: the connection failed and cannot be used again. `Fatal`: the broker and pandad have no
    /// version of the request in common, or the request is too long for the protocol.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Answer, Fault> {
        let sent = self.send(request, Duration::ZERO)?;
        self.receive::<R>(sent, &mut Frame::default())
    }

    /// Sends a request. Its answer must be taken with [`Self::receive`] before the next request is sent.
    /// `patience` is added to the time limit of the answer.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn send<R: Request>(&mut self, request: &R, patience: Duration) -> Result<Sent, Fault> {
        let version = self.known.versions.choose::<R>();
        let version = version.map_err(|why| Fault::Fatal(format!("{}: {why}", self.address)))?;
        // An earlier request would only wait at the broker, and its answer would be missed.
        std::thread::sleep(self.muted_for());
        let sent = self.write(request, version, self.limits.answer_timeout + patience);
        sent.map_err(|lost| match lost {
            ConnectionLost::TooLong => Fault::Fatal(self.describe(&lost)),
            _ => Fault::Retry(self.describe(&lost)),
        })
    }

    /// Waits for the answer to the request that was sent. The bytes of the answer are in `frame`
    /// then.
    ///
    /// # Errors
    /// `Retry`: the connection failed and cannot be used again.
    pub fn receive<R: Request>(&mut self, sent: Sent, frame: &mut Frame) -> Result<R::Answer, Fault> {
        self.read::<R>(&sent, frame).map_err(|lost| Fault::Retry(self.describe(&lost)))
    }

    fn describe(&self, lost: &ConnectionLost) -> String {
        let address = &self.address;
        match lost {
            ConnectionLost::Closed => format!("the connection to {address} was lost before"),
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
        stream.write_all(&frame, until).map_err(ConnectionLost::Io)?;
        self.stream = Some(stream);
        Ok(Sent { version, correlation: self.correlation, until })
    }

    fn read<R: Request>(&mut self, sent: &Sent, frame: &mut Frame) -> Result<R::Answer, ConnectionLost> {
        let mut stream = self.stream.take().ok_or(ConnectionLost::Closed)?;
        match transport::read(&mut stream, self.limits.answer_bytes_max, sent.until, frame) {
            // Not a single byte came, so the answer may still come.
            Err(ConnectionLost::Silent) if R::KEY == ApiVersions::KEY => {
                self.stream = Some(stream);
                return Err(ConnectionLost::Silent);
            }
            done => done?,
        }
        let mut reader = WireReader::new(frame.bytes());
        // The correlation id is checked before anything else of the answer is read.
        if reader.i32() != Ok(sent.correlation) {
            return Err(ConnectionLost::NotKafka("it answers another request".to_owned()));
        }
        let header = match sent.version >= R::FLEXIBLE_SINCE {
            true => reader.skip_tagged_fields(),
            false => Ok(()),
        };
        let body = header.map(|()| reader.left());
        let answer = body.and_then(|_| R::read(sent.version, &mut reader));
        let answer = answer.and_then(|answer| reader.end().map(|()| answer));
        let answer =
            answer.map_err(|why| ConnectionLost::NotKafka(format!("its answer to {}: {why}", R::NAME)))?;
        self.stream = Some(stream);
        self.used = Instant::now();
        let body = frame.bytes().get(frame.bytes().len() - body.unwrap_or(0)..).unwrap_or_default();
        self.muted_until = muted_for::<R>(sent.version, body).map(|time| self.used + time);
        Ok(answer)
    }
}

/// How long a broker throttles the client, by the body of its answer, which was read without fault.
fn muted_for<R: Request>(version: i16, body: &[u8]) -> Option<Duration> {
    if version < R::THROTTLES_SINCE {
        return None;
    }
    let millis = body.first_chunk().copied().map(i32::from_be_bytes)?;
    let millis = u64::try_from(millis).ok().filter(|millis| *millis > 0)?;
    Some(Duration::from_millis(millis).min(MUTED_MAX))
}

/// A request that was sent and is not answered yet.
#[derive(Debug)]
#[must_use]
pub struct Sent {
    version: i16,
    correlation: i32,
    until: Instant,
}

impl Sent {
    /// Waits for the answer for so long from now on.
    pub fn extend(&mut self, limit: Duration) {
        self.until = Instant::now() + limit;
    }

    /// Whether the time for the answer is over.
    pub fn is_overdue(&self) -> bool {
        Instant::now() >= self.until
    }

    /// The version in which the request was sent.
    pub fn version(&self) -> i16 {
        self.version
    }
}

/// Length, header and body of a request.
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
    if version >= R::FLEXIBLE_SINCE {
        writer.no_tagged_fields();
    }
    request.write(version, &mut writer);
    let body = writer.finish()?;
    let length = i32::try_from(body.len()).map_err(|_| TooLong)?;
    Ok([length.to_be_bytes().as_slice(), &body].concat())
}
