//! Goal: each form of a private key is read, signs what its certificate verifies, and fits only its own
//! certificate; what cannot be used is refused with a text that says why and holds nothing of the key.

use rsa::PrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::DecodePrivateKey;
use rustls::pki_types::{
    PrivateKeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, SignatureVerificationAlgorithm,
};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys, SignatureScheme};
use sha2::Sha256;

use super::peer::{certificate, key};
use crate::tls::provider;
use crate::tls::random::KernelRandom;
use crate::tls::verification::rsa::{PKCS1_SHA256, PSS_SHA256};

const KEYS: [(&str, &str); 10] = [
    ("rsa2048", "rsa2048"),
    ("rsa2048", "rsa2048-pkcs1"),
    ("rsa4096", "rsa4096"),
    ("p256", "p256"),
    ("p256", "p256-sec1"),
    ("p384", "p384"),
    ("p384", "p384-sec1"),
    ("p521", "p521"),
    ("p521", "p521-sec1"),
    ("ed25519", "ed25519"),
];

#[test]
fn a_key_fits_its_own_certificate_alone() {
    for (own, name) in KEYS {
        for other in ["rsa2048", "rsa4096", "p256", "p384", "p521", "ed25519"] {
            let fits = CertifiedKey::from_der(vec![certificate(other)], key(name), &provider());
            if other == own {
                fits.expect(name);
            } else {
                let why = fits.expect_err(name);
                assert_eq!(why, Error::InconsistentKeys(InconsistentKeys::KeyMismatch), "{name} {other}");
            }
        }
    }
}

/// The public key inside a SubjectPublicKeyInfo: the content of its last BIT STRING.
fn point(key: &dyn SigningKey) -> Vec<u8> {
    let info = key.public_key().unwrap();
    let info = info.as_ref();
    // The kind of the key is a SEQUENCE, and after it comes 03, the length, and 00 for unused bits.
    let mut rest = skip_head(info);
    let kind = usize::from(rest[1]) + 2;
    rest = &rest[kind..];
    assert_eq!(rest[0], 3);
    let content = skip_head(rest);
    assert_eq!(content[0], 0);
    content[1..].to_vec()
}

fn skip_head(der: &[u8]) -> &[u8] {
    let long = if der[1] < 0x80 { 0 } else { usize::from(der[1] & 0x7f) };
    &der[2 + long..]
}

#[test]
fn what_a_key_signs_is_verified() {
    let schemes = [
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RSA_PSS_SHA512,
        SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::RSA_PKCS1_SHA384,
        SignatureScheme::RSA_PKCS1_SHA512,
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::ECDSA_NISTP521_SHA512,
        SignatureScheme::ED25519,
    ];
    let provider = provider();
    let mut signed = 0;
    for (_, name) in KEYS {
        let key = provider.key_provider.load_private_key(key(name)).expect(name);
        for scheme in schemes {
            let Some(signer) = key.choose_scheme(&[scheme]) else { continue };
            assert_eq!(signer.scheme(), scheme);
            let signature = signer.sign(b"message").unwrap();
            let all = provider.signature_verification_algorithms.mapping;
            let (_, verifiers) = all.iter().find(|(one, _)| *one == scheme).unwrap();
            let point = point(&*key);
            assert!(
                verifiers[0].verify_signature(&point, b"message", &signature).is_ok(),
                "{name} {scheme:?}"
            );
            assert!(verifiers[0].verify_signature(&point, b"massage", &signature).is_err());
            signed += 1;
        }
        assert!(key.choose_scheme(&[SignatureScheme::ECDSA_SHA1_Legacy]).is_none());
    }
    assert_eq!(signed, 3 * 6 + 7);
}

/// RSA keys sign with PSS if the server knows it, since TLS 1.3 knows nothing else.
#[test]
fn pss_is_preferred() {
    let key = provider().key_provider.load_private_key(key("rsa2048")).unwrap();
    let offered = [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PSS_SHA512];
    assert_eq!(key.choose_scheme(&offered).unwrap().scheme(), SignatureScheme::RSA_PSS_SHA512);
}

#[test]
fn what_cannot_be_used_is_refused_with_a_reason() {
    let load = |key| provider().key_provider.load_private_key(key).expect_err("refused").to_string();
    for (key, part) in [
        (key("rsa1024"), "RSA with 1024 bits; TLS needs 2048"),
        (key("secp256k1"), "not an EC key on P-256, P-384 or P-521"),
        (key("x25519"), "of the kind 1.3.101.110, not RSA, EC or Ed25519"),
        (PrivatePkcs8KeyDer::from(b"garbage".as_slice()).into(), "not PKCS #8"),
        (PrivateSec1KeyDer::from(b"garbage".as_slice()).into(), "not an EC key"),
    ] {
        let why = load(key);
        assert!(why.contains("the private key cannot be used: ") && why.contains(part), "{why}");
    }
}

/// Nothing of a key shows in what could be logged.
#[test]
fn keys_are_not_shown() {
    for (_, name) in KEYS {
        let der = key(name);
        let loaded = provider().key_provider.load_private_key(der.clone_key()).unwrap();
        let signer = loaded.choose_scheme(&[
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
        ]);
        for shown in [format!("{loaded:?}"), format!("{:?}", signer.unwrap())] {
            let (start, rest) = shown.split_once(" { ").unwrap();
            assert!(["LoadedKey", "SchemeSigner"].contains(&start), "{shown}");
            assert!(rest.len() < 60 && rest.ends_with(", .. }"), "{shown}");
        }
        assert!(matches!(der, PrivateKeyDer::Pkcs8(_) | PrivateKeyDer::Pkcs1(_) | PrivateKeyDer::Sec1(_)));
    }
}

/// A signature that is right, by a key that is too short to be believed.
#[test]
fn short_rsa_keys_prove_nothing() {
    let short = PrivateKey::from_pkcs8_der(key("rsa1024").secret_der()).unwrap();
    let public = short.as_public_key().to_pkcs1_der().unwrap();
    let pkcs1 = short.pkcs1v15_sign_with_rng::<Sha256, _>(&mut KernelRandom, b"message").unwrap();
    let pss = short.pss_sign_with_rng::<Sha256, _>(&mut KernelRandom, b"message").unwrap();
    assert!(short.as_public_key().pkcs1v15_verify::<Sha256>(b"message", &pkcs1).is_ok());
    assert!(PKCS1_SHA256.verify_signature(public.as_bytes(), b"message", &pkcs1).is_err());
    assert!(PSS_SHA256.verify_signature(public.as_bytes(), b"message", &pss).is_err());
}
