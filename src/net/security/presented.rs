//! What a certificate says of itself, for a person and for a pin.

use std::time::Duration;

use rustls::pki_types::{AlgorithmIdentifier, CertificateDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode, Encode};

/// Subject, issuer and dates, or that they cannot be read.
pub(super) fn describe(certificate: &CertificateDer<'_>) -> String {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return "a certificate that cannot be read".to_owned();
    };
    let facts = certificate.tbs_certificate();
    let (from, to) = (facts.validity().not_before, facts.validity().not_after);
    let text = format!(
        "subject {}, issuer {}, valid from {} to {}",
        facts.subject(),
        facts.issuer(),
        from.to_date_time(),
        to.to_date_time(),
    );
    text.chars().map(|one| if one.is_control() { '?' } else { one }).collect()
}

/// The moment as certificates write it.
pub(super) fn date(time: UnixTime) -> String {
    let date = DateTime::from_unix_duration(Duration::from_secs(time.as_secs()));
    date.map_or_else(|_| format!("{} s after 1970", time.as_secs()), |date| date.to_string())
}

/// The key of a certificate of any version, and the algorithm that it is for.
pub(super) fn public_key(certificate: &CertificateDer<'_>) -> Option<(Vec<u8>, AlgorithmIdentifier)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    let mut algorithm = key.algorithm.oid.to_der().ok()?;
    if let Some(parameters) = &key.algorithm.parameters {
        algorithm.extend(parameters.to_der().ok()?);
    }
    // There is no constructor for bytes that are not static, so the known algorithm with these bytes is
    // looked for by the caller's list.
    let known = crate::tls::provider().signature_verification_algorithms.all.iter();
    let known = known.map(|one| one.public_key_alg_id()).find(|id| id.as_ref() == algorithm.as_slice())?;
    Some((key.subject_public_key.raw_bytes().to_vec(), known))
}
