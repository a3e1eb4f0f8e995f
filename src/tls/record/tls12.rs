//! Records of TLS 1.2: AES-GCM (RFC 5288) and ChaCha20-Poly1305 (RFC 7905).

use std::marker::PhantomData;

use aes_gcm::aead::KeySizeUser;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, NONCE_LEN, Nonce, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload,
    Tls12AeadAlgorithm, UnsupportedOperationError, make_tls12_aad,
};
use rustls::{ConnectionTrafficSecrets, Error};

use super::cipher::{KeyedCipher, RecordCipher, TAG_BYTES};

/// The longest text of a record (RFC 5246, 6.2.1).
const TEXT_BYTES_MAX: usize = 1 << 14;

/// Records of TLS 1.2 with the cipher `C`.
pub struct Tls12Records<C>(PhantomData<fn() -> C>);

impl<C> Tls12Records<C> {
    /// The same for all connections.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<C> Default for Tls12Records<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: RecordCipher> Tls12AeadAlgorithm for Tls12Records<C> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], explicit: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Tls12Direction { cipher: KeyedCipher::<C>::new(key.as_ref()), iv: whole_iv(iv, explicit) })
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Tls12Direction { cipher: KeyedCipher::<C>::new(key.as_ref()), iv: whole_iv(iv, &[]) })
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape {
            enc_key_len: <C as KeySizeUser>::key_size(),
            fixed_iv_len: NONCE_LEN - C::EXPLICIT_NONCE_BYTES,
            explicit_nonce_len: C::EXPLICIT_NONCE_BYTES,
        }
    }

    /// Nothing but this process encrypts records.
    fn extract_keys(
        &self,
        _: AeadKey,
        _: &[u8],
        _: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// The fixed part of the nonces, and what the part in the record begins with.
fn whole_iv(fixed: &[u8], explicit: &[u8]) -> Iv {
    let mut iv = [0; NONCE_LEN];
    iv.iter_mut().zip(fixed.iter().chain(explicit)).for_each(|(room, byte)| *room = *byte);
    Iv::new(iv)
}

/// One direction of a connection.
struct Tls12Direction<C> {
    cipher: KeyedCipher<C>,
    iv: Iv,
}

impl<C: RecordCipher> MessageEncrypter for Tls12Direction<C> {
    fn encrypt(
        &mut self,
        plain: OutboundPlainMessage<'_>,
        number: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let mut payload = PrefixedPayload::with_capacity(self.encrypted_payload_len(plain.payload.len()));
        // The number of the record makes each nonce another one, also the part that stands in the record.
        let nonce = Nonce::new(&self.iv, number).0;
        let explicit = C::EXPLICIT_NONCE_BYTES;
        payload.extend_from_slice(nonce.get(NONCE_LEN - explicit..).ok_or(Error::EncryptError)?);
        payload.extend_from_chunks(&plain.payload);
        let header = make_tls12_aad(number, plain.typ, plain.version, plain.payload.len());
        let text = payload.as_mut().get_mut(explicit..).ok_or(Error::EncryptError)?;
        let tag = self.cipher.seal(nonce, &header, text)?;
        payload.extend_from_slice(&tag);
        Ok(OutboundOpaqueMessage::new(plain.typ, plain.version, payload))
    }

    fn encrypted_payload_len(&self, plain: usize) -> usize {
        C::EXPLICIT_NONCE_BYTES + plain + TAG_BYTES
    }
}

impl<C: RecordCipher> MessageDecrypter for Tls12Direction<C> {
    fn decrypt<'a>(
        &mut self,
        mut record: InboundOpaqueMessage<'a>,
        number: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let explicit = C::EXPLICIT_NONCE_BYTES;
        let overhead = explicit + TAG_BYTES;
        let length = record.payload.len().checked_sub(overhead).ok_or(Error::DecryptError)?;
        if length > TEXT_BYTES_MAX {
            return Err(Error::PeerSentOversizedRecord);
        }
        let header = make_tls12_aad(number, record.typ, record.version, length);
        let (sent, sealed) = record.payload.split_at_mut_checked(explicit).ok_or(Error::DecryptError)?;
        let nonce = self.nonce(sent, number);
        self.cipher.open(nonce, &header, sealed)?;
        Ok(record.into_plain_message_range(explicit..explicit + length))
    }
}

impl<C: RecordCipher> Tls12Direction<C> {
    /// The nonce of a record that came: its last part is what the sender wrote into the record, if the cipher
    /// has such a part.
    fn nonce(&self, sent: &[u8], number: u64) -> [u8; NONCE_LEN] {
        if sent.is_empty() {
            return Nonce::new(&self.iv, number).0;
        }
        let mut nonce = Nonce::new(&self.iv, 0).0;
        nonce.iter_mut().rev().zip(sent.iter().rev()).for_each(|(room, byte)| *room = *byte);
        nonce
    }
}
