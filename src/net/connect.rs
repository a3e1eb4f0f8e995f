//! Opens sockets to servers, each within a time limit.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::stream::NetStream;
use crate::resolver;
use crate::time_limit::time_left;

/// Tries the addresses of the host name in turn, see [`resolver::try_each`].
///
/// # Errors
/// The name has no address, or that of the last address.
#[allow(clippy::disallowed_methods, reason = "the door itself")]
pub fn connect_tcp(host: &str, port: u16, limit: Duration) -> io::Result<NetStream> {
    let until = Instant::now() + limit;
    let addresses = resolver::resolve(host, port, limit)?;
    let stream = resolver::try_each(&addresses, until, |one, share| TcpStream::connect_timeout(&one, share))?;
    stream.set_nodelay(true)?;
    Ok(NetStream::tcp(stream))
}

/// Connects to a Unix socket. A server that takes no connections lets them wait, and then only the limit
/// ends the wait.
///
/// # Errors
/// `TimedOut`; others are those of the system.
pub fn connect_unix(path: &Path, limit: Duration) -> io::Result<NetStream> {
    let until = Instant::now() + limit;
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    loop {
        // The kernel's timeout of a write is that of connecting, too.
        set_socket_timeout(&socket, Timeout::Send, Some(time_left(until)?))?;
        match connect(&socket, &address) {
            Ok(()) => return Ok(NetStream::unix(UnixStream::from(socket))),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
}
