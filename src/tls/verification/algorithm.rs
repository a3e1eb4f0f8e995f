//! One kind of signature, by the names that certificates give its two parts.

use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// Whether the signature of the message is that of the key, in this order: key, message, signature.
pub(super) type Verify = fn(&[u8], &[u8], &[u8]) -> Result<(), InvalidSignature>;

/// A kind of signature.
#[derive(Debug)]
pub(in crate::tls) struct VerificationAlgorithm {
    /// What certificates call the kind of the key.
    pub(super) key: AlgorithmIdentifier,
    /// What certificates call the kind of the signature.
    pub(super) signature: AlgorithmIdentifier,
    pub(super) verify: Verify,
}

impl SignatureVerificationAlgorithm for VerificationAlgorithm {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        (self.verify)(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
