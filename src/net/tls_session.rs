//! TLS over a socket: the handshake, then bytes in both directions.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error};

use super::socket::Socket;

/// How long an answer to a message of TLS itself may take while nobody waits for it.
const RECEIVE_LIMIT: Duration = Duration::from_secs(1);

/// The client's side of a connection. It owns no bytes of an answer but those of the record that is read,
/// which rustls keeps.
#[derive(Debug)]
pub(super) struct TlsSession {
    connection: ClientConnection,
    /// Why nothing more can be read. Bytes that came before can be.
    failed: Option<Error>,
    /// The socket has no more bytes.
    ended: bool,
}

impl TlsSession {
    /// Shakes hands with the server.
    pub(super) fn open(
        socket: &mut Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        until: Instant,
    ) -> io::Result<Self> {
        let connection = ClientConnection::new(config, name).map_err(invalid)?;
        let mut session = Self { connection, failed: None, ended: false };
        while session.connection.is_handshaking() {
            session.flush(socket, until)?;
            if session.connection.is_handshaking() {
                session.receive(socket, until)?;
            }
            // The end of the handshake and a wrong record may come together: that record is for the reader.
            if session.connection.is_handshaking()
                && let Some(failed) = session.failed.take()
            {
                // The server learns why.
                drop(session.flush(socket, until));
                return Err(invalid(failed));
            }
        }
        session.flush(socket, until)?;
        Ok(session)
    }

    pub(super) fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// Reads what there is, or waits for the first bytes until that moment. 0: the server has said that no
    /// more will come.
    pub(super) fn read(&mut self, socket: &mut Socket, room: &mut [u8], until: Instant) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.receive_or_fail(socket, until)?;
        }
    }

    /// Whether [`Self::read`] would return at once, at the latest at that moment.
    pub(super) fn wait_readable(&mut self, socket: &mut Socket, until: Instant) -> io::Result<bool> {
        while !self.read_is_ready() {
            if !socket.wait_readable(until)? {
                return Ok(false);
            }
            // There is something to read, so this does not wait for it, even if the time is over.
            self.receive_or_fail(socket, until.max(Instant::now() + RECEIVE_LIMIT))?;
        }
        Ok(true)
    }

    pub(super) fn write_all(
        &mut self,
        socket: &mut Socket,
        mut bytes: &[u8],
        until: Instant,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            // rustls takes as much as it keeps at most, and encrypts that.
            let taken = self.connection.writer().write(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.flush(socket, until)?;
        }
        Ok(())
    }

    /// Tells the server that no more will come, if that can be done at once.
    pub(super) fn close(&mut self, socket: &mut Socket) {
        self.connection.send_close_notify();
        if socket.stop_waiting().is_ok() {
            // The server finds out about the end without it, too.
            drop(self.connection.write_tls(&mut AtOnce(socket)));
        }
    }

    fn read_is_ready(&mut self) -> bool {
        if self.ended || self.failed.is_some() {
            return true;
        }
        // Nothing is left to process, so this only says what is there.
        let state = self.connection.process_new_packets();
        state.map_or(true, |state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed())
    }

    fn receive_or_fail(&mut self, socket: &mut Socket, until: Instant) -> io::Result<()> {
        if let Some(failed) = &self.failed {
            return Err(invalid(failed.clone()));
        }
        // An answer to the server's request for new keys, for instance.
        self.flush(socket, until)?;
        self.receive(socket, until)
    }

    /// Takes in what the server sent. A record may be complete then, or not.
    fn receive(&mut self, socket: &mut Socket, until: Instant) -> io::Result<()> {
        self.ended = self.connection.read_tls(&mut Timed { socket, until })? == 0;
        match self.connection.process_new_packets() {
            Ok(_) if self.ended && self.connection.is_handshaking() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.failed = Some(error);
                Ok(())
            }
        }
    }

    fn flush(&mut self, socket: &mut Socket, until: Instant) -> io::Result<()> {
        while self.connection.wants_write() {
            if let Err(error) = self.connection.write_tls(&mut Timed { socket, until }) {
                return Err(self.last_words(socket).unwrap_or(error));
            }
        }
        Ok(())
    }

    /// Why the server closed the connection, if it said so before: a write only says that it is closed.
    fn last_words(&mut self, socket: &mut Socket) -> Option<io::Error> {
        let now = Instant::now();
        while self.failed.is_none() && !self.ended && socket.wait_readable(now).ok()? {
            self.receive(socket, now + RECEIVE_LIMIT).ok()?;
        }
        self.failed.clone().map(invalid)
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The socket as rustls reads and writes it.
struct Timed<'a> {
    socket: &'a mut Socket,
    until: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.socket.read(room, self.until)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes, self.until)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket, without waiting.
struct AtOnce<'a>(&'a mut Socket);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_at_once(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
