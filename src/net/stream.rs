//! The stream: plain or encrypted, to its user it is the same.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::refusal;
use super::socket::Socket;
use super::tls_session::TlsSession;

/// A connection to a server. After an error other than a read's `TimedOut` or
/// `Interrupted` it must not be used any more.
#[derive(Debug)]
pub struct NetStream {
    socket: Socket,
    tls: Option<Box<TlsSession>>,
    /// Whether the client has a certificate to show.
    shows_certificate: bool,
}

impl NetStream {
    /// A plain stream over this connected socket, which must be blocking.
    pub fn tcp(stream: TcpStream) -> Self {
        Self { socket: Socket::tcp(stream), tls: None, shows_certificate: false }
    }

    /// As [`Self::tcp`], for a Unix socket.
    pub fn unix(stream: UnixStream) -> Self {
        Self { socket: Socket::unix(stream), tls: None, shows_certificate: false }
    }

    /// Encrypts the stream, on which nothing was sent yet. `name` is the one that the server's certificate
    /// must be made out to; a host name is also sent to the server (SNI).
    ///
    /// # Errors
    /// `InvalidData` with a [`rustls::Error`]: why one side refuses the other. `TimedOut`; `UnexpectedEof`:
    /// the server closed the connection, as one that speaks no TLS does; others are those of the socket.
    pub fn secure(
        mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        until: Instant,
    ) -> io::Result<Self> {
        self.shows_certificate = config.client_auth_cert_resolver.has_certs();
        let session = TlsSession::open(&mut self.socket, config, name, until)?;
        self.tls = Some(Box::new(session));
        Ok(self)
    }

    /// What was agreed on with the server; `None` for a plain stream.
    pub fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_deref().map(TlsSession::connection)
    }

    /// Reads what there is into `room`, or waits for the first bytes until that moment. 0: no more will come.
    ///
    /// # Errors
    /// `TimedOut`: nothing came; nothing is lost by it, even of a record that has come in part.
    /// `Interrupted`: the same, and the process was stopped meanwhile, so the bytes may have come.
    /// `UnexpectedEof`: the connection was cut though the server had not said that no more would come, which
    /// only TLS can tell. `InvalidData` with a [`rustls::Error`]: what came is not the server's, or the
    /// server refuses the client's certificate, which in TLS 1.3 comes this late.
    pub fn read(&mut self, room: &mut [u8], until: Instant) -> io::Result<usize> {
        match &mut self.tls {
            Some(session) => session
                .read(&mut self.socket, room, until)
                .map_err(|error| refusal::of_answer(error, self.shows_certificate)),
            None => self.socket.read(room, until),
        }
    }

    /// Writes all of these bytes, waiting for room until that moment.
    ///
    /// # Errors
    /// `TimedOut`: some may have been sent. Others are those of the socket.
    pub fn write_all(&mut self, mut bytes: &[u8], until: Instant) -> io::Result<()> {
        if let Some(session) = &mut self.tls {
            return session
                .write_all(&mut self.socket, bytes, until)
                .map_err(|error| refusal::of_answer(error, self.shows_certificate));
        }
        while !bytes.is_empty() {
            let written = self.socket.write(bytes, until)?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Whether a read would return at once, waiting for that until that moment. Messages of TLS itself do
    /// not count.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn wait_readable(&mut self, until: Instant) -> io::Result<bool> {
        match &mut self.tls {
            Some(session) => session.wait_readable(&mut self.socket, until),
            None => self.socket.wait_readable(until),
        }
    }

    /// The stream for code that reads and writes without naming a moment. All its waits end at this one.
    pub fn by(&mut self, until: Instant) -> TimedStream<'_> {
        TimedStream { stream: self, until }
    }
}

/// Tells the server, as far as that can be done at once.
impl Drop for NetStream {
    fn drop(&mut self) {
        if let Some(session) = &mut self.tls {
            session.close(&mut self.socket);
        }
    }
}

/// A stream on which all waits end at the same moment.
#[derive(Debug)]
pub struct TimedStream<'a> {
    stream: &'a mut NetStream,
    until: Instant,
}

impl Read for TimedStream<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.stream.read(room, self.until)
    }
}

impl Write for TimedStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write_all(bytes, self.until).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
