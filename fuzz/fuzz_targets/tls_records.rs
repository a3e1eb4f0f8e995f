//! Records of TLS: any bytes are refused without a panic, what was sealed opens again, and what was changed
//! on the way never does.
#![no_main]

use aes_gcm::Aes256Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use libfuzzer_sys::fuzz_target;
use pandad::tls::record::{Tls12Records, Tls13Records};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
    OutboundPlainMessage, Tls12AeadAlgorithm, Tls13AeadAlgorithm,
};
use rustls::{ContentType, ProtocolVersion};

fuzz_target!(|input: (u64, u16, u8, &[u8])| {
    let (number, at, flip, text) = input;
    // A record has no more.
    let text = &text[..text.len().min(1 << 14)];
    for (mut encrypter, mut decrypter) in ciphers() {
        assert!(open(&mut *decrypter, number, &mut text.to_vec()).is_none());
        let plain = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(text),
        };
        let record = encrypter.encrypt(plain, number).unwrap().encode();
        let mut sealed = record[5..].to_vec();
        let at = usize::from(at) % sealed.len();
        sealed[at] ^= flip;
        let opened = open(&mut *decrypter, number, &mut sealed);
        assert_eq!(opened.as_deref(), (flip == 0).then_some(text));
    }
});

fn open(decrypter: &mut dyn MessageDecrypter, number: u64, sealed: &mut [u8]) -> Option<Vec<u8>> {
    let record = InboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, sealed);
    decrypter.decrypt(record, number).ok().map(|opened| opened.payload.to_vec())
}

/// Both directions of a connection, in each version and with the ciphers whose keys can be made from outside.
fn ciphers() -> Vec<(Box<dyn MessageEncrypter>, Box<dyn MessageDecrypter>)> {
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
