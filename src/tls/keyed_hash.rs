//! HMAC, from which rustls derives the keys of a connection (HKDF in TLS 1.3, the PRF in TLS 1.2).

use std::marker::PhantomData;

use hmac::digest::Output;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use rustls::crypto::hmac::{Hmac as HmacAlgorithm, Key, Tag};
use sha2::{Digest, Sha256, Sha384};

/// HMAC with SHA-256.
pub(super) static HMAC_SHA256: KeyedHash<Sha256> = KeyedHash(PhantomData);
/// HMAC with SHA-384.
pub(super) static HMAC_SHA384: KeyedHash<Sha384> = KeyedHash(PhantomData);

/// HMAC with the hash function `D`.
pub(super) struct KeyedHash<D>(PhantomData<fn() -> D>);

impl<D> HmacAlgorithm for KeyedHash<D>
where
    D: EagerHash + Digest + 'static,
    Hmac<D>: Mac + KeyInit + Clone + Send + Sync,
{
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        let mut block = hmac::digest::Key::<Hmac<D>>::default();
        // As RFC 2104 demands: a key that is longer than a block is hashed, and zeros follow a shorter one.
        // A key of one block cannot be refused, as one of any length could by its type.
        let hashed: Output<D>;
        let key = if key.len() > block.len() {
            hashed = D::digest(key);
            hashed.as_slice()
        } else {
            key
        };
        block.iter_mut().zip(key).for_each(|(room, byte)| *room = *byte);
        Box::new(HmacKey(Hmac::<D>::new(&block)))
    }

    fn hash_output_len(&self) -> usize {
        <D as Digest>::output_size()
    }
}

/// The state of HMAC after its key.
struct HmacKey<M>(M);

impl<M: Mac + Clone + Send + Sync> Key for HmacKey<M> {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        middle.iter().for_each(|part| mac.update(part));
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        M::output_size()
    }
}
