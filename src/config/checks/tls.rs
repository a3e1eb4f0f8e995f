//! Rules between the keys of TLS and others.

use crate::config::choices::{ClientChoice, KafkaSecurity, OffsetLocation};
use crate::config::key::Key;
use crate::config::keys::{self, RedisKeys, TlsKeys};
use crate::config::reader::ConfigReader;

/// The `kafka` crate has no TLS, and it is what reads and writes offsets in ZooKeeper.
pub(super) fn kafka(r: &mut ConfigReader) {
    let is_on = r.value(&keys::SECURITY) == Some(KafkaSecurity::Ssl);
    if is_on && r.value(&keys::CLIENT) == Some(ClientChoice::Crate) {
        r.fault(
            &keys::CLIENT,
            "this client has no TLS: the client 'auto' or 'native' is expected, or \
             kafka['security']='plaintext'",
        );
    }
    if is_on && r.value(&keys::OFFSETS) == Some(OffsetLocation::ZooKeeper) {
        r.fault(
            &keys::OFFSETS,
            "offsets in ZooKeeper are read by a client that has no TLS: 'kafka' is expected, or \
             kafka['security']='plaintext'",
        );
    }
    let why = "this has no effect: it needs kafka['security']='ssl'";
    consistent(r, &keys::KAFKA_TLS, is_on, why);
}

/// The keys of one Redis server.
pub(super) fn redis(r: &mut ConfigReader, k: &RedisKeys) {
    let is_on = r.value(&k.encrypted) == Some(true);
    if is_on && r.value(&k.socket_type) == Some(true) {
        r.fault(&k.encrypted, "Redis has no TLS on its socket: 'no' is expected, or the socket_type 'tcp'");
    }
    consistent(r, &k.tls, is_on, "this has no effect: it needs ['tls']='yes' of the same server");
}

fn consistent(r: &mut ConfigReader, k: &TlsKeys, is_on: bool, why: &str) {
    if !is_on {
        unused(r, &k.ca, why);
        unused(r, &k.certificate, why);
        unused(r, &k.key, why);
        unused(r, &k.name, why);
        unused(r, &k.verify, why);
        unused(r, &k.pin, why);
        return;
    }
    match (r.is_changed(&k.certificate), r.is_changed(&k.key)) {
        (true, false) => r.fault(&k.certificate, "the file with its key is expected, too: ['tls_key']"),
        (false, true) => r.fault(&k.key, "the file with its certificate is expected, too: ['tls_cert']"),
        (true, true) | (false, false) => {}
    }
    if r.is_changed(&k.pin) {
        let why = "this has no effect: with ['tls_pin'] the certificate is trusted by that alone";
        unused(r, &k.ca, why);
        unused(r, &k.verify, why);
    }
}

fn unused<T>(r: &mut ConfigReader, key: &Key<T>, why: &str) {
    if r.is_changed(key) {
        r.warn(key, why);
    }
}
