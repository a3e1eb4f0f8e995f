//! The settings of TLS for one server or cluster.

use std::path::PathBuf;

use crate::config::choices::TlsVerify;
use crate::config::keys::TlsKeys;
use crate::config::kind::Pin;
use crate::config::printer::InvPrinter;
use crate::config::reader::ConfigReader;

/// Whom to trust, and which certificate to show.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsConfig {
    /// The file with the certificates of the authorities that are trusted; empty: the system's.
    pub ca: PathBuf,
    /// The file with the client's certificate; empty: none.
    pub certificate: PathBuf,
    /// The file with the key of that certificate.
    pub key: PathBuf,
    /// The name that the server's certificate must be made out to; empty: the host's.
    pub name: String,
    /// What of the server's certificate is checked.
    pub verify: TlsVerify,
    /// The SHA-256 of the server's certificate, which is trusted by this alone.
    pub pin: Option<Pin>,
}

impl TlsConfig {
    /// Reads every key before it gives up, so that one fault does not hide another.
    pub(in crate::config) fn read(reader: &mut ConfigReader, keys: &TlsKeys) -> Option<Self> {
        let (ca, certificate) = (reader.get(&keys.ca), reader.get(&keys.certificate));
        let (key, name) = (reader.get(&keys.key), reader.get(&keys.name));
        let (verify, pin) = (reader.get(&keys.verify), reader.get(&keys.pin));
        Some(Self { ca: ca?, certificate: certificate?, key: key?, name: name?, verify: verify?, pin: pin? })
    }

    pub(in crate::config) fn print(&self, out: &mut InvPrinter, keys: &TlsKeys) {
        out.put(&keys.ca, &self.ca);
        out.put(&keys.certificate, &self.certificate);
        out.put(&keys.key, &self.key);
        out.put(&keys.name, &self.name);
        out.put(&keys.verify, &self.verify);
        out.put(&keys.pin, &self.pin);
    }
}
