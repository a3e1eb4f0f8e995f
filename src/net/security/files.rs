//! The files with certificates and keys.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::TlsSettings;
use super::verifier::ServerVerifier;
use crate::tls;

/// Where systems keep the certificates of the authorities that they trust.
const SYSTEM_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Tells whether a file was changed: device, number, size and times.
type FileStamp = (PathBuf, [u64; 3], [i64; 4]);

/// The files of some settings, as they are now.
#[derive(PartialEq)]
pub(super) struct FileStamps {
    ca: Option<PathBuf>,
    all: Vec<FileStamp>,
}

impl FileStamps {
    pub(super) fn of(settings: &TlsSettings) -> io::Result<Self> {
        let ca = match settings.pin {
            Some(_) => None,
            None if settings.ca.as_os_str().is_empty() => Some(system_file()?),
            None => Some(settings.ca.clone()),
        };
        let named = [&settings.certificate, &settings.key].into_iter();
        let named = named.filter(|path| !path.as_os_str().is_empty());
        let all = ca.iter().chain(named).map(|path| stamp(path)).collect::<io::Result<_>>()?;
        Ok(Self { ca, all })
    }

    /// The file with the certificates of the authorities; none is needed with a pin.
    pub(super) fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }
}

fn stamp(path: &Path) -> io::Result<FileStamp> {
    let facts = std::fs::metadata(path).map_err(|error| about(path, &error))?;
    let times = [facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec()];
    Ok((path.to_path_buf(), [facts.dev(), facts.ino(), facts.size()], times))
}

fn system_file() -> io::Result<PathBuf> {
    let found = SYSTEM_FILES.iter().map(Path::new).find(|path| path.exists());
    found
        .map(Path::to_path_buf)
        .ok_or_else(|| io::Error::other("the system has no file of trusted authorities: name one in tls_ca"))
}

/// Reads all files.
pub(super) fn load(settings: &TlsSettings, ca: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(tls::provider());
    let verifier = ServerVerifier {
        roots: ca.map_or_else(|| Ok(RootCertStore::empty()), authorities)?,
        algorithms: provider.signature_verification_algorithms,
        ca: ca.map(Path::to_path_buf).unwrap_or_default(),
        any_name: settings.any_name,
        pin: settings.pin,
    };
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = if settings.certificate.as_os_str().is_empty() {
        builder.with_no_client_auth()
    } else {
        let (chain, key) = (certificates(&settings.certificate)?, private_key(&settings.key)?);
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            let (certificate, key) = (settings.certificate.display(), settings.key.display());
            io::Error::other(format!("the certificate {certificate} with the key {key}: {error}"))
        })?
    };
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Certificates that cannot be read are passed over: systems trust dozens of authorities.
fn authorities(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| about(path, &error))?;
    roots.add_parsable_certificates(found.flatten());
    if roots.is_empty() {
        return Err(about(
            path,
            &"there is no certificate of an authority in this file (PEM, X.509 version 3)",
        ));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| about(path, &error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| about(path, &error))?;
    if found.is_empty() {
        return Err(about(path, &"there is no certificate in this file (PEM)"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        Error::NoItemsFound => about(
            path,
            &"there is no private key in this file that can be read: one in PEM that is not encrypted is \
              expected, as openssl pkey -in THIS -out OTHER writes it",
        ),
        error => about(path, &error),
    })
}

fn about(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
