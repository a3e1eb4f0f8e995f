//! The cipher suites: which cipher, hash and signatures go together under which name.

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use rustls::crypto::hash::Hash;
use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, KeyExchangeAlgorithm};
use rustls::{CipherSuite, SignatureScheme, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::digest::{SHA256, SHA384};
use super::keyed_hash::{HMAC_SHA256, HMAC_SHA384};
use super::record::{Tls12Records, Tls13Records};

/// After so many records with AES-GCM a key must not be used any more (RFC 8446, 5.5): rustls takes another
/// one in TLS 1.3, and ends the connection in TLS 1.2.
const GCM_RECORDS_MAX: u64 = 1 << 24;

/// The suites of AES, the preferred ones first.
pub(super) static AES_SUITES: &[SupportedCipherSuite] = &[
    SupportedCipherSuite::Tls13(&TLS13_AES_256_GCM_SHA384),
    SupportedCipherSuite::Tls13(&TLS13_AES_128_GCM_SHA256),
    SupportedCipherSuite::Tls12(&ECDSA_AES_256_GCM_SHA384),
    SupportedCipherSuite::Tls12(&ECDSA_AES_128_GCM_SHA256),
    SupportedCipherSuite::Tls12(&RSA_AES_256_GCM_SHA384),
    SupportedCipherSuite::Tls12(&RSA_AES_128_GCM_SHA256),
];

/// The suites of ChaCha20, the preferred ones first.
pub(super) static CHACHA_SUITES: &[SupportedCipherSuite] = &[
    SupportedCipherSuite::Tls13(&TLS13_CHACHA20_POLY1305_SHA256),
    SupportedCipherSuite::Tls12(&ECDSA_CHACHA20_POLY1305_SHA256),
    SupportedCipherSuite::Tls12(&RSA_CHACHA20_POLY1305_SHA256),
];

static TLS13_AES_256_GCM_SHA384: Tls13CipherSuite = Tls13CipherSuite {
    common: common(CipherSuite::TLS13_AES_256_GCM_SHA384, &SHA384, GCM_RECORDS_MAX),
    hkdf_provider: &HkdfUsingHmac(&HMAC_SHA384),
    aead_alg: &Tls13Records::<Aes256Gcm>::new(),
    quic: None,
};

static TLS13_AES_128_GCM_SHA256: Tls13CipherSuite = Tls13CipherSuite {
    common: common(CipherSuite::TLS13_AES_128_GCM_SHA256, &SHA256, GCM_RECORDS_MAX),
    hkdf_provider: &HkdfUsingHmac(&HMAC_SHA256),
    aead_alg: &Tls13Records::<Aes128Gcm>::new(),
    quic: None,
};

static TLS13_CHACHA20_POLY1305_SHA256: Tls13CipherSuite = Tls13CipherSuite {
    common: common(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, &SHA256, u64::MAX),
    hkdf_provider: &HkdfUsingHmac(&HMAC_SHA256),
    aead_alg: &Tls13Records::<ChaCha20Poly1305>::new(),
    quic: None,
};

static ECDSA_AES_256_GCM_SHA384: Tls12CipherSuite = Tls12CipherSuite {
    common: common(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, &SHA384, GCM_RECORDS_MAX),
    prf_provider: &PrfUsingHmac(&HMAC_SHA384),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: ECDSA_SCHEMES,
    aead_alg: &Tls12Records::<Aes256Gcm>::new(),
};

static ECDSA_AES_128_GCM_SHA256: Tls12CipherSuite = Tls12CipherSuite {
    common: common(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &SHA256, GCM_RECORDS_MAX),
    prf_provider: &PrfUsingHmac(&HMAC_SHA256),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: ECDSA_SCHEMES,
    aead_alg: &Tls12Records::<Aes128Gcm>::new(),
};

static ECDSA_CHACHA20_POLY1305_SHA256: Tls12CipherSuite = Tls12CipherSuite {
    common: common(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, &SHA256, u64::MAX),
    prf_provider: &PrfUsingHmac(&HMAC_SHA256),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: ECDSA_SCHEMES,
    aead_alg: &Tls12Records::<ChaCha20Poly1305>::new(),
};

static RSA_AES_256_GCM_SHA384: Tls12CipherSuite = Tls12CipherSuite {
    common: common(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, &SHA384, GCM_RECORDS_MAX),
    prf_provider: &PrfUsingHmac(&HMAC_SHA384),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: RSA_SCHEMES,
    aead_alg: &Tls12Records::<Aes256Gcm>::new(),
};

static RSA_AES_128_GCM_SHA256: Tls12CipherSuite = Tls12CipherSuite {
    common: common(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, &SHA256, GCM_RECORDS_MAX),
    prf_provider: &PrfUsingHmac(&HMAC_SHA256),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: RSA_SCHEMES,
    aead_alg: &Tls12Records::<Aes128Gcm>::new(),
};

static RSA_CHACHA20_POLY1305_SHA256: Tls12CipherSuite = Tls12CipherSuite {
    common: common(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, &SHA256, u64::MAX),
    prf_provider: &PrfUsingHmac(&HMAC_SHA256),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: RSA_SCHEMES,
    aead_alg: &Tls12Records::<ChaCha20Poly1305>::new(),
};

static ECDSA_SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
];

static RSA_SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

const fn common(suite: CipherSuite, hash: &'static dyn Hash, records_max: u64) -> CipherSuiteCommon {
    CipherSuiteCommon { suite, hash_provider: hash, confidentiality_limit: records_max }
}
