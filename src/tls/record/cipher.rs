//! The three ciphers of records, and how one record is sealed and opened in place.

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use rustls::Error;
use rustls::crypto::cipher::NONCE_LEN;

/// The tag behind each record, in bytes.
pub const TAG_BYTES: usize = 16;

/// A cipher of records.
pub trait RecordCipher: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static {
    /// How many bytes of the nonce stand in each record of TLS 1.2.
    const EXPLICIT_NONCE_BYTES: usize;
}

impl RecordCipher for Aes128Gcm {
    const EXPLICIT_NONCE_BYTES: usize = 8;
}

impl RecordCipher for Aes256Gcm {
    const EXPLICIT_NONCE_BYTES: usize = 8;
}

impl RecordCipher for ChaCha20Poly1305 {
    const EXPLICIT_NONCE_BYTES: usize = 0;
}

/// A cipher with its key. The key is wiped when this is dropped.
pub(in crate::tls) struct KeyedCipher<C>(
    /// `None`: the key has another length than the cipher's. rustls makes keys of the length that it was
    /// told, and its interface has no error for this, so each record fails instead.
    Option<C>,
);

impl<C: RecordCipher> KeyedCipher<C> {
    pub(in crate::tls) fn new(key: &[u8]) -> Self {
        Self(C::new_from_slice(key).ok())
    }

    /// Encrypts the text in place and returns its tag.
    pub(in crate::tls) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Error> {
        let cipher = self.0.as_ref().ok_or(Error::EncryptError)?;
        let tag = cipher.encrypt_inout_detached(&nonce.into(), header, text.into());
        tag.map(Into::into).map_err(|_| Error::EncryptError)
    }

    /// Decrypts a text with its tag behind it in place, and returns the length of the text.
    pub(in crate::tls) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, Error> {
        let cipher = self.0.as_ref().ok_or(Error::DecryptError)?;
        let (text, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>().ok_or(Error::DecryptError)?;
        let opened =
            cipher.decrypt_inout_detached(&nonce.into(), header, (&mut *text).into(), &(*tag).into());
        opened.map_err(|_| Error::DecryptError)?;
        Ok(text.len())
    }
}
