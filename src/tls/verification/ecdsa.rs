//! ECDSA on P-256, P-384 and P-521 with SHA-256, SHA-384 and SHA-512 (RFC 5758).

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rustls::pki_types::{InvalidSignature, alg_id};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::algorithm::VerificationAlgorithm;

pub(in crate::tls) static P256_SHA256: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P256,
    signature: alg_id::ECDSA_SHA256,
    verify: p256_verify::<Sha256>,
};
pub(in crate::tls) static P256_SHA384: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P256,
    signature: alg_id::ECDSA_SHA384,
    verify: p256_verify::<Sha384>,
};
pub(in crate::tls) static P256_SHA512: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P256,
    signature: alg_id::ECDSA_SHA512,
    verify: p256_verify::<Sha512>,
};
pub(in crate::tls) static P384_SHA256: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P384,
    signature: alg_id::ECDSA_SHA256,
    verify: p384_verify::<Sha256>,
};
pub(in crate::tls) static P384_SHA384: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P384,
    signature: alg_id::ECDSA_SHA384,
    verify: p384_verify::<Sha384>,
};
pub(in crate::tls) static P384_SHA512: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P384,
    signature: alg_id::ECDSA_SHA512,
    verify: p384_verify::<Sha512>,
};
pub(in crate::tls) static P521_SHA256: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P521,
    signature: alg_id::ECDSA_SHA256,
    verify: p521_verify::<Sha256>,
};
pub(in crate::tls) static P521_SHA384: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P521,
    signature: alg_id::ECDSA_SHA384,
    verify: p521_verify::<Sha384>,
};
pub(in crate::tls) static P521_SHA512: VerificationAlgorithm = VerificationAlgorithm {
    key: alg_id::ECDSA_P521,
    signature: alg_id::ECDSA_SHA512,
    verify: p521_verify::<Sha512>,
};

fn p256_verify<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
    let signature = p256::ecdsa::Signature::from_der(signature).map_err(|_| InvalidSignature)?;
    key.verify_prehash(&D::digest(message), &signature).map_err(|_| InvalidSignature)
}

fn p384_verify<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
    let signature = p384::ecdsa::Signature::from_der(signature).map_err(|_| InvalidSignature)?;
    key.verify_prehash(&D::digest(message), &signature).map_err(|_| InvalidSignature)
}

fn p521_verify<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
    let signature = p521::ecdsa::Signature::from_der(signature).map_err(|_| InvalidSignature)?;
    key.verify_prehash(&D::digest(message), &signature).map_err(|_| InvalidSignature)
}
