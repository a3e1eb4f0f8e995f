//! A client and a server in memory, and the certificates of tests/vectors/tls.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, ConfigSide, Connection, Error, RootCertStore,
    ServerConfig, ServerConnection, SupportedCipherSuite, WantsVerifier, WantsVersions,
};

use crate::tls::provider;

pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tls").join(name)
}

pub(super) fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path(&format!("{name}.pem"))).expect(name)
}

pub(super) fn key(name: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(path(&format!("{name}.key"))).expect(name)
}

pub(super) fn roots(name: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(name)).expect(name);
    Arc::new(roots)
}

/// The provider with this suite and this group only.
pub(super) fn only(suite: SupportedCipherSuite, group: &'static dyn SupportedKxGroup) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: vec![suite], kx_groups: vec![group], ..provider() })
}

/// Both versions, or the one that the provider's only suite belongs to.
fn with_versions<S: ConfigSide>(
    builder: ConfigBuilder<S, WantsVersions>,
    provider: &CryptoProvider,
) -> ConfigBuilder<S, WantsVerifier> {
    let versions: Vec<_> = rustls::ALL_VERSIONS
        .iter()
        .copied()
        .filter(|version| provider.cipher_suites.iter().any(|suite| suite.version() == *version))
        .collect();
    builder.with_protocol_versions(&versions).unwrap()
}

/// A client that believes `authority` and shows the certificate `own`.
pub(super) fn client(provider: &Arc<CryptoProvider>, authority: &str, own: Option<&str>) -> ClientConfig {
    let builder = with_versions(ClientConfig::builder_with_provider(Arc::clone(provider)), provider)
        .with_root_certificates(roots(authority));
    match own {
        Some(own) => builder.with_client_auth_cert(vec![certificate(own)], key(own)).expect(own),
        None => builder.with_no_client_auth(),
    }
}

/// A server that shows the certificate `own`, and demands one by `authority` of the client.
pub(super) fn server(provider: &Arc<CryptoProvider>, own: &str, authority: Option<&str>) -> ServerConfig {
    let builder = with_versions(ServerConfig::builder_with_provider(Arc::clone(provider)), provider);
    let builder = match authority {
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(authority), Arc::clone(provider))
                .build()
                .unwrap(),
        ),
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(vec![certificate(own)], key(own)).expect(own)
}

/// A client and a server that have not shaken hands yet.
pub(super) struct Pair {
    pub(super) client: Connection,
    pub(super) server: Connection,
}

impl Pair {
    pub(super) fn new(client: ClientConfig, server: ServerConfig) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            client: ClientConnection::new(Arc::new(client), name).unwrap().into(),
            server: ServerConnection::new(Arc::new(server)).unwrap().into(),
        }
    }

    /// Carries bytes until both have nothing more to say; `change` sees and changes each flight, and hears
    /// whether it is the client's.
    ///
    /// The error is that of the side that refused first, with whether that is the client.
    pub(super) fn shake(&mut self, mut change: impl FnMut(bool, &mut Vec<u8>)) -> Result<(), (bool, Error)> {
        loop {
            let asked = carry(&mut self.client, &mut self.server, |flight| change(true, flight));
            let asked = asked.map_err(|error| (false, error))?;
            let answered = carry(&mut self.server, &mut self.client, |flight| change(false, flight));
            let answered = answered.map_err(|error| (true, error))?;
            if !asked && !answered {
                return Ok(());
            }
        }
    }

    /// Sends a text in both directions.
    pub(super) fn exchange(&mut self, text: &[u8]) -> Result<(), Error> {
        for from_client in [true, false] {
            let (from, to) = if from_client {
                (&mut self.client, &mut self.server)
            } else {
                (&mut self.server, &mut self.client)
            };
            let mut received = Vec::new();
            for part in text.chunks(16 << 10) {
                from.writer().write_all(part).unwrap();
                carry(from, to, |_| {})?;
                match to.reader().read_to_end(&mut received) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(received == text, "{} bytes of {} arrived", received.len(), text.len());
        }
        Ok(())
    }
}

/// Whether there was anything to carry.
fn carry(
    from: &mut Connection,
    to: &mut Connection,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<bool, Error> {
    let mut flight = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut flight).unwrap();
    }
    if flight.is_empty() {
        return Ok(false);
    }
    change(&mut flight);
    let mut left = flight.as_slice();
    while !left.is_empty() {
        to.read_tls(&mut left).unwrap();
        to.process_new_packets()?;
    }
    Ok(true)
}
