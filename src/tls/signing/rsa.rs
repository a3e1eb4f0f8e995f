//! RSA keys of 2048 to 8192 bits.

use std::sync::Arc;

use rsa::PrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::{AssociatedOid, DecodePrivateKey};
use rsa::signature::digest::{Digest, FixedOutputReset};
use rsa::traits::PublicKeyParts;
use rustls::pki_types::alg_id;
use rustls::sign::{SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use sha2::{Sha256, Sha384, Sha512};

use super::loaded_key::{LoadedKey, Sign};
use super::refused;
use crate::tls::random::KernelRandom;

/// What PKCS #8 calls an RSA key.
pub(super) const OID: &str = "1.2.840.113549.1.1.1";

/// A shorter key can be broken. The crate itself refuses one of more than 8192 bits.
const KEY_BYTES_MIN: usize = 2048 / 8;

/// TLS 1.3 knows only PSS.
static SCHEMES: &[(SignatureScheme, Sign<PrivateKey>)] = &[
    (SignatureScheme::RSA_PSS_SHA256, pss::<Sha256>),
    (SignatureScheme::RSA_PSS_SHA384, pss::<Sha384>),
    (SignatureScheme::RSA_PSS_SHA512, pss::<Sha512>),
    (SignatureScheme::RSA_PKCS1_SHA256, pkcs1::<Sha256>),
    (SignatureScheme::RSA_PKCS1_SHA384, pkcs1::<Sha384>),
    (SignatureScheme::RSA_PKCS1_SHA512, pkcs1::<Sha512>),
];

pub(super) fn from_pkcs1(der: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    load(
        PrivateKey::from_pkcs1_der(der)
            .map_err(|why| refused(&format!("not an RSA key of PKCS #1: {why}")))?,
    )
}

pub(super) fn from_pkcs8(der: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    load(
        PrivateKey::from_pkcs8_der(der)
            .map_err(|why| refused(&format!("not an RSA key of PKCS #8: {why}")))?,
    )
}

fn load(key: PrivateKey) -> Result<Arc<dyn SigningKey>, Error> {
    if key.size() < KEY_BYTES_MIN {
        return Err(refused(&format!("RSA with {} bits; TLS needs 2048", key.size() * 8)));
    }
    let public = key.as_public_key().to_pkcs1_der().map_err(|why| refused(&why.to_string()))?;
    Ok(Arc::new(LoadedKey {
        key: Arc::new(key),
        public: public_key_to_spki(&alg_id::RSA_ENCRYPTION, public),
        algorithm: SignatureAlgorithm::RSA,
        schemes: SCHEMES,
    }))
}

/// The random numbers hide from the clock what the key is (blinding).
fn pkcs1<D>(key: &PrivateKey, message: &[u8]) -> Result<Vec<u8>, Error>
where
    D: Digest + AssociatedOid,
{
    key.pkcs1v15_sign_with_rng::<D, _>(&mut KernelRandom, message).map_err(failed)
}

/// As [`pkcs1`]; the salt is random, too.
fn pss<D>(key: &PrivateKey, message: &[u8]) -> Result<Vec<u8>, Error>
where
    D: Digest + FixedOutputReset,
{
    key.pss_sign_with_rng::<D, _>(&mut KernelRandom, message).map_err(failed)
}

fn failed(why: rsa::Error) -> Error {
    Error::General(format!("the private key cannot sign: {why}"))
}
