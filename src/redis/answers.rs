//! Commands and answers on one stream, each within a time limit.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use redis_crate::{Parser, Value};

use super::error::RedisError;
use super::server::{RedisServer, ServerAddress};
use crate::net::{self, NetStream};

/// How long writing a command may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that each byte of an answer adds to its limit: 100 kB/s. A long answer on a slow line has its
/// time, and a server that sends a byte now and then holds nobody up.
const TIME_PER_BYTE: Duration = Duration::from_micros(10);

/// A stream to a server, and the answer that has come in part.
pub(super) struct AnswerStream {
    stream: NetStream,
    parser: Parser,
}

impl AnswerStream {
    /// Connects, without a login.
    pub(super) fn open(server: &RedisServer) -> Result<Self, RedisError> {
        let (limit, until) = (server.connect_timeout, Instant::now() + server.connect_timeout);
        let mut stream = match &server.address {
            ServerAddress::Tcp(host, port) => net::connect_tcp(host, *port, limit),
            ServerAddress::Unix(path) => net::connect_unix(path, limit),
        }?;
        if let (Some(tls), ServerAddress::Tcp(host, _)) = (&server.tls, &server.address) {
            stream = tls.secure(stream, host, until)?;
        }
        Ok(Self { stream, parser: Parser::new() })
    }

    /// Sends commands.
    pub(super) fn send(&mut self, commands: &[u8]) -> Result<(), RedisError> {
        self.stream.write_all(commands, Instant::now() + WRITE_TIMEOUT).map_err(RedisError::from)
    }

    /// The next answer, which must begin within this limit. The bytes of an answer that is late are kept.
    pub(super) fn receive(&mut self, limit: Duration) -> Result<Value, RedisError> {
        let answer = OneAnswer { stream: &mut self.stream, until: Instant::now() + limit };
        self.parser.parse_value(answer).map_err(RedisError::from)
    }
}

/// The bytes of one answer.
struct OneAnswer<'a> {
    stream: &'a mut NetStream,
    until: Instant,
}

impl Read for OneAnswer<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(room, self.until)?;
        self.until += TIME_PER_BYTE * u32::try_from(count).unwrap_or(u32::MAX);
        Ok(count)
    }
}
