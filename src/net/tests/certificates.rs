//! Whose certificate is trusted, which one is shown, and what is said otherwise.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::servers::{path, soon, tcp};
use crate::net::{NetStream, TlsClient, TlsSettings};
use crate::tls::{provider, sha256};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path(&format!("{name}.pem"))).unwrap()
}

/// Shows a certificate, also one that it has no right to: the key is that of `key`.
#[derive(Debug)]
struct Shows {
    certificate: &'static str,
    key: &'static str,
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = PrivateKeyDer::from_pem_file(path(&format!("{}.key", self.key))).unwrap();
        let key = provider().key_provider.load_private_key(key).unwrap();
        Some(Arc::new(CertifiedKey::new(vec![certificate(self.certificate)], key)))
    }
}

fn config(shows: Shows, version: &'static SupportedProtocolVersion, demands: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let builder = if demands {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca-rsa2048")).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    Arc::new(builder.with_cert_resolver(Arc::new(shows)))
}

/// A server of one connection, which answers with what it is told.
fn serve(config: Arc<ServerConfig>) -> (NetStream, JoinHandle<io::Result<()>>) {
    let (client, server) = tcp();
    let thread = std::thread::spawn(move || {
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), server);
        let mut word = [0; 4];
        stream.read_exact(&mut word)?;
        stream.write_all(&word)?;
        stream.flush()
    });
    (NetStream::tcp(client), thread)
}

/// Sends a word and reads the answer.
fn talk(client: &TlsClient, host: &str, server: Arc<ServerConfig>) -> Result<(), String> {
    let (stream, thread) = serve(server);
    let talked = (|| {
        let mut stream = client.secure(stream, host, soon())?;
        stream.write_all(b"ping", soon())?;
        let mut answer = [0; 4];
        stream.by(soon()).read_exact(&mut answer)?;
        assert_eq!(&answer, b"ping");
        Ok(())
    })();
    let served = thread.join().unwrap();
    assert_eq!(talked.is_ok(), served.is_ok(), "{talked:?} {served:?}");
    talked.map_err(|error: io::Error| error.to_string())
}

fn trusts(ca: &str) -> TlsSettings {
    TlsSettings { ca: path(&format!("{ca}.pem")), ..TlsSettings::default() }
}

/// Talks with a server that has this certificate, by both versions, and expects these words in the refusal.
fn assert_refused(settings: &TlsSettings, host: &str, shows: &'static str, words: &[&str]) {
    for version in VERSIONS {
        let server = config(Shows { certificate: shows, key: shows }, version, false);
        let refused = talk(&TlsClient::new(settings.clone()), host, server).expect_err(shows);
        for word in words {
            assert!(refused.contains(word), "{shows} {:?}: no '{word}' in: {refused}", version.version);
        }
    }
}

fn assert_trusted(settings: &TlsSettings, host: &str, shows: &'static str) {
    for version in VERSIONS {
        let server = config(Shows { certificate: shows, key: shows }, version, false);
        let talked = talk(&TlsClient::new(settings.clone()), host, server);
        assert_eq!(talked, Ok(()), "{shows} {:?}", version.version);
    }
}

#[test]
fn a_certificate_is_trusted_for_its_authority_and_name() {
    for kind in ["p256", "rsa2048"] {
        let settings = trusts(&format!("ca-{kind}"));
        assert_trusted(&settings, "localhost", kind);
        assert_trusted(&settings, "127.0.0.1", kind);
    }
    let named = TlsSettings { name: "localhost".to_owned(), ..trusts("ca-p256") };
    assert_trusted(&named, "10.1.2.3", "p256");
    let any = TlsSettings { any_name: true, ..trusts("ca-p256") };
    assert_trusted(&any, "kafka.example.org", "p256");
    assert_trusted(&TlsSettings { any_name: true, ..trusts("ca-odd") }, "localhost", "nameless");
}

#[test]
fn a_refusal_says_why_and_what_to_do() {
    let odd = trusts("ca-odd");
    let any = TlsSettings { any_name: true, ..odd.clone() };
    for settings in [&odd, &any] {
        let words = ["certificate of localhost", "has expired", "clock says 20", "renew it"];
        assert_refused(settings, "localhost", "expired", &words);
        let facts = ["CN=expired", "issuer CN=ca-odd", "from 2020-01-01T00:00:00Z to 2021-01-01T00:00:00Z"];
        assert_refused(settings, "localhost", "expired", &facts);
        assert_refused(settings, "localhost", "future", &["not valid yet", "set the clock", "2100-01-01"]);
    }
    assert_refused(
        &odd,
        "localhost",
        "nameless",
        &["made out to no name, not to localhost", "tls_verify='ca'"],
    );
    let words = ["DnsName(\"localhost\")", "not to kafka.example.org", "tls_name"];
    assert_refused(&trusts("ca-p256"), "kafka.example.org", "p256", &words);
    for any_name in [false, true] {
        let other = TlsSettings { any_name, ..trusts("ca-p384") };
        assert_refused(&other, "localhost", "p256", &["ca-p384.pem holds no authority", "tls_ca"]);
        let words = ["version 1", "make it of version 3", "tls_pin='"];
        assert_refused(&TlsSettings { any_name, ..odd.clone() }, "localhost", "v1-p256", &words);
    }
}

/// The pin that a refusal names is the one to write down.
#[test]
fn a_pinned_certificate_needs_nothing_else() {
    for name in ["v1-p256", "v1-rsa2048", "expired", "p384", "ed25519", "rsa2048"] {
        let pin = sha256(&certificate(name));
        let pinned = TlsSettings { pin: Some(pin), ..TlsSettings::default() };
        assert_trusted(&pinned, "kafka.example.org", name);
        let text: String = pin.iter().map(|byte| format!("{byte:02x}")).collect();
        let other = TlsSettings { pin: Some([7; 32]), ..TlsSettings::default() };
        let words = ["not the one that tls_pin trusts", text.as_str()];
        assert_refused(&other, "localhost", name, &words);
    }
}

/// Everybody can show a certificate; only its owner has the key.
#[test]
fn a_certificate_without_its_key_is_refused() {
    let settings = [
        ("p256", "p384", trusts("ca-p256")),
        ("p256", "v1-p256", trusts("ca-p256")),
        ("v1-p256", "p256", TlsSettings { pin: Some(sha256(&certificate("v1-p256"))), ..Default::default() }),
        ("v1-p256", "p384", TlsSettings { pin: Some(sha256(&certificate("v1-p256"))), ..Default::default() }),
        (
            "rsa2048",
            "v1-rsa2048",
            TlsSettings { pin: Some(sha256(&certificate("rsa2048"))), ..Default::default() },
        ),
    ];
    for (certificate, key, settings) in settings {
        for version in VERSIONS {
            let server = config(Shows { certificate, key }, version, false);
            let refused = talk(&TlsClient::new(settings.clone()), "localhost", server);
            assert!(refused.is_err(), "{certificate} {key} {:?}", version.version);
        }
    }
}

#[test]
fn a_client_shows_its_certificate() {
    let shows = |certificate: &str, key: &str| TlsSettings {
        certificate: path(&format!("{certificate}.pem")),
        key: path(&format!("{key}.key")),
        ..trusts("ca-p256")
    };
    for version in VERSIONS {
        let server = || config(Shows { certificate: "p256", key: "p256" }, version, true);
        for key in ["rsa2048", "rsa2048-pkcs1"] {
            let client = TlsClient::new(shows("rsa2048", key));
            assert_eq!(talk(&client, "localhost", server()), Ok(()), "{key} {:?}", version.version);
        }
        let missing = talk(&TlsClient::new(trusts("ca-p256")), "localhost", server()).unwrap_err();
        assert!(missing.contains("probably wants a client certificate"), "{missing}");
        let wrong = talk(&TlsClient::new(shows("p384", "p384")), "localhost", server()).unwrap_err();
        assert!(!wrong.contains("wants a client certificate") && wrong.contains("alert"), "{wrong}");
    }
}

/// Connects to a server that need not answer.
fn refusal(settings: TlsSettings) -> String {
    let (client, _server) = tcp();
    let refused = TlsClient::new(settings).secure(NetStream::tcp(client), "localhost", soon());
    refused.map(drop).unwrap_err().to_string()
}

#[test]
fn files_that_do_not_fit_are_named() {
    let shows = |certificate: &str, key: &str| TlsSettings {
        certificate: path(certificate),
        key: path(key),
        ..trusts("ca-p256")
    };
    let other = refusal(shows("p256.pem", "p384.key"));
    assert!(other.contains("p256.pem with the key") && other.contains("p384.key"), "{other}");
    let encrypted = refusal(shows("p256.pem", "p256-encrypted.key"));
    assert!(encrypted.contains("p256-encrypted.key") && encrypted.contains("openssl pkey"), "{encrypted}");
    assert!(refusal(shows("p256.key", "p256.key")).contains("p256.key: there is no certificate"));
    assert!(refusal(shows("p256.pem", "missing.key")).contains("missing.key: No such file"));
    let no_authority = refusal(TlsSettings { ca: path("p256.key"), ..TlsSettings::default() });
    assert!(no_authority.contains("p256.key: there is no certificate of an authority"), "{no_authority}");
    let name = refusal(TlsSettings { name: "a b".to_owned(), ..trusts("ca-p256") });
    assert!(name.contains("a b is no name"), "{name}");
}

/// Whoever renews a certificate need not restart pandad.
#[test]
fn changed_files_are_read_again() {
    let own = std::env::temp_dir().join(format!("pandad-net-{}-ca.pem", std::process::id()));
    let put = |name: &str| {
        let new: PathBuf = own.with_extension("new");
        std::fs::copy(path(name), &new).unwrap();
        std::fs::rename(&new, &own).unwrap();
    };
    put("ca-p384.pem");
    let client = TlsClient::new(TlsSettings { ca: own.clone(), ..TlsSettings::default() });
    let server = || config(Shows { certificate: "p256", key: "p256" }, &TLS13, false);
    assert!(talk(&client, "localhost", server()).is_err());
    put("ca-p256.pem");
    assert_eq!(talk(&client, "localhost", server()), Ok(()));
    put("ca-p384.pem");
    assert!(talk(&client.clone(), "localhost", server()).is_err());
    std::fs::remove_file(&own).unwrap();
}

/// A port that is not for TLS.
#[test]
fn a_server_without_tls_is_named() {
    let answers: [fn(&mut TcpStream); 3] = [
        |_| {},
        |stream| stream.write_all(b"-ERR unknown command, with args beginning with:\r\n").unwrap(),
        |stream| {
            // Closed before all was read: a reset.
            let _ = stream.read(&mut [0; 1]).unwrap();
        },
    ];
    for answer in answers {
        let (client, mut server) = tcp();
        let thread = std::thread::spawn(move || answer(&mut server));
        let client = TlsClient::new(trusts("ca-p256")).secure(NetStream::tcp(client), "localhost", soon());
        let error = client.map(drop).unwrap_err();
        thread.join().unwrap();
        assert!(error.to_string().contains("speaks no TLS"), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}

/// Redis on a plain port takes the beginning of TLS for that of a line.
#[test]
fn a_server_that_waits_for_more_is_named() {
    let (client, _silent) = tcp();
    let until = Instant::now() + Duration::from_millis(100);
    let late = TlsClient::new(trusts("ca-p256")).secure(NetStream::tcp(client), "localhost", until);
    let error = late.map(drop).unwrap_err().to_string();
    assert!(error.contains("no answer came in time") && error.contains("speaks no TLS"), "{error}");
}
