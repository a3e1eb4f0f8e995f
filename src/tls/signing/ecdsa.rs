//! EC keys on P-256, P-384 and P-521. The numbers that signatures need come from key and message (RFC 6979).

use std::sync::Arc;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::pkcs8::DecodePrivateKey;
use rustls::pki_types::{AlgorithmIdentifier, alg_id};
use rustls::sign::{SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::loaded_key::{LoadedKey, Sign};
use super::refused;

/// What PKCS #8 calls an EC key.
pub(super) const OID: &str = "1.2.840.10045.2.1";

/// The text for a curve that is none of the three, such as secp256k1.
const OTHER_CURVE: &str = "not an EC key on P-256, P-384 or P-521";

static P256_SCHEMES: &[(SignatureScheme, Sign<p256::ecdsa::SigningKey>)] =
    &[(SignatureScheme::ECDSA_NISTP256_SHA256, p256_sign)];
static P384_SCHEMES: &[(SignatureScheme, Sign<p384::ecdsa::SigningKey>)] =
    &[(SignatureScheme::ECDSA_NISTP384_SHA384, p384_sign)];
static P521_SCHEMES: &[(SignatureScheme, Sign<p521::ecdsa::SigningKey>)] =
    &[(SignatureScheme::ECDSA_NISTP521_SHA512, p521_sign)];

/// The curve is named in the key; each crate reads its own.
pub(super) fn from_pkcs8(der: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    p256::SecretKey::from_pkcs8_der(der).map(p256_key).or_else(|_| {
        p384::SecretKey::from_pkcs8_der(der)
            .map(p384_key)
            .or_else(|_| p521::SecretKey::from_pkcs8_der(der).map(p521_key).map_err(|_| refused(OTHER_CURVE)))
    })
}

/// As [`from_pkcs8`]. A key that names no curve has the length of its curve.
pub(super) fn from_sec1(der: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    p256::SecretKey::from_sec1_der(der).map(p256_key).or_else(|_| {
        p384::SecretKey::from_sec1_der(der)
            .map(p384_key)
            .or_else(|_| p521::SecretKey::from_sec1_der(der).map(p521_key).map_err(|_| refused(OTHER_CURVE)))
    })
}

fn p256_key(key: p256::SecretKey) -> Arc<dyn SigningKey> {
    let key = p256::ecdsa::SigningKey::from(key);
    let point = key.verifying_key().to_sec1_point(false);
    loaded(key, &alg_id::ECDSA_P256, point.as_bytes(), P256_SCHEMES)
}

fn p384_key(key: p384::SecretKey) -> Arc<dyn SigningKey> {
    let key = p384::ecdsa::SigningKey::from(key);
    let point = key.verifying_key().to_sec1_point(false);
    loaded(key, &alg_id::ECDSA_P384, point.as_bytes(), P384_SCHEMES)
}

fn p521_key(key: p521::SecretKey) -> Arc<dyn SigningKey> {
    let key = p521::ecdsa::SigningKey::from(key);
    let point = key.verifying_key().to_sec1_point(false);
    loaded(key, &alg_id::ECDSA_P521, point.as_bytes(), P521_SCHEMES)
}

fn loaded<K: Send + Sync>(
    key: K,
    curve: &AlgorithmIdentifier,
    point: &[u8],
    schemes: &'static [(SignatureScheme, Sign<K>)],
) -> Arc<dyn SigningKey> {
    Arc::new(LoadedKey {
        key: Arc::new(key),
        public: public_key_to_spki(curve, point),
        algorithm: SignatureAlgorithm::ECDSA,
        schemes,
    })
}

fn p256_sign(key: &p256::ecdsa::SigningKey, message: &[u8]) -> Result<Vec<u8>, Error> {
    let signed: Result<p256::ecdsa::DerSignature, _> = key.sign_prehash(&Sha256::digest(message));
    signed.map(|signature| signature.as_bytes().to_vec()).map_err(failed)
}

fn p384_sign(key: &p384::ecdsa::SigningKey, message: &[u8]) -> Result<Vec<u8>, Error> {
    let signed: Result<p384::ecdsa::DerSignature, _> = key.sign_prehash(&Sha384::digest(message));
    signed.map(|signature| signature.as_bytes().to_vec()).map_err(failed)
}

fn p521_sign(key: &p521::ecdsa::SigningKey, message: &[u8]) -> Result<Vec<u8>, Error> {
    let signed: Result<p521::ecdsa::DerSignature, _> = key.sign_prehash(&Sha512::digest(message));
    signed.map(|signature| signature.as_bytes().to_vec()).map_err(failed)
}

fn failed(why: p256::ecdsa::Error) -> Error {
    Error::General(format!("the private key cannot sign: {why}"))
}
