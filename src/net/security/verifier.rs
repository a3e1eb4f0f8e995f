//! Decides whether a server's certificate is trusted, and says why not.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, RootCertStore,
    SignatureScheme,
};

use super::{PIN_BYTES, presented};
use crate::tls;

/// Trusts certificates that an authority has signed, or the one that is pinned.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) roots: RootCertStore,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// The file of the authorities, for the reader of a refusal.
    pub(super) ca: PathBuf,
    pub(super) any_name: bool,
    pub(super) pin: Option<[u8; PIN_BYTES]>,
}

impl ServerVerifier {
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        if self.any_name { Ok(()) } else { verify_server_name(&parsed, name) }
    }

    /// Why, and what to do.
    fn explain(&self, error: &Error, certificate: &CertificateDer<'_>, now: UnixTime) -> String {
        let clock = || format!("this host's clock says {}", presented::date(now));
        let Error::InvalidCertificate(why) = error else { return error.to_string() };
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("it, or one above it, has expired, {}; renew it, or set the clock", clock())
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("it, or one above it, is not valid yet, {}; set the clock", clock())
            }
            CertificateError::UnknownIssuer => format!(
                "{} holds no authority that has signed it; tls_ca must name a file with that authority",
                self.ca.display()
            ),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let presented =
                    if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
                let presented: String = presented.chars().filter(|one| !one.is_control()).collect();
                format!(
                    "it is made out to {presented}, not to {}; make it out to that, or write a name that it \
                     has to tls_name, or tls_verify='ca'",
                    expected.to_str()
                )
            }
            CertificateError::Other(_) => format!(
                "it cannot be checked ({error}), as one of X.509 version 1 cannot; make it of version 3 with \
                 the server's names, or, if it is the right one, trust it by tls_pin='{}'",
                hex(&tls::sha256(certificate))
            ),
            _ => error.to_string(),
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let why = match self.pin {
            Some(pin) if tls::sha256(certificate) == pin => return Ok(ServerCertVerified::assertion()),
            Some(_) => format!(
                "it is not the one that tls_pin trusts; if it is the server's new one, write \
                 tls_pin='{}'",
                hex(&tls::sha256(certificate))
            ),
            None => match self.check(certificate, intermediates, name, now) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(error) => self.explain(&error, certificate, now),
            },
        };
        let (name, facts) = (name.to_str(), presented::describe(certificate));
        let text = format!("the certificate of {name} is not trusted: {why} ({facts})");
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Distrust(text))))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.pin {
            Some(_) => self.verify_pinned(message, certificate, signed),
            None => verify_tls12_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.pin {
            // TLS 1.3 has left these out.
            Some(_) if is_pkcs1(signed.scheme) => {
                Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
            }
            Some(_) => self.verify_pinned(message, certificate, signed),
            None => verify_tls13_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerVerifier {
    /// A pinned certificate may be of a version that webpki does not read: its key is all that is needed.
    fn verify_pinned(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let wrong = || Error::InvalidCertificate(CertificateError::BadSignature);
        let (key, key_algorithm) = presented::public_key(certificate).ok_or_else(wrong)?;
        let known = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) = known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let fitting = algorithms.iter().find(|one| one.public_key_alg_id() == key_algorithm);
        let fitting = fitting.ok_or_else(wrong)?;
        fitting.verify_signature(&key, message, signed.signature()).map_err(|_| wrong())?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

fn is_pkcs1(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA1
            | SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a certificate is not trusted.
#[derive(Debug)]
struct Distrust(String);

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Distrust {}
