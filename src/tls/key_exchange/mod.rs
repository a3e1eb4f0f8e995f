//! The groups in which client and server agree on a secret.

mod nist;
mod x25519;

use rustls::crypto::SupportedKxGroup;

/// The preferred groups first; a client sends a key of the first.
pub(super) static GROUPS: &[&dyn SupportedKxGroup] = &[&x25519::X25519, &nist::P256, &nist::P384];
