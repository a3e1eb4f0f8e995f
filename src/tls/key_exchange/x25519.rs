//! X25519 (RFC 7748).

use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::host;

/// The group X25519.
#[derive(Debug)]
pub(in crate::tls) struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = host::random().map_err(|_| GetRandomFailed)?;
        Ok(Box::new(X25519Exchange::new(secret)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// A key that is used once.
pub(in crate::tls) struct X25519Exchange {
    secret: StaticSecret,
    public: PublicKey,
}

impl X25519Exchange {
    pub(in crate::tls) fn new(secret: [u8; 32]) -> Self {
        let secret = StaticSecret::from(secret);
        Self { public: PublicKey::from(&secret), secret }
    }
}

impl ActiveKeyExchange for X25519Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer = <[u8; 32]>::try_from(peer).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer));
        // A point of small order makes a secret that everybody knows: all zeros (RFC 8446, 7.4.2).
        if !shared.was_contributory() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        Ok(SharedSecret::from(shared.as_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}
