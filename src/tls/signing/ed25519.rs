//! Ed25519 keys (RFC 8410).

use std::sync::Arc;

use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey as Ed25519Key};
use rustls::pki_types::alg_id;
use rustls::sign::{SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use super::loaded_key::{LoadedKey, Sign};
use super::refused;

/// What PKCS #8 calls an Ed25519 key.
pub(super) const OID: &str = "1.3.101.112";

static SCHEMES: &[(SignatureScheme, Sign<Ed25519Key>)] =
    &[(SignatureScheme::ED25519, |key, message| Ok(key.sign(message).to_vec()))];

pub(super) fn from_pkcs8(der: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    let key = Ed25519Key::from_pkcs8_der(der);
    let key = key.map_err(|why| refused(&format!("not an Ed25519 key of PKCS #8: {why}")))?;
    Ok(Arc::new(LoadedKey {
        public: public_key_to_spki(&alg_id::ED25519, key.verifying_key().as_bytes()),
        key: Arc::new(key),
        algorithm: SignatureAlgorithm::ED25519,
        schemes: SCHEMES,
    }))
}
