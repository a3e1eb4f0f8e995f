//! Asks another pandad of this machine.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use super::peer::is_trusted;
use super::stream::HttpStream;

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The body of the answer to `GET path` at a name of the abstract namespace; `None` if nobody listens there.
///
/// # Errors
/// A text: the other one belongs to another user, does not answer in time, or does not answer this.
pub fn get(name: &str, path: &str, timeout: Duration) -> Result<Option<String>, String> {
    let until = Instant::now() + timeout;
    let address = SocketAddr::from_abstract_name(name).map_err(|error| error.to_string())?;
    let socket = match UnixStream::connect_addr(&address) {
        Ok(socket) => socket,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !is_trusted(&socket) {
        return Err("it belongs to another user".to_owned());
    }
    let mut stream = HttpStream::Unix(socket);
    let answer = exchange(&mut stream, path, until).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer within {} s", timeout.as_secs())
        }
        _ => error.to_string(),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is not whole")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(Some(body.to_owned())),
        _ => Err(head.lines().next().unwrap_or_default().to_owned()),
    }
}

fn exchange(stream: &mut HttpStream, path: &str, until: Instant) -> io::Result<String> {
    let rest = || Some(until.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero());
    let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
    stream.set_timeout(rest().ok_or_else(timed_out)?)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        stream.set_timeout(rest().ok_or_else(timed_out)?)?;
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
    }
    String::from_utf8(answer).map_err(|_| io::Error::other("the answer is no text"))
}
