//! RSA with PKCS #1 v1.5 and PSS padding (RFC 8017), by keys of 2048 to 8192 bits.

use rsa::PublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::AssociatedOid;
use rsa::signature::digest::{Digest, FixedOutputReset};
use rsa::traits::PublicKeyParts;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, alg_id};
use sha2::{Sha256, Sha384, Sha512};

use super::algorithm::{VerificationAlgorithm, Verify};

/// Shorter keys can be broken. The crate itself refuses those of more than 8192 bits.
const KEY_BYTES_MIN: usize = 2048 / 8;

pub(in crate::tls) static PSS_SHA256: VerificationAlgorithm = of(alg_id::RSA_PSS_SHA256, pss::<Sha256>);
pub(in crate::tls) static PSS_SHA384: VerificationAlgorithm = of(alg_id::RSA_PSS_SHA384, pss::<Sha384>);
pub(in crate::tls) static PSS_SHA512: VerificationAlgorithm = of(alg_id::RSA_PSS_SHA512, pss::<Sha512>);
pub(in crate::tls) static PKCS1_SHA256: VerificationAlgorithm = of(alg_id::RSA_PKCS1_SHA256, pkcs1::<Sha256>);
pub(in crate::tls) static PKCS1_SHA384: VerificationAlgorithm = of(alg_id::RSA_PKCS1_SHA384, pkcs1::<Sha384>);
pub(in crate::tls) static PKCS1_SHA512: VerificationAlgorithm = of(alg_id::RSA_PKCS1_SHA512, pkcs1::<Sha512>);

// Some authorities leave out the parameters, which are NULL (RFC 4055, 5).
pub(in crate::tls) static PKCS1_SHA256_ABSENT: VerificationAlgorithm =
    of(AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), pkcs1::<Sha256>);
pub(in crate::tls) static PKCS1_SHA384_ABSENT: VerificationAlgorithm =
    of(AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"), pkcs1::<Sha384>);
pub(in crate::tls) static PKCS1_SHA512_ABSENT: VerificationAlgorithm =
    of(AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"), pkcs1::<Sha512>);

const fn of(signature: AlgorithmIdentifier, verify: Verify) -> VerificationAlgorithm {
    VerificationAlgorithm { key: alg_id::RSA_ENCRYPTION, signature, verify }
}

fn pkcs1<D>(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature>
where
    D: Digest + AssociatedOid,
{
    public_key(key)?.pkcs1v15_verify::<D>(message, signature).map_err(|_| InvalidSignature)
}

/// The salt is as long as the hash, as TLS demands and the names in certificates say.
fn pss<D>(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature>
where
    D: Digest + FixedOutputReset,
{
    public_key(key)?.pss_verify::<D>(message, signature).map_err(|_| InvalidSignature)
}

fn public_key(der: &[u8]) -> Result<PublicKey, InvalidSignature> {
    let key = PublicKey::from_pkcs1_der(der).map_err(|_| InvalidSignature)?;
    if key.size() < KEY_BYTES_MIN { Err(InvalidSignature) } else { Ok(key) }
}
