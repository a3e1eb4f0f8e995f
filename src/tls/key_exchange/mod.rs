//! The groups in which client and server agree on a secret.

mod nist;
mod x25519;

#[cfg(test)]
pub(super) use nist::NistExchange;
use rustls::crypto::SupportedKxGroup;
#[cfg(test)]
pub(super) use x25519::X25519Exchange;

/// The preferred groups first; a client sends a key of the first.
pub(super) static GROUPS: &[&dyn SupportedKxGroup] = &[&x25519::X25519, &nist::P256, &nist::P384];
