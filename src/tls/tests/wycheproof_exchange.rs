//! Goal: a peer's key that gives the secret away, or is none, is refused. Method: Wycheproof's vectors, and
//! degenerate keys made by hand.

use p256::elliptic_curve::SecretKey;
use rustls::crypto::ActiveKeyExchange;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use wycheproof::{ecdh, xdh};

use crate::tls::key_exchange::{GROUPS, NistExchange, X25519Exchange};

fn refused() -> Error {
    PeerMisbehaved::InvalidKeyShare.into()
}

#[test]
fn x25519() {
    let mut counted = (0, 0);
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let exchange = Box::new(X25519Exchange::new(test.private_key.as_slice().try_into().unwrap()));
        let shared = exchange.complete(&test.public_key).map(|shared| shared.secret_bytes().to_vec());
        // TLS must refuse zeros (RFC 8446, 7.4.2), which Wycheproof accepts.
        if test.shared_secret.iter().all(|byte| *byte == 0) {
            assert_eq!(shared, Err(refused()), "{test:?}");
            counted.1 += 1;
        } else {
            assert_eq!(shared.as_ref().ok(), Some(&*test.shared_secret), "{test:?}");
            counted.0 += 1;
        }
    }
    assert!(counted.0 > 400 && counted.1 > 20, "{counted:?}");
}

/// Pads a private key, which the vectors write as a number, to the length of the curve's numbers.
fn padded(key: &[u8], length: usize) -> Vec<u8> {
    let digits: Vec<u8> = key.iter().copied().skip_while(|byte| *byte == 0).collect();
    [vec![0; length - digits.len()], digits].concat()
}

fn check(
    name: ecdh::TestName,
    exchange: impl Fn(&[u8]) -> Box<dyn ActiveKeyExchange>,
    length: usize,
) -> (usize, usize) {
    let mut counted = (0, 0);
    let set = ecdh::TestSet::load(name).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let exchange = exchange(&padded(&test.private_key, length));
        let shared = exchange.complete(&test.public_key).map(|shared| shared.secret_bytes().to_vec());
        // TLS knows no compressed points.
        let compressed = test.flags.contains(&ecdh::TestFlag::CompressedPoint);
        if test.result.must_fail() || compressed {
            assert_eq!(shared, Err(refused()), "{test:?}");
            counted.1 += 1;
        } else {
            assert_eq!(shared.as_ref().ok(), Some(&*test.shared_secret), "{test:?}");
            counted.0 += 1;
        }
    }
    counted
}

#[test]
fn nist_curves() {
    let p256 = |key: &[u8]| -> Box<dyn ActiveKeyExchange> {
        let key = SecretKey::<p256::NistP256>::from_slice(key).unwrap();
        Box::new(NistExchange::new(NamedGroup::secp256r1, key))
    };
    let p384 = |key: &[u8]| -> Box<dyn ActiveKeyExchange> {
        let key = SecretKey::<p384::NistP384>::from_slice(key).unwrap();
        Box::new(NistExchange::new(NamedGroup::secp384r1, key))
    };
    let p521 = |key: &[u8]| -> Box<dyn ActiveKeyExchange> {
        let key = SecretKey::<p521::NistP521>::from_slice(key).unwrap();
        Box::new(NistExchange::new(NamedGroup::secp521r1, key))
    };
    let counted = [
        check(ecdh::TestName::EcdhSecp256r1Ecpoint, p256, 32),
        check(ecdh::TestName::EcdhSecp384r1Ecpoint, p384, 48),
        check(ecdh::TestName::EcdhSecp521r1Ecpoint, p521, 66),
    ];
    for (valid, invalid) in counted {
        assert!(valid > 100 && invalid > 10, "{counted:?}");
    }
}

/// Keys of a wrong length, zeros, the point at infinity, and points beside the curve.
#[test]
fn degenerate_keys_are_refused_by_each_group() {
    for group in GROUPS {
        let good = group.start().unwrap().pub_key().to_vec();
        assert!(group.start().unwrap().complete(&good).is_ok());
        let is_x25519 = group.name() == NamedGroup::X25519;
        let mut bad = vec![
            Vec::new(),
            vec![0],
            vec![0; good.len()],
            good[..good.len() - 1].to_vec(),
            [good.as_slice(), &[0]].concat(),
        ];
        if !is_x25519 {
            let flipped = |at: usize| {
                let mut key = good.clone();
                key[at] ^= 1;
                key
            };
            let half = good.len() / 2;
            // A point beside the curve, a hybrid point, a compressed point, coordinates beyond the field.
            bad.extend([flipped(1), flipped(good.len() - 1), flipped(half)]);
            bad.extend([[&[6], &good[1..]].concat(), [&[7], &good[1..]].concat()]);
            bad.extend([[&[2], &good[1..=half]].concat(), [&[3], &good[1..=half]].concat()]);
            bad.push([vec![4], vec![0xff; good.len() - 1]].concat());
            bad.push([vec![4], vec![0; good.len() - 1]].concat());
        }
        for key in bad {
            let shared = group.start().unwrap().complete(&key).map(|_| ());
            assert_eq!(shared, Err(refused()), "{group:?} {key:02x?}");
        }
    }
}

/// Two keys are never the same.
#[test]
fn each_key_is_new() {
    for group in GROUPS {
        let keys = [group.start().unwrap(), group.start().unwrap()];
        assert_ne!(keys[0].pub_key(), keys[1].pub_key());
        assert_eq!(keys[0].group(), group.name());
    }
}
