//! Answers from the stream to a broker, each within a time limit.

use std::io;
use std::time::Instant;

use crate::kafka::protocol::frame::Frame;
use crate::net::{self, NetStream};

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

/// Reads one answer, without its length.
pub(super) fn read(
    stream: &mut NetStream,
    largest: usize,
    until: Instant,
    frame: &mut Frame,
) -> Result<(), ConnectionLost> {
    let mut length = [0; 4];
    match fill(stream, &mut length, until) {
        Ok(()) => {}
        Err((0, error)) if error.kind() == io::ErrorKind::TimedOut => return Err(ConnectionLost::Silent),
        Err((_, error)) => return Err(ConnectionLost::Io(error)),
    }
    let length = i32::from_be_bytes(length);
    let wanted = usize::try_from(length).ok().filter(|wanted| *wanted <= largest);
    let Some(wanted) = wanted else {
        // The first bytes of an alert of TLS, or of a handshake.
        if let [0x15 | 0x16, 3, ..] = length.to_be_bytes() {
            return Err(ConnectionLost::NotKafka(net::SPEAKS_TLS.to_owned()));
        }
        return Err(ConnectionLost::NotKafka(format!("an answer of {length} bytes")));
    };
    frame.fill(wanted, |room| stream.read(room, until)).map_err(ConnectionLost::Io)
}

/// Fills the buffer. An error comes with the number of bytes that were read before it.
fn fill(stream: &mut NetStream, room: &mut [u8], until: Instant) -> Result<(), (usize, io::Error)> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest, until) {
            Ok(0) => return Err((filled, io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(())
}
