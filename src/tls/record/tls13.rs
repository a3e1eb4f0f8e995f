//! Records of TLS 1.3 (RFC 8446, 5.2).

use std::marker::PhantomData;

use aes_gcm::aead::KeySizeUser;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter, Nonce,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

use super::cipher::{KeyedCipher, RecordCipher, TAG_BYTES};

/// Records of TLS 1.3 with the cipher `C`.
pub struct Tls13Records<C>(PhantomData<fn() -> C>);

impl<C> Tls13Records<C> {
    /// The same for all connections.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<C> Default for Tls13Records<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: RecordCipher> Tls13AeadAlgorithm for Tls13Records<C> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Tls13Direction { cipher: KeyedCipher::<C>::new(key.as_ref()), iv })
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Tls13Direction { cipher: KeyedCipher::<C>::new(key.as_ref()), iv })
    }

    fn key_len(&self) -> usize {
        <C as KeySizeUser>::key_size()
    }

    /// Nothing but this process encrypts records.
    fn extract_keys(&self, _: AeadKey, _: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// One direction of a connection.
struct Tls13Direction<C> {
    cipher: KeyedCipher<C>,
    iv: Iv,
}

impl<C: RecordCipher> MessageEncrypter for Tls13Direction<C> {
    fn encrypt(
        &mut self,
        plain: OutboundPlainMessage<'_>,
        number: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let length = self.encrypted_payload_len(plain.payload.len());
        let mut payload = PrefixedPayload::with_capacity(length);
        payload.extend_from_chunks(&plain.payload);
        payload.extend_from_slice(&[u8::from(plain.typ)]);
        let nonce = Nonce::new(&self.iv, number).0;
        let tag = self.cipher.seal(nonce, &make_tls13_aad(length), payload.as_mut())?;
        payload.extend_from_slice(&tag);
        // All encrypted records claim to be application data of TLS 1.2.
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, payload))
    }

    fn encrypted_payload_len(&self, plain: usize) -> usize {
        // One byte is the true type of the record.
        plain + 1 + TAG_BYTES
    }
}

impl<C: RecordCipher> MessageDecrypter for Tls13Direction<C> {
    fn decrypt<'a>(
        &mut self,
        mut record: InboundOpaqueMessage<'a>,
        number: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let header = make_tls13_aad(record.payload.len());
        let length = self.cipher.open(Nonce::new(&self.iv, number).0, &header, &mut record.payload)?;
        record.payload.truncate(length);
        // Also refuses a record that is too long, or that has no true type.
        record.into_tls13_unpadded_message()
    }
}
