//! Opening a socket ends, too.

use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::servers::{LONG, soon};
use crate::net::connect_unix;

const LIMIT: Duration = Duration::from_millis(200);

fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("pandad-net-{}-{name}", std::process::id()))
}

/// The queue of this listener becomes full, so the system neither accepts nor refuses.
#[test]
fn connecting_to_a_unix_socket_has_a_time_limit() {
    let path = path("full");
    let listener = UnixListener::bind(&path).unwrap();
    let (send, result) = mpsc::channel();
    let at = path.clone();
    std::thread::spawn(move || {
        let mut filling = Vec::new();
        let late = loop {
            let began = Instant::now();
            match connect_unix(&at, LIMIT) {
                Ok(stream) => filling.push(stream),
                Err(error) => break (error, began.elapsed()),
            }
            assert!(filling.len() < 10_000, "the queue is never full here");
        };
        send.send(late).unwrap();
    });
    let result = result.recv_timeout(LONG);
    std::fs::remove_file(&path).unwrap();
    let (error, took) = result.expect("the wait has no end");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(took >= LIMIT && took < LONG / 2, "{took:?}");
    drop(listener);
}

#[test]
fn a_unix_socket_carries_bytes() {
    let path = path("open");
    assert_eq!(connect_unix(&path, LONG).unwrap_err().kind(), ErrorKind::NotFound);
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = connect_unix(&path, LONG).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (mut other, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut other, b"hello").unwrap();
    let mut room = [0; 5];
    assert_eq!((stream.read(&mut room, soon()).unwrap(), &room), (5, b"hello"));
}
