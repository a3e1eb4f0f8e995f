//! The keys of TLS, which Kafka and each Redis server have.

use std::path::PathBuf;

use crate::config::choices::TlsVerify;
use crate::config::key::{Key, KeyFacts};
use crate::config::kind::Pin;

/// The keys of TLS for one server or cluster.
#[derive(Debug)]
pub struct TlsKeys {
    /// The certificates of the authorities that are trusted; empty: the system's.
    pub ca: Key<PathBuf>,
    /// The client's certificate.
    pub certificate: Key<PathBuf>,
    /// The key of that certificate.
    pub key: Key<PathBuf>,
    /// The name that the server's certificate must be made out to.
    pub name: Key<String>,
    /// What of the server's certificate is checked.
    pub verify: Key<TlsVerify>,
    /// The server's certificate itself.
    pub pin: Key<Option<Pin>>,
}

impl TlsKeys {
    /// The facts about each of these keys.
    pub const fn facts(&self) -> [KeyFacts; 6] {
        // The fields are named one by one, so that a key missing here does not compile.
        let Self { ca, certificate, key, name, verify, pin } = self;
        [ca.facts(), certificate.facts(), key.facts(), name.facts(), verify.facts(), pin.facts()]
    }
}

/// The keys of TLS with names such as `redis_ar['tls_ca']`.
macro_rules! tls_keys {
    ($section:expr, $block:literal) => {
        $crate::config::keys::tls::TlsKeys {
            ca: tls_keys!(
                $section,
                concat!($block, "['tls_ca']"),
                $crate::config::kind::path_or_none(),
                "",
                "File with the certificates of the authorities that are trusted (PEM)",
                "Empty: the system's file."
            ),
            certificate: tls_keys!(
                $section,
                concat!($block, "['tls_cert']"),
                $crate::config::kind::path_or_none(),
                "",
                "File with the client's certificate (PEM)",
                "It is read again when it was changed, as the other files are."
            ),
            key: tls_keys!(
                $section,
                concat!($block, "['tls_key']"),
                $crate::config::kind::path_or_none(),
                "",
                "File with the key of the client's certificate (PEM, not encrypted)",
                ""
            ),
            name: tls_keys!(
                $section,
                concat!($block, "['tls_name']"),
                $crate::config::kind::text_or("the host's name or address"),
                "",
                "Name that the server's certificate must be made out to",
                ""
            ),
            verify: tls_keys!(
                $section,
                concat!($block, "['tls_verify']"),
                $crate::config::kind::choice(),
                "full",
                "What of the server's certificate is checked",
                ""
            ),
            pin: tls_keys!(
                $section,
                concat!($block, "['tls_pin']"),
                $crate::config::kind::pin_or_none(),
                "",
                "SHA-256 of the server's certificate, which is trusted by this alone",
                "For certificates that no authority has signed, and those of X.509 version 1."
            ),
        }
    };
    ($section:expr, $name:expr, $kind:expr, $default:literal, $help:literal, $more:literal) => {
        $crate::config::key::Key {
            section: $section,
            name: $name,
            kind: $kind,
            default: Some($default),
            usage: $crate::config::key::Usage::Used,
            help: $help,
            more: $more,
        }
    };
}

pub(super) use tls_keys;
