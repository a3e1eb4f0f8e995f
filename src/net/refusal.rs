//! What an error of TLS means for whoever runs pandad.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, OtherError};

/// What answers on a plain stream begins as TLS does.
pub const SPEAKS_TLS: &str = "that port speaks TLS: turn TLS on in the .inv, or name the server's plain port";

const NO_TLS: &str = "what answers there speaks no TLS: name the server's port for TLS, or turn TLS off in \
                      the .inv";
const WANTS_CERTIFICATE: &str = "the server probably wants a client certificate: set tls_cert and tls_key";
const NOTHING_IN_COMMON: &str = "the server has no TLS in common with pandad, which speaks TLS 1.2 and 1.3, \
                                 with ECDHE, and AES-GCM or ChaCha20";

/// Of an error while the stream was encrypted. `shows_certificate`: the client has one.
pub(super) fn of_handshake(error: io::Error, shows_certificate: bool) -> io::Error {
    let text = match (error.kind(), reason(&error)) {
        (io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset, _) => {
            format!("closed the connection when TLS began: {NO_TLS}")
        }
        // Redis takes the first message for the beginning of a line.
        (io::ErrorKind::TimedOut, _) => format!("no answer came in time when TLS began; perhaps {NO_TLS}"),
        (_, Some(Error::InvalidMessage(_))) => NO_TLS.to_owned(),
        (_, Some(Error::InvalidCertificate(CertificateError::Other(OtherError(why))))) => why.to_string(),
        (_, Some(reason)) if !shows_certificate && wants_certificate(reason) => {
            format!("{WANTS_CERTIFICATE} ({reason}); otherwise {NOTHING_IN_COMMON}")
        }
        (_, Some(reason @ Error::AlertReceived(alert))) if is_no_match(*alert) => {
            format!("{NOTHING_IN_COMMON} ({reason})")
        }
        _ => return error,
    };
    explained(error, text)
}

/// Of an error when an answer was read: in TLS 1.3 a server says this late that it refuses the client.
pub(super) fn of_answer(error: io::Error, shows_certificate: bool) -> io::Error {
    match reason(&error) {
        Some(reason) if !shows_certificate && wants_certificate(reason) => {
            let text = format!("{WANTS_CERTIFICATE} ({reason})");
            explained(error, text)
        }
        Some(reason @ Error::AlertReceived(_)) => {
            let text = format!("the server refuses the client: {reason}");
            explained(error, text)
        }
        _ => error,
    }
}

fn reason(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Servers that miss a certificate say so in four ways. The last one is that of Kafka before 2.0, which
/// mixes up the order of its messages.
fn wants_certificate(reason: &Error) -> bool {
    match reason {
        Error::AlertReceived(alert) => matches!(
            alert,
            AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::HandshakeFailure
        ),
        Error::InappropriateMessage { .. } => true,
        _ => false,
    }
}

fn is_no_match(alert: AlertDescription) -> bool {
    matches!(alert, AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion)
}

/// Not of the kind of the cause: this error stands for itself.
fn explained(cause: io::Error, text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Explained { text, cause })
}

/// A sentence, and the error that it explains.
#[derive(Debug)]
struct Explained {
    text: String,
    cause: io::Error,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Explained {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.get_ref().map(|inner| inner as _)
    }
}
