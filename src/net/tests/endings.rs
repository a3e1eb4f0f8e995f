//! How a connection ends, and what is said about it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error, ServerConnection, StreamOwned};

use super::servers::{TLS_WAYS, WAYS, Way, client_config, name, serve, server_config, soon, tcp};
use crate::net::NetStream;

/// Why TLS refused, of an error of a stream.
fn reason(error: &std::io::Error) -> &Error {
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    let inner = error.get_ref().expect("a reason");
    let reason = inner.downcast_ref().or_else(|| inner.source().and_then(|source| source.downcast_ref()));
    reason.expect("a reason of TLS")
}

#[test]
fn an_end_that_was_announced_is_no_error() {
    for way in WAYS {
        let (mut stream, server) = serve(way, move |served| {
            served.write_all(b"last").unwrap();
            served.flush().unwrap();
            let mut rest = Vec::new();
            // Up to the client's own end.
            served.read_to_end(&mut rest).unwrap();
        });
        let mut answer = [0; 4];
        stream.by(soon()).read_exact(&mut answer).unwrap();
        // Dropping the stream announces the end; the server's read would fail otherwise.
        drop(stream);
        server.join().unwrap();
    }
    for way in [Way::Tls12, Way::Tls13] {
        let (mut stream, server) = serve(way, move |served| {
            let record = served.seal(b"last");
            served.write_raw(&record).unwrap();
            served.announce_end();
        });
        server.join().unwrap();
        let mut answer = Vec::new();
        stream.by(soon()).read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"last", "{way:?}");
    }
}

/// Whoever stands between can cut the connection, but not make the client take that for the end of the text.
#[test]
fn a_cut_is_not_taken_for_the_end() {
    for way in TLS_WAYS {
        let (mut stream, server) = serve(way, move |served| {
            served.write_all(b"half").unwrap();
            served.flush().unwrap();
            served.cut();
        });
        server.join().unwrap();
        let mut answer = Vec::new();
        let ended = stream.by(soon()).read_to_end(&mut answer).unwrap_err();
        assert_eq!(
            (ended.kind(), answer.as_slice()),
            (ErrorKind::UnexpectedEof, b"half".as_slice()),
            "{way:?}"
        );
        assert!(stream.wait_readable(soon()).unwrap());
    }
}

/// What came before a wrong record can be read, and then the reason comes, each time.
#[test]
fn a_wrong_record_comes_after_the_text_before_it() {
    for way in TLS_WAYS {
        let (mut stream, server) = serve(way, move |served| {
            let mut records = served.seal(b"right");
            let mut wrong = served.seal(b"wrong");
            *wrong.last_mut().unwrap() ^= 1;
            records.extend(wrong);
            served.write_raw(&records).unwrap();
            let mut alert = [0; 100];
            let _ = served.read(&mut alert);
        });
        let mut room = [0; 100];
        assert!(stream.wait_readable(soon()).unwrap());
        assert_eq!(stream.read(&mut room, soon()).unwrap(), 5, "{way:?}");
        assert_eq!(&room[..5], b"right");
        for _ in 0..2 {
            assert!(stream.wait_readable(soon()).unwrap());
            let refused = stream.read(&mut room, soon()).unwrap_err();
            assert_eq!(*reason(&refused), Error::DecryptError, "{way:?}");
        }
        drop(stream);
        server.join().unwrap();
    }
}

fn plaintext_server(answer: &'static [u8]) -> (TcpStream, std::thread::JoinHandle<()>) {
    let (client, mut server) = tcp();
    let thread = std::thread::spawn(move || {
        let mut hello = [0; 2_000];
        assert!(server.read(&mut hello).unwrap() > 0);
        server.write_all(answer).unwrap();
    });
    (client, thread)
}

/// A port that speaks no TLS: it answers in its own language, or closes.
#[test]
fn a_server_without_tls_is_found_out() {
    let config = client_config(&rustls::version::TLS13);
    let (client, server) = plaintext_server(b"-ERR unknown command\r\n");
    let refused = NetStream::tcp(client).secure(config.clone(), name(), soon()).map(|_| ()).unwrap_err();
    assert!(matches!(reason(&refused), Error::InvalidMessage(_)), "{refused}");
    server.join().unwrap();
    let (client, server) = plaintext_server(b"");
    let refused = NetStream::tcp(client).secure(config, name(), soon()).map(|_| ()).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{refused:?}");
    server.join().unwrap();
}

#[test]
fn a_certificate_for_another_name_is_refused_and_the_server_hears_of_it() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (client, mut server) = tcp();
        let thread = std::thread::spawn(move || {
            let mut connection = ServerConnection::new(server_config(false)).unwrap();
            connection.complete_io(&mut server).unwrap_err().to_string()
        });
        let other = ServerName::try_from("elsewhere.example").unwrap();
        let refused =
            NetStream::tcp(client).secure(client_config(version), other, soon()).map(|_| ()).unwrap_err();
        let expected = |reason: &Error| {
            matches!(reason, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
        };
        assert!(expected(reason(&refused)), "{refused}");
        let heard = thread.join().unwrap();
        assert!(heard.contains("BadCertificate") || heard.contains("CertificateUnknown"), "{heard}");
    }
}

/// In TLS 1.3 a server refuses a client without a certificate only after the client's handshake is done.
/// Both a read and a write say why, and not only that the connection is gone.
#[test]
fn a_client_certificate_that_is_missing_is_named() {
    for writes in [false, true] {
        let (client, server) = tcp();
        let thread = std::thread::spawn(move || {
            let connection = ServerConnection::new(server_config(true)).unwrap();
            let mut stream = StreamOwned::new(connection, server);
            stream.read(&mut [0; 10]).unwrap_err().to_string()
        });
        let config = client_config(&rustls::version::TLS13);
        let mut stream = NetStream::tcp(client).secure(config, name(), soon()).unwrap();
        let heard = thread.join().unwrap();
        assert!(heard.contains("no certificates"), "{heard}");
        let refused = if writes {
            // The first writes succeed, until the system knows that nobody reads.
            let until = Instant::now() + Duration::from_secs(20);
            loop {
                match stream.write_all(b"question", until) {
                    Ok(()) => std::thread::sleep(Duration::from_millis(5)),
                    Err(refused) => break refused,
                }
            }
        } else {
            stream.read(&mut [0; 10], soon()).unwrap_err()
        };
        let expected = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(*reason(&refused), expected, "writes: {writes}");
    }
}
