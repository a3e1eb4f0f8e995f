//! Goal: each suite, group and kind of certificate works, on both sides. Method: a client and a server of
//! which each can do only one suite and one group shake hands, show certificates to each other, and exchange
//! more than a record.

use std::sync::Arc;

use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite};

use super::peer::{Pair, client, only, server};
use crate::tls::key_exchange::GROUPS;
use crate::tls::provider;
use crate::tls::provider::suites;

const RSA: [&str; 2] = ["rsa2048", "rsa4096"];
const EC: [&str; 4] = ["p256", "p384", "p521", "ed25519"];

/// The kinds of certificate that a suite can be used with.
fn kinds(suite: SupportedCipherSuite) -> Vec<&'static str> {
    let name = format!("{:?}", suite.suite());
    if name.starts_with("TLS13") {
        RSA.into_iter().chain(EC).collect()
    } else if name.starts_with("TLS_ECDHE_RSA") {
        RSA.to_vec()
    } else {
        assert!(name.starts_with("TLS_ECDHE_ECDSA"), "{name}");
        EC.to_vec()
    }
}

#[test]
fn every_suite_with_every_group_and_certificate() {
    let text: Vec<u8> = (0..40_000_u32).map(|i| (i % 251) as u8).collect();
    let mut shaken = 0;
    for suite in provider().cipher_suites {
        for group in GROUPS {
            for kind in kinds(suite) {
                // Long keys and the long curve take a second without optimization.
                if is_slow(kind, group.name()) && !all() {
                    continue;
                }
                let provider = only(suite, *group);
                let authority = format!("ca-{kind}");
                let mut pair = Pair::new(
                    client(&provider, &authority, Some(kind)),
                    server(&provider, kind, Some(&authority)),
                );
                let what = format!("{:?} {group:?} {kind}", suite.suite());
                pair.shake(|_, _| {}).unwrap_or_else(|why| panic!("{what}: {why:?}"));
                assert_eq!(pair.client.negotiated_cipher_suite(), Some(suite), "{what}");
                let used = pair.client.negotiated_key_exchange_group().map(|group| group.name());
                assert_eq!(used, Some(group.name()), "{what}");
                assert_eq!(pair.server.peer_certificates().map(<[_]>::len), Some(1), "{what}");
                pair.exchange(&text).unwrap_or_else(|why| panic!("{what}: {why:?}"));
                shaken += 1;
            }
        }
    }
    // Suites of TLS 1.3 go with all six kinds, those of TLS 1.2 with the kinds of their names.
    let pairs = 3 * 6 + 3 * 2 + 3 * 4;
    assert_eq!(shaken, if all() { 4 * pairs } else { pairs + 3 * (3 * 4 + 3 + 3 * 3) });
}

fn all() -> bool {
    std::env::var_os("PANDAD_TEST_ALL").is_some()
}

/// Left out of the short run, except with X25519.
fn is_slow(kind: &str, group: NamedGroup) -> bool {
    ["rsa4096", "p521"].contains(&kind) && group != NamedGroup::X25519
}

/// What authorities really do: hashes that are not the curve's own, and the other padding of RSA.
#[test]
fn certificates_that_are_signed_in_other_ways() {
    let provider = Arc::new(provider());
    for (own, authority) in [
        ("by-p256-sha512", "ca-p256"),
        ("by-p384-sha256", "ca-p384"),
        ("by-p521-sha256", "ca-p521"),
        ("by-rsa-pss", "ca-rsa2048"),
    ] {
        let mut pair = Pair::new(client(&provider, authority, None), server(&provider, own, None));
        pair.shake(|_, _| {}).unwrap_or_else(|why| panic!("{own}: {why:?}"));
        pair.exchange(b"text").unwrap();
    }
}

/// A client that is not told otherwise takes what both can do best, and goes on with a session.
#[test]
fn without_limits_both_choose_the_preferred_suite_and_resume() {
    let provider = Arc::new(provider());
    let client = Arc::new(client(&provider, "ca-p256", None));
    let server = server(&provider, "p256", None);
    for resumed in [false, true] {
        let mut pair = Pair::new((*client).clone(), server.clone());
        pair.shake(|_, _| {}).unwrap();
        assert_eq!(pair.client.negotiated_cipher_suite(), provider.cipher_suites.first().copied());
        let kind = pair.client.handshake_kind();
        assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed, "{kind:?}");
        pair.exchange(b"text").unwrap();
    }
}

#[test]
fn chacha20_comes_first_without_aes_instructions() {
    let first = |has_aes| suites(has_aes).first().map(SupportedCipherSuite::suite);
    assert_eq!(first(true), Some(CipherSuite::TLS13_AES_256_GCM_SHA384));
    assert_eq!(first(false), Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256));
    for has_aes in [true, false] {
        let mut names: Vec<_> = suites(has_aes).iter().map(|suite| format!("{:?}", suite.suite())).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 9, "{names:?}");
    }
    // Within a version, too: a server of TLS 1.2 must see ChaCha20 before AES.
    let names: Vec<_> = suites(false).iter().map(|suite| format!("{:?}", suite.suite())).collect();
    let last_chacha = names.iter().rposition(|name| name.contains("CHACHA20")).unwrap();
    let first_aes = names.iter().position(|name| name.contains("AES")).unwrap();
    assert!(last_chacha < first_aes, "{names:?}");
}
