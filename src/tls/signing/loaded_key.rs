//! A private key with all that it can sign.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// Signs a message.
pub(super) type Sign<K> = fn(&K, &[u8]) -> Result<Vec<u8>, Error>;

/// A private key of the kind `K`.
pub(super) struct LoadedKey<K: 'static> {
    pub(super) key: Arc<K>,
    /// The key that certificates show.
    pub(super) public: SubjectPublicKeyInfoDer<'static>,
    pub(super) algorithm: SignatureAlgorithm,
    /// The preferred schemes first.
    pub(super) schemes: &'static [(SignatureScheme, Sign<K>)],
}

/// Shows nothing of the key.
impl<K> fmt::Debug for LoadedKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl<K: Send + Sync> SigningKey for LoadedKey<K> {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let (scheme, sign) = *self.schemes.iter().find(|(scheme, _)| offered.contains(scheme))?;
        Some(Box::new(SchemeSigner { key: Arc::clone(&self.key), scheme, sign }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

/// A private key and the scheme that client and server have in common.
struct SchemeSigner<K: 'static> {
    key: Arc<K>,
    scheme: SignatureScheme,
    sign: Sign<K>,
}

/// Shows nothing of the key.
impl<K> fmt::Debug for SchemeSigner<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemeSigner").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl<K: Send + Sync> Signer for SchemeSigner<K> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        (self.sign)(&self.key, message)
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
