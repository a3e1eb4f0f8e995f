//! Goal: no record makes the decryption panic or come out as another text. Method: texts and changes from a
//! seed, in each version and with each cipher whose key can be made from outside. fuzz/ does the same for as
//! long as one likes.

use aes_gcm::Aes256Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use proptest::prelude::*;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
    OutboundPlainMessage, Tls12AeadAlgorithm, Tls13AeadAlgorithm,
};
use rustls::{ContentType, Error, ProtocolVersion};

use crate::tls::record::{TAG_BYTES, Tls12Records, Tls13Records};

type Both = (Box<dyn MessageEncrypter>, Box<dyn MessageDecrypter>);

fn ciphers() -> Vec<Both> {
    let key = || AeadKey::from([7; 32]);
    let iv = || Iv::new([3; 12]);
    let (gcm, chacha) = (Tls13Records::<Aes256Gcm>::new(), Tls13Records::<ChaCha20Poly1305>::new());
    let (old_gcm, old_chacha) = (Tls12Records::<Aes256Gcm>::new(), Tls12Records::<ChaCha20Poly1305>::new());
    vec![
        (gcm.encrypter(key(), iv()), gcm.decrypter(key(), iv())),
        (chacha.encrypter(key(), iv()), chacha.decrypter(key(), iv())),
        (old_gcm.encrypter(key(), &[3; 4], &[5; 8]), old_gcm.decrypter(key(), &[3; 4])),
        (old_chacha.encrypter(key(), &[3; 12], &[]), old_chacha.decrypter(key(), &[3; 12])),
    ]
}

fn seal(encrypter: &mut dyn MessageEncrypter, number: u64, text: &[u8]) -> Vec<u8> {
    let plain = OutboundPlainMessage {
        typ: ContentType::ApplicationData,
        version: ProtocolVersion::TLSv1_2,
        payload: OutboundChunks::Single(text),
    };
    let length = encrypter.encrypted_payload_len(text.len());
    let record = encrypter.encrypt(plain, number).unwrap().encode();
    assert_eq!(record.len(), 5 + length);
    record[5..].to_vec()
}

fn open(decrypter: &mut dyn MessageDecrypter, number: u64, mut sealed: Vec<u8>) -> Result<Vec<u8>, Error> {
    let typ = ContentType::ApplicationData;
    let record = InboundOpaqueMessage::new(typ, ProtocolVersion::TLSv1_2, &mut sealed);
    decrypter.decrypt(record, number).map(|opened| opened.payload.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_records_never_open(
        text in prop::collection::vec(any::<u8>(), 0..300),
        number in any::<u64>(),
        at in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
        cut in 0..40_usize,
    ) {
        for (mut encrypter, mut decrypter) in ciphers() {
            let sealed = seal(&mut *encrypter, number, &text);
            prop_assert_eq!(open(&mut *decrypter, number, sealed.clone()), Ok(text.clone()));
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= flip;
            prop_assert_eq!(open(&mut *decrypter, number, changed), Err(Error::DecryptError));
            let other = number.wrapping_add(1);
            prop_assert_eq!(open(&mut *decrypter, other, sealed.clone()), Err(Error::DecryptError));
            let shorter = sealed[..sealed.len().saturating_sub(cut + 1)].to_vec();
            prop_assert_eq!(open(&mut *decrypter, number, shorter), Err(Error::DecryptError));
            prop_assert!(open(&mut *decrypter, number, text.clone()).is_err());
        }
    }
}

/// The longest text of a record passes, and one byte more is refused, though its tag is right.
#[test]
fn a_record_that_is_too_long_is_refused() {
    for (mut encrypter, mut decrypter) in ciphers() {
        let longest = vec![7; 1 << 14];
        let sealed = seal(&mut *encrypter, 1, &longest);
        assert_eq!(open(&mut *decrypter, 1, sealed), Ok(longest));
        let sealed = seal(&mut *encrypter, 2, &vec![7; (1 << 14) + 1]);
        assert_eq!(open(&mut *decrypter, 2, sealed), Err(Error::PeerSentOversizedRecord));
    }
}

/// A record of TLS 1.3 without a true type: an empty text under a right tag.
#[test]
fn a_record_without_a_type_is_refused() {
    let records = Tls13Records::<Aes256Gcm>::new();
    let (key, iv) = ([7; 32], [3; 12]);
    let cipher = crate::tls::record::KeyedCipher::<Aes256Gcm>::new(&key);
    for zeros in [0, 1, 40] {
        let mut sealed = vec![0; zeros];
        let header = rustls::crypto::cipher::make_tls13_aad(zeros + TAG_BYTES);
        let tag = cipher.seal(iv, &header, &mut sealed).unwrap();
        sealed.extend(tag);
        let mut decrypter = records.decrypter(AeadKey::from(key), Iv::new(iv));
        assert!(open(&mut *decrypter, 0, sealed).is_err(), "{zeros}");
    }
}
