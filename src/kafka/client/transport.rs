//! Bytes over one TCP connection, each step within a time limit.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::address::BrokerAddress;
use crate::kafka::protocol::frame::Frame;
use crate::resolver;
use crate::time_limit::time_left;

/// Why a connection cannot be used any more.
#[derive(Debug)]
pub(super) enum ConnectionLost {
    /// The connection failed earlier.
    Closed,
    /// Not a single byte came within the time limit.
    Silent,
    Io(io::Error),
    NotKafka(String),
    /// The request is too long for the protocol.
    TooLong,
}

/// Tries the addresses of the host name in turn, see [`resolver::try_each`].
#[allow(clippy::disallowed_methods, reason = "the door itself")]
pub(super) fn connect(address: &BrokerAddress, limit: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + limit;
    let addresses = resolver::resolve(&address.host, address.port, limit)?;
    let stream = resolver::try_each(&addresses, until, |one, share| TcpStream::connect_timeout(&one, share))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) fn write(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(time_left(until)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads one answer, without its length.
pub(super) fn read(
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
    // The socket's timeout is set once, not for each part of the answer. So a read can take up to twice the
    // time limit.
    stream
        .set_read_timeout(Some(time_left(until).map_err(ConnectionLost::Io)?))
        .map_err(ConnectionLost::Io)?;
    let some = |room: &mut [u8]| loop {
        time_left(until)?;
        match stream.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    };
    frame.fill(wanted, some).map_err(ConnectionLost::Io)
}

/// Fills the buffer. An error comes with the number of bytes that were read before it.
fn fill(stream: &mut TcpStream, room: &mut [u8], until: Instant) -> Result<(), (usize, io::Error)> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let some = time_left(until)
            .and_then(|left| stream.set_read_timeout(Some(left)))
            .and_then(|()| stream.read(rest));
        match some {
            Ok(0) => return Err((filled, io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(())
}

pub(super) fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
