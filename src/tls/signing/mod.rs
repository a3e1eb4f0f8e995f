//! The private key of a client's own certificate, and what it signs.

mod ecdsa;
mod ed25519;
mod loaded_key;
mod rsa;

use std::sync::Arc;

use ::rsa::pkcs8::PrivateKeyInfoRef;
use p256::elliptic_curve::zeroize::Zeroizing;
use rustls::Error;
use rustls::crypto::KeyProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

/// Reads keys in the forms PKCS #1, PKCS #8 and SEC 1.
#[derive(Debug)]
pub(super) struct PrivateKeys;

impl KeyProvider for PrivateKeys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        // Wiped when it is dropped.
        let key = Zeroizing::new(key);
        match &*key {
            PrivateKeyDer::Pkcs1(key) => rsa::from_pkcs1(key.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(key) => ecdsa::from_sec1(key.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(key) => from_pkcs8(key.secret_pkcs8_der()),
            _ => Err(refused("its form is none of PKCS #1, PKCS #8 and SEC 1")),
        }
    }
}

/// Reads a key that says itself what kind it is of.
fn from_pkcs8(der: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|why| refused(&format!("not PKCS #8: {why}")))?;
    match info.algorithm.oid.to_string().as_str() {
        rsa::OID => rsa::from_pkcs8(der),
        ecdsa::OID => ecdsa::from_pkcs8(der),
        ed25519::OID => ed25519::from_pkcs8(der),
        other => Err(refused(&format!("it is of the kind {other}, not RSA, EC or Ed25519"))),
    }
}

/// Why a key cannot be used. The text holds nothing of the key.
fn refused(why: &str) -> Error {
    Error::General(format!("the private key cannot be used: {why}"))
}
