//! Ed25519 (RFC 8032).

use ed25519_dalek::{Signature, VerifyingKey};
use rustls::pki_types::{InvalidSignature, alg_id};

use super::algorithm::VerificationAlgorithm;

pub(in crate::tls) static ED25519: VerificationAlgorithm =
    VerificationAlgorithm { key: alg_id::ED25519, signature: alg_id::ED25519, verify };

fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
    let key = key.try_into().map_err(|_| InvalidSignature)?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| InvalidSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
    // Strict: a key of small order, which has a signature that fits any message, is refused.
    key.verify_strict(message, &signature).map_err(|_| InvalidSignature)
}
