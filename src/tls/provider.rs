//! All that rustls takes from here, and the order in which a client offers the cipher suites.

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;

use super::key_exchange::GROUPS;
use super::random::KernelRandom;
use super::signing::PrivateKeys;
use super::suites::{AES_SUITES, CHACHA_SUITES};
use super::verification::ALGORITHMS;

/// TLS 1.2 and 1.3 with AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305; X25519, P-256, P-384 and P-521;
/// certificates with RSA, P-256, P-384, P-521 and Ed25519.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites(has_aes_instructions()),
        kx_groups: GROUPS.to_vec(),
        signature_verification_algorithms: ALGORITHMS,
        secure_random: &KernelRandom,
        key_provider: &PrivateKeys,
    }
}

/// The preferred suites first. Without the processor's AES instructions AES takes several times as long as
/// ChaCha20.
pub(super) fn suites(has_aes: bool) -> Vec<SupportedCipherSuite> {
    let (first, last) = if has_aes { (AES_SUITES, CHACHA_SUITES) } else { (CHACHA_SUITES, AES_SUITES) };
    [first, last].concat()
}

/// Whether AES and the hash of GCM run on instructions of this processor.
#[cfg(target_arch = "x86_64")]
fn has_aes_instructions() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

/// As above.
#[cfg(target_arch = "aarch64")]
fn has_aes_instructions() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

/// As above. Nothing is known of other processors.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes_instructions() -> bool {
    false
}
