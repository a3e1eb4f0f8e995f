//! One connection, over TCP or a Unix socket.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub enum HttpStream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl HttpStream {
    /// How long one read or write may take from now on. It must not be zero.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Some(timeout);
        match self {
            HttpStream::Tcp(stream) => {
                stream.set_read_timeout(timeout).and_then(|()| stream.set_write_timeout(timeout))
            }
            HttpStream::Unix(stream) => {
                stream.set_read_timeout(timeout).and_then(|()| stream.set_write_timeout(timeout))
            }
        }
    }

    /// The address at which the connection came in; `None` for a Unix socket.
    pub(super) fn local_address(&self) -> Option<IpAddr> {
        match self {
            HttpStream::Tcp(stream) => stream.local_addr().ok().map(|address| address.ip()),
            HttpStream::Unix(_) => None,
        }
    }

    /// Says that nothing more comes.
    pub(super) fn end(&self) {
        // If this fails, the peer is gone already.
        let _gone = match self {
            HttpStream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            HttpStream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl Read for HttpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            HttpStream::Tcp(stream) => stream.read(buffer),
            HttpStream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for HttpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            HttpStream::Tcp(stream) => stream.write(bytes),
            HttpStream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
