//! What answers at an address that was given for a Redis server by mistake: a web server, a TLS port, Kafka.
//! It is asked on connections of its own, after its first answer to pandad was none.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use redis_crate::Value;

use super::server::{RedisServer, ServerAddress};
use crate::resolver;

/// How long each connecting, and each answer, may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// How many bytes of an answer are looked at.
const ANSWER_BYTES_MAX: usize = 256;
/// How many bytes of an answer that is not known the log shows.
const SHOWN_BYTES_MAX: usize = 40;
const REDIS_PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// A ClientHello of TLS 1.2 with one cipher suite. A TLS port answers it, if only by an alert.
const TLS_HELLO: &[u8] = &[
    22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3, 80, 65, 78, 68, 65, 68, 80, 65, 78, 68, 65, 68, 80, 65, 78, 68, 65,
    68, 80, 65, 78, 68, 65, 68, 80, 65, 78, 68, 65, 68, 80, 65, 0, 0, 2, 0xc0, 0x2f, 1, 0,
];
/// ApiVersions of version 0 with the correlation id `PAND`, and no client id.
const KAFKA_API_VERSIONS: &[u8] = &[0, 0, 0, 10, 0, 18, 0, 0, b'P', b'A', b'N', b'D', 0xff, 0xff];
const RIGHT_ADDRESS: &str = "set the host and the port of the Redis server in the .inv";

/// Both kinds of stream.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What answers there, and what to do; `None` if that is not known.
pub(super) fn look(server: &RedisServer) -> Option<String> {
    let answer = ask(server, REDIS_PING)?;
    if !answer.is_empty() {
        return name(&answer);
    }
    // It closed the connection, and so waits for something else.
    let answer = ask(server, TLS_HELLO)?;
    if is_tls(&answer) {
        return name(&answer);
    }
    let answer = ask(server, KAFKA_API_VERSIONS)?;
    let is_kafka = answer.get(4..8) == Some(b"PAND");
    is_kafka.then(|| format!("this is a Kafka broker: {RIGHT_ADDRESS}"))
}

/// What the reply to ROLE says of a Sentinel, which knows PING and hardly any other command; `None` if it is
/// that of another server.
pub(super) fn name_sentinel(role: &[Value]) -> Option<String> {
    if role.first() != Some(&Value::BulkString(b"sentinel".to_vec())) {
        return None;
    }
    let first = match role.get(1) {
        Some(Value::Array(names)) => names.first(),
        _ => None,
    };
    let watched = match first {
        Some(Value::BulkString(name)) => format!(" (\"{}\")", name.escape_ascii()),
        _ => String::new(),
    };
    Some(format!(
        "this is a Redis Sentinel, which holds no keys: set host and port of the master that it \
         watches{watched} in the .inv"
    ))
}

/// Names a server by its first bytes. `None`: it is a Redis, as far as these show.
fn name(answer: &[u8]) -> Option<String> {
    let starts = |start: &[u8]| answer.starts_with(start);
    let holds = |part: &[u8]| answer.windows(part.len()).any(|window| window == part);
    let what = match answer {
        [b'+' | b'-', ..] => return None,
        _ if is_tls(answer) => {
            let remedy = "set ['tls']='yes' of this server in the .inv";
            return Some(format!("this port speaks TLS, and pandad was not told so: {remedy}"));
        }
        _ if starts(b"HTTP/") || holds(b"<html") || holds(b"<HTML") || holds(b"<!DOCTYPE") => "a web server",
        _ if starts(b"SSH-") => "an SSH server",
        _ if starts(b"AMQP") => "a RabbitMQ server",
        _ if starts(b"220") => "a mail or FTP server",
        _ if starts(b"ERROR\r\n") => "a memcached server",
        // The greeting of MySQL: three bytes of length, number 0, protocol 10.
        [_, _, 0, 0, 10, ..] => "a MySQL server",
        _ => {
            let shown = answer.get(..SHOWN_BYTES_MAX).unwrap_or(answer).escape_ascii();
            return Some(format!("this is no Redis, its answer begins with \"{shown}\": {RIGHT_ADDRESS}"));
        }
    };
    Some(format!("this is {what}: {RIGHT_ADDRESS}"))
}

/// Whether these bytes begin an alert or a handshake of TLS.
fn is_tls(answer: &[u8]) -> bool {
    matches!(answer, [21 | 22, 3, 0..=4, ..])
}

/// What comes first on a new connection on which this was sent, empty if it is closed. `None`: nothing came
/// in time, or there is no connection.
fn ask(server: &RedisServer, question: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect(server)?;
    // Some servers speak first, and close the connection on which something is sent.
    let _closed = stream.write_all(question);
    let mut answer = [0; ANSWER_BYTES_MAX];
    match stream.read(&mut answer) {
        Ok(count) => answer.get(..count).map(<[u8]>::to_vec),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(Vec::new()),
        Err(_) => None,
    }
}

#[allow(clippy::disallowed_methods, reason = "whatever it is, it is not the broker of the job")]
fn connect(server: &RedisServer) -> Option<Box<dyn Stream>> {
    match &server.address {
        ServerAddress::Tcp(host, port) => {
            let found = resolver::resolve(host, *port, LOOK_TIMEOUT).ok()?;
            let until = Instant::now() + LOOK_TIMEOUT;
            let stream =
                resolver::try_each(&found, until, |one, share| TcpStream::connect_timeout(&one, share));
            let stream = stream.ok()?;
            stream.set_read_timeout(Some(LOOK_TIMEOUT)).ok()?;
            stream.set_write_timeout(Some(LOOK_TIMEOUT)).ok()?;
            Some(Box::new(stream))
        }
        ServerAddress::Unix(path) => {
            let stream = UnixStream::connect(path).ok()?;
            stream.set_read_timeout(Some(LOOK_TIMEOUT)).ok()?;
            stream.set_write_timeout(Some(LOOK_TIMEOUT)).ok()?;
            Some(Box::new(stream))
        }
    }
}

#[cfg(test)]
mod tests;
