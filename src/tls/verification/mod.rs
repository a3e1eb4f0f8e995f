//! Which signatures a certificate, and a handshake, may have.

mod algorithm;
pub(super) mod ecdsa;
pub(super) mod ed25519;
pub(super) mod rsa;

use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;

use self::ecdsa::{
    P256_SHA256, P256_SHA384, P256_SHA512, P384_SHA256, P384_SHA384, P384_SHA512, P521_SHA256, P521_SHA384,
    P521_SHA512,
};
use self::ed25519::ED25519;
use self::rsa::{
    PKCS1_SHA256, PKCS1_SHA256_ABSENT, PKCS1_SHA384, PKCS1_SHA384_ABSENT, PKCS1_SHA512, PKCS1_SHA512_ABSENT,
    PSS_SHA256, PSS_SHA384, PSS_SHA512,
};

/// Authorities sign with any pair of curve and hash; `openssl req` signs by a P-521 key with SHA-256. In TLS
/// 1.3 a scheme is its first algorithm, in TLS 1.2 each of its algorithms.
pub(super) const ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        &P256_SHA256,
        &P256_SHA384,
        &P256_SHA512,
        &P384_SHA256,
        &P384_SHA384,
        &P384_SHA512,
        &P521_SHA256,
        &P521_SHA384,
        &P521_SHA512,
        &ED25519,
        &PSS_SHA256,
        &PSS_SHA384,
        &PSS_SHA512,
        &PKCS1_SHA256,
        &PKCS1_SHA384,
        &PKCS1_SHA512,
        &PKCS1_SHA256_ABSENT,
        &PKCS1_SHA384_ABSENT,
        &PKCS1_SHA512_ABSENT,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[&P384_SHA384, &P256_SHA384, &P521_SHA384]),
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[&P256_SHA256, &P384_SHA256, &P521_SHA256]),
        (SignatureScheme::ECDSA_NISTP521_SHA512, &[&P521_SHA512, &P384_SHA512, &P256_SHA512]),
        (SignatureScheme::ED25519, &[&ED25519]),
        (SignatureScheme::RSA_PSS_SHA512, &[&PSS_SHA512]),
        (SignatureScheme::RSA_PSS_SHA384, &[&PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA256, &[&PSS_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[&PKCS1_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[&PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[&PKCS1_SHA256]),
    ],
};
