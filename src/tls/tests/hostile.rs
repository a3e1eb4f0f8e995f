//! Goal: a peer, or somebody between, that does not keep to the rules is refused. Method: records and flights
//! are changed on their way, and a server signs wrongly or sends keys that give the secret away.

use std::io::Write;
use std::sync::Arc;

use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    AlertDescription, CertificateError, Error, NamedGroup, PeerMisbehaved, ServerConfig, SignatureAlgorithm,
    SignatureScheme, SupportedCipherSuite,
};

use super::peer::{Pair, certificate, client, key, only, server};
use crate::tls::key_exchange::GROUPS;
use crate::tls::provider;

/// The certificate that goes with a suite.
fn kind(suite: SupportedCipherSuite) -> &'static str {
    if format!("{:?}", suite.suite()).contains("RSA") { "rsa2048" } else { "p256" }
}

/// A pair that has shaken hands with this suite.
fn connected(suite: SupportedCipherSuite) -> Pair {
    let (provider, kind) = (only(suite, GROUPS[0]), kind(suite));
    let mut pair = Pair::new(client(&provider, &format!("ca-{kind}"), None), server(&provider, kind, None));
    pair.shake(|_, _| {}).unwrap();
    pair
}

/// The records that the client sends for this text.
fn records(pair: &mut Pair, text: &[u8]) -> Vec<u8> {
    pair.client.writer().write_all(text).unwrap();
    let mut sent = Vec::new();
    while pair.client.wants_write() {
        pair.client.write_tls(&mut sent).unwrap();
    }
    sent
}

/// What the server says about these bytes.
fn received(pair: &mut Pair, mut bytes: &[u8]) -> Result<usize, Error> {
    let mut plain = 0;
    while !bytes.is_empty() {
        pair.server.read_tls(&mut bytes).unwrap();
        plain = pair.server.process_new_packets()?.plaintext_bytes_to_read();
    }
    Ok(plain)
}

/// Each byte behind the head of a record is changed once, in each suite. Nothing is let through.
#[test]
fn changed_records_are_refused() {
    for suite in provider().cipher_suites {
        let text = b"24 bytes of one record..";
        let length = records(&mut connected(suite), text).len();
        for at in 5..length {
            let mut pair = connected(suite);
            let mut sent = records(&mut pair, text);
            sent[at] ^= 1 << (at % 8);
            assert_eq!(received(&mut pair, &sent), Err(Error::DecryptError), "{suite:?} {at}");
        }
    }
}

/// A record that comes twice, that comes too early, that is cut off, and that says another type.
#[test]
fn records_out_of_place_are_refused() {
    for suite in provider().cipher_suites {
        let mut pair = connected(suite);
        let first = records(&mut pair, b"first");
        assert_eq!(received(&mut pair, &first), Ok(5));
        assert_eq!(received(&mut pair, &first), Err(Error::DecryptError), "{suite:?}");

        let mut pair = connected(suite);
        let _first = records(&mut pair, b"first");
        let second = records(&mut pair, b"second");
        assert_eq!(received(&mut pair, &second), Err(Error::DecryptError), "{suite:?}");

        let mut pair = connected(suite);
        let mut short = records(&mut pair, b"first");
        short.pop();
        let length = u16::try_from(short.len() - 5).unwrap();
        short[3..5].copy_from_slice(&length.to_be_bytes());
        assert_eq!(received(&mut pair, &short), Err(Error::DecryptError), "{suite:?}");

        // TLS 1.3 has the true type inside.
        if suite.version() == &rustls::version::TLS12 {
            let mut pair = connected(suite);
            let mut other = records(&mut pair, b"first");
            other[0] = 22;
            assert_eq!(received(&mut pair, &other), Err(Error::DecryptError), "{suite:?}");
        }

        let mut pair = connected(suite);
        let nothing = [23, 3, 3, 0, 3, 1, 2, 3];
        assert_eq!(received(&mut pair, &nothing), Err(Error::DecryptError), "{suite:?}");
    }
}

/// Every byte of the server's flights is changed once: the handshake never succeeds.
#[test]
fn changed_handshakes_never_succeed() {
    let all = provider().cipher_suites;
    // TLS 1.3 hides what comes after the first message; TLS 1.2 shows the key and its signature.
    for suite in [all[0], all[3]] {
        let mut first = Vec::new();
        let (provider, kind) = (only(suite, GROUPS[0]), kind(suite));
        let pair =
            || Pair::new(client(&provider, &format!("ca-{kind}"), None), server(&provider, kind, None));
        let mut keep = |from_client: bool, flight: &mut Vec<u8>| {
            if !from_client && first.is_empty() {
                first.clone_from(flight);
            }
        };
        pair().shake(&mut keep).unwrap();
        let ignored = record_versions(&first);
        for at in (0..first.len()).filter(|at| !ignored.contains(at)).step_by(3) {
            let mut changed = false;
            let mut pair = pair();
            let shaken = pair.shake(|from_client, flight| {
                // Another handshake's flight can be a byte or two shorter: signatures are.
                if !from_client && !changed && at < flight.len() {
                    flight[at] ^= 0x10;
                    changed = true;
                }
            });
            // A length that says more than comes leaves both waiting.
            let done = shaken.is_ok() && !pair.client.is_handshaking() && !pair.server.is_handshaking();
            assert!(!done || !changed, "{suite:?} byte {at} of {}", first.len());
        }
    }
}

/// Where the versions stand in the heads of the records. They must be ignored (RFC 8446, 5.1).
fn record_versions(flight: &[u8]) -> Vec<usize> {
    let (mut versions, mut at) = (Vec::new(), 0);
    while let Some(head) = flight.get(at..at + 5) {
        versions.extend([at + 1, at + 2]);
        at += 5 + usize::from(u16::from_be_bytes([head[3], head[4]]));
    }
    versions
}

/// Signs, and changes one bit of what it signed.
#[derive(Debug)]
struct Forger(Arc<dyn SigningKey>);

impl SigningKey for Forger {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.0.choose_scheme(offered).map(|signer| Box::new(Forged(signer)) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct Forged(Box<dyn Signer>);

impl Signer for Forged {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = self.0.sign(message)?;
        *signature.last_mut().unwrap() ^= 1;
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A server that shows a certificate whose key it does not have.
fn forging(provider: &Arc<CryptoProvider>, own: &str) -> ServerConfig {
    let real = provider.key_provider.load_private_key(key(own)).unwrap();
    let shown = CertifiedKey::new(vec![certificate(own)], Arc::new(Forger(real)));
    let mut config = server(provider, own, None);
    config.cert_resolver = Arc::new(Shown(Arc::new(shown)));
    config
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_refused() {
    let all = provider().cipher_suites;
    for suite in all {
        let kinds: &[&str] = match kind(suite) {
            "rsa2048" => &["rsa2048", "rsa4096"],
            _ => &["p256", "p384", "p521", "ed25519"],
        };
        for kind in kinds {
            let provider = only(suite, GROUPS[0]);
            let mut pair =
                Pair::new(client(&provider, &format!("ca-{kind}"), None), forging(&provider, kind));
            let refused = pair.shake(|_, _| {});
            let expected = Error::InvalidCertificate(CertificateError::BadSignature);
            assert_eq!(refused, Err((true, expected)), "{suite:?} {kind}");
        }
    }
}

/// A certificate of another authority, and one that the right authority did not sign though it says so.
#[test]
fn a_certificate_of_another_authority_is_refused() {
    let provider = Arc::new(provider());
    for authority in ["ca-rsa2048", "ca-p384", "ca-p521", "ca-ed25519"] {
        let mut pair = Pair::new(client(&provider, authority, None), server(&provider, "p256", None));
        let refused = pair.shake(|_, _| {});
        let expected = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(refused, Err((true, expected)), "{authority}");
        let mut pair =
            Pair::new(client(&provider, "ca-p256", Some("p256")), server(&provider, "p256", Some(authority)));
        let refused = pair.shake(|_, _| {}).unwrap_err();
        assert!(!refused.0 && matches!(refused.1, Error::InvalidCertificate(_)), "{refused:?}");
    }
}

/// A key of a group that always sends this share.
#[derive(Debug)]
struct FixedShare {
    group: NamedGroup,
    share: &'static [u8],
}

impl SupportedKxGroup for FixedShare {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Self { ..*self }))
    }

    fn name(&self) -> NamedGroup {
        self.group
    }
}

impl ActiveKeyExchange for FixedShare {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
        Ok(SharedSecret::from([0; 32].as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        self.share
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

/// The server's share makes a secret that everybody knows. The client must not go on, in neither version.
#[test]
fn shares_that_give_the_secret_away_end_the_handshake() {
    let zeros = FixedShare { group: NamedGroup::X25519, share: &[0; 32] };
    let infinity = FixedShare { group: NamedGroup::secp256r1, share: &[0] };
    let origin = FixedShare { group: NamedGroup::secp256r1, share: &[4; 65] };
    let short = FixedShare { group: NamedGroup::secp384r1, share: &[4; 65] };
    let all = provider().cipher_suites;
    for (suite, ours, theirs) in [
        (all[0], GROUPS[0], zeros),
        (all[3], GROUPS[0], FixedShare { group: NamedGroup::X25519, share: &[0; 32] }),
        (all[0], GROUPS[1], infinity),
        (all[0], GROUPS[1], origin),
        (all[0], GROUPS[2], short),
    ] {
        let what = format!("{suite:?} {theirs:?}");
        let theirs: &'static FixedShare = Box::leak(Box::new(theirs));
        let mut pair = Pair::new(
            client(&only(suite, ours), "ca-p256", None),
            server(&only(suite, theirs), "p256", None),
        );
        let refused = pair.shake(|_, _| {}).unwrap_err();
        assert_eq!(refused, (true, PeerMisbehaved::InvalidKeyShare.into()), "{what}");
        // The server hears of it.
        let mut alert = Vec::new();
        pair.client.write_tls(&mut alert).unwrap();
        let heard = received(&mut pair, &alert).unwrap_err();
        assert_eq!(heard, Error::AlertReceived(AlertDescription::IllegalParameter), "{what}");
    }
}
