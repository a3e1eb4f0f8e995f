//! TLS as the configuration asks for it: whom to trust, and which certificate to show.

mod files;
mod presented;
mod verifier;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::refusal;
use super::stream::NetStream;
use files::FileStamps;

/// How many bytes a SHA-256 has.
pub const PIN_BYTES: usize = 32;

/// Whom to trust, and which certificate to show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// The file with the certificates of the authorities that are trusted; empty: the system's.
    pub ca: PathBuf,
    /// The file with the client's certificate; empty: none.
    pub certificate: PathBuf,
    /// The file with the key of that certificate.
    pub key: PathBuf,
    /// The name that the server's certificate must be made out to; empty: the host's name or address.
    pub name: String,
    /// Whether the certificate may be made out to any name.
    pub any_name: bool,
    /// The SHA-256 of the server's certificate, which then needs no authority, no name and no date.
    pub pin: Option<[u8; PIN_BYTES]>,
}

/// Encrypts streams to the servers of one section of the configuration. Clones share what was read from the
/// files.
#[derive(Clone)]
pub struct TlsClient {
    settings: Arc<TlsSettings>,
    loaded: Arc<Mutex<Option<LoadedFiles>>>,
}

/// What was read from the files as they were then.
type LoadedFiles = (FileStamps, Arc<ClientConfig>);

impl TlsClient {
    /// Reads no file yet.
    pub fn new(settings: TlsSettings) -> Self {
        Self { settings: Arc::new(settings), loaded: Arc::default() }
    }

    /// Encrypts the stream to this host, on which nothing was sent yet.
    ///
    /// # Errors
    /// `TimedOut`; otherwise a sentence that says who refuses whom, why, and what to do.
    pub fn secure(&self, stream: NetStream, host: &str, until: Instant) -> io::Result<NetStream> {
        let config = self.config()?;
        let name = if self.settings.name.is_empty() { host } else { &self.settings.name };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| io::Error::other(format!("{name} is no name that a certificate can have")))?;
        let shows_certificate = config.client_auth_cert_resolver.has_certs();
        stream.secure(config, name, until).map_err(|error| refusal::of_handshake(error, shows_certificate))
    }

    /// The files are read again once one of these has changed.
    fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let settings = &self.settings;
        let stamps = FileStamps::of(settings)?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some((known, config)) if *known == stamps => Ok(Arc::clone(config)),
            _ => {
                let config = files::load(settings, stamps.ca())?;
                *loaded = Some((stamps, Arc::clone(&config)));
                Ok(config)
            }
        }
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsClient").field(&self.settings).finish()
    }
}
