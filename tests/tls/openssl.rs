//! Goal: what the provider's own server takes, OpenSSL takes, too. Method: `openssl s_server`, which sends
//! each line back reversed, for each kind of certificate; the client can do one suite, and prefers one group.

use pandad::net::NetStream;
use pandad::tls::provider;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KINDS: [&str; 6] = ["rsa2048", "rsa4096", "p256", "p384", "p521", "ed25519"];

/// Long enough for a busy machine.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tls").join(name)
}

/// An `openssl s_server` on a port of its own. It serves one connection after the other.
struct OpensslServer {
    process: Child,
    port: u16,
}

impl OpensslServer {
    fn start(kind: &str, more: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-rev", "-cert"]);
        command.arg(path(&format!("{kind}.pem"))).arg("-key").arg(path(&format!("{kind}.key"))).args(more);
        let started = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process =
            started.expect("openssl cannot be started: install it, e.g. by apt-get install openssl");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("openssl s_server ended at once").unwrap();
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.rsplit_once(':').unwrap().1.parse().unwrap();
            }
        };
        // What it prints about connections must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port }
    }

    fn connect(&self) -> NetStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        NetStream::tcp(stream)
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A client that believes the authority of this kind, and shows a certificate of this kind if asked.
fn client(provider: CryptoProvider, kind: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path(&format!("ca-{kind}.pem"))).unwrap()).unwrap();
    let versions: Vec<_> = rustls::ALL_VERSIONS
        .iter()
        .copied()
        .filter(|version| provider.cipher_suites.iter().any(|suite| suite.version() == *version))
        .collect();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&versions).unwrap().with_root_certificates(roots);
    let own = CertificateDer::from_pem_file(path(&format!("{kind}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(path(&format!("{kind}.key"))).unwrap();
    Arc::new(builder.with_client_auth_cert(vec![own], key).unwrap())
}

/// Whether a suite can be used with a kind of certificate.
fn fits(suite: SupportedCipherSuite, kind: &str) -> bool {
    let name = format!("{:?}", suite.suite());
    name.starts_with("TLS13") || name.contains("_RSA_") == kind.starts_with("rsa")
}

fn assert_reverses(stream: &mut NetStream, what: &str) {
    let text: String = ('a'..='z').cycle().take(3_000).collect();
    stream.write_all(format!("{text}\n").as_bytes(), soon()).unwrap_or_else(|why| panic!("{what}: {why}"));
    let mut answer = vec![0; text.len() + 1];
    stream.by(soon()).read_exact(&mut answer).unwrap_or_else(|why| panic!("{what}: {why}"));
    let expected: String = text.chars().rev().chain(['\n']).collect();
    assert!(answer == expected.as_bytes(), "{what}: {}", String::from_utf8_lossy(&answer));
}

#[test]
fn openssl_takes_each_suite_group_and_certificate() {
    let name = ServerName::try_from("localhost").unwrap();
    let mut shaken = 0;
    for kind in KINDS {
        let authority = path(&format!("ca-{kind}.pem"));
        // The client must show a certificate, too.
        let demand = ["-Verify", "1", "-verify_return_error", "-CAfile", authority.to_str().unwrap()];
        let server = OpensslServer::start(kind, &demand);
        for suite in provider().cipher_suites.into_iter().filter(|suite| fits(*suite, kind)) {
            for group in provider().kx_groups {
                let what = format!("{:?} {group:?} {kind}", suite.suite());
                // In TLS 1.2 OpenSSL also wants to know the curve of its own certificate among the groups.
                let groups = [vec![group], provider().kx_groups].concat();
                let only = CryptoProvider { cipher_suites: vec![suite], kx_groups: groups, ..provider() };
                let stream = server.connect().secure(client(only, kind), name.clone(), soon());
                let mut stream = stream.unwrap_or_else(|why| panic!("{what}: {why}"));
                let agreed = stream.tls().unwrap();
                assert_eq!(agreed.negotiated_cipher_suite(), Some(suite), "{what}");
                let used = agreed.negotiated_key_exchange_group().map(|group| group.name());
                assert_eq!(used, Some(group.name()), "{what}");
                assert_reverses(&mut stream, &what);
                shaken += 1;
            }
        }
    }
    assert_eq!(shaken, 4 * (3 * 6 + 3 * 2 + 3 * 4));
}

/// A server that has several certificates learns by SNI which of them the client wants.
#[test]
fn the_name_of_the_server_is_sent() {
    let (other, wanted) = ("p384", "p256");
    let certificate = path(&format!("{wanted}.pem"));
    let key = path(&format!("{wanted}.key"));
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    for version in ["-tls1_2", "-tls1_3"] {
        let more = ["-servername", "localhost", "-cert2", certificate, "-key2", key, version];
        let server = OpensslServer::start(other, &more);
        let name = ServerName::try_from("localhost").unwrap();
        let stream = server.connect().secure(client(provider(), wanted), name, soon());
        let mut stream = stream.unwrap_or_else(|why| panic!("{version}: {why}"));
        assert_reverses(&mut stream, version);
        // The server serves one connection after the other.
        drop(stream);
        // An address is no name, so the server shows its first certificate, which another authority signed.
        let address = ServerName::try_from("127.0.0.1").unwrap();
        let refused = server.connect().secure(client(provider(), wanted), address, soon()).map(|_| ());
        assert!(refused.unwrap_err().to_string().contains("UnknownIssuer"), "{version}");
    }
}
