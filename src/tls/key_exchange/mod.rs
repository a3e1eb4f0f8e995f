//! The groups in which client and server agree on a secret.

mod nist;
mod x25519;

#[cfg(test)]
pub(super) use nist::NistExchange;
use rustls::crypto::SupportedKxGroup;
#[cfg(test)]
pub(super) use x25519::X25519Exchange;

/// The preferred groups first; a client sends a key of the first. P-521 is for its certificates: a server of
/// TLS 1.2 shows one only to a client that has the curve among its groups.
pub(super) static GROUPS: &[&dyn SupportedKxGroup] =
    &[&x25519::X25519, &nist::P256, &nist::P384, &nist::P521];
