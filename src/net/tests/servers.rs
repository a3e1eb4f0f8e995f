//! Servers of one connection each, and the streams to them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

use crate::net::NetStream;
use crate::tls::provider;

/// Long enough for a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(30);

pub(super) fn soon() -> Instant {
    Instant::now() + LONG
}

/// What a stream runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    Unix,
    Tls12,
    Tls13,
}

pub(super) const WAYS: [Way; 4] = [Way::Tcp, Way::Unix, Way::Tls12, Way::Tls13];
pub(super) const TLS_WAYS: [Way; 2] = [Way::Tls12, Way::Tls13];

/// The server's end of the connection.
pub(super) trait Served: Read + Write + Send {
    /// Closes the connection without a word of TLS.
    fn cut(&mut self);
    /// Says that no more will come, which only TLS can.
    fn announce_end(&mut self) {}
    /// The bytes that make up this text on the wire.
    fn seal(&mut self, text: &[u8]) -> Vec<u8>;
    /// Puts bytes on the wire as they are.
    fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Served for TcpStream {
    fn cut(&mut self) {
        self.shutdown(Shutdown::Both).unwrap();
    }

    fn seal(&mut self, text: &[u8]) -> Vec<u8> {
        text.to_vec()
    }

    fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

impl Served for UnixStream {
    fn cut(&mut self) {
        self.shutdown(Shutdown::Both).unwrap();
    }

    fn seal(&mut self, text: &[u8]) -> Vec<u8> {
        text.to_vec()
    }

    fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

impl Served for StreamOwned<ServerConnection, TcpStream> {
    fn cut(&mut self) {
        self.sock.shutdown(Shutdown::Both).unwrap();
    }

    fn announce_end(&mut self) {
        self.conn.send_close_notify();
        self.conn.write_tls(&mut self.sock).unwrap();
    }

    fn seal(&mut self, text: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.conn.writer().write_all(text).unwrap();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut sealed).unwrap();
        }
        sealed
    }

    fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sock.write_all(bytes)
    }
}

pub(super) fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tls").join(name)
}

fn roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path("ca-p256.pem")).unwrap()).unwrap();
    Arc::new(roots)
}

pub(super) fn client_config(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    Arc::new(builder.with_root_certificates(roots()).with_no_client_auth())
}

pub(super) fn server_config(demands_certificate: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if demands_certificate {
        builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(), provider).build().unwrap(),
        )
    } else {
        builder.with_no_client_auth()
    };
    let certificate = CertificateDer::from_pem_file(path("p256.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(path("p256.key")).unwrap();
    Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
}

pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Both ends of a TCP connection.
pub(super) fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    (client, server)
}

/// A stream to a server that runs `serve` in a thread.
pub(super) fn serve<T: Send + 'static>(
    way: Way,
    serve: impl FnOnce(&mut dyn Served) -> T + Send + 'static,
) -> (NetStream, JoinHandle<T>) {
    let version = match way {
        Way::Tcp => {
            let (client, mut server) = tcp();
            return (NetStream::tcp(client), std::thread::spawn(move || serve(&mut server)));
        }
        Way::Unix => {
            let (client, mut server) = UnixStream::pair().unwrap();
            return (NetStream::unix(client), std::thread::spawn(move || serve(&mut server)));
        }
        Way::Tls12 => &rustls::version::TLS12,
        Way::Tls13 => &rustls::version::TLS13,
    };
    let (client, server) = tcp();
    let thread = std::thread::spawn(move || {
        let mut connection = ServerConnection::new(server_config(false)).unwrap();
        let mut server = server;
        while connection.is_handshaking() {
            connection.complete_io(&mut server).unwrap();
        }
        // The tickets that come after the handshake.
        while connection.wants_write() {
            connection.write_tls(&mut server).unwrap();
        }
        serve(&mut StreamOwned::new(connection, server))
    });
    let stream = NetStream::tcp(client).secure(client_config(version), name(), soon()).unwrap();
    assert_eq!(stream.tls().unwrap().protocol_version(), Some(version.version));
    (stream, thread)
}
