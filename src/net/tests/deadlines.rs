//! Every wait ends at its moment, whatever trickles in, and loses nothing.

use std::io::{self, ErrorKind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::servers::{LONG, TLS_WAYS, WAYS, client_config, name, serve, soon, tcp};
use crate::net::NetStream;

const LIMIT: Duration = Duration::from_millis(150);

/// Runs the wait with a limit of [`LIMIT`]. It must take as long, and not as long as the server.
fn assert_times_out<T: std::fmt::Debug>(what: &str, wait: impl FnOnce(Instant) -> io::Result<T>) {
    let begun = Instant::now();
    let ended = wait(begun + LIMIT).expect_err(what);
    let took = begun.elapsed();
    assert_eq!(ended.kind(), ErrorKind::TimedOut, "{what}: {ended}");
    assert!(took >= LIMIT && took < LONG / 2, "{what}: {took:?}");
}

#[test]
fn a_read_of_nothing_ends() {
    for way in WAYS {
        let (stop, stopped) = mpsc::channel::<()>();
        let (mut stream, server) = serve(way, move |_| stopped.recv_timeout(LONG * 2));
        assert_times_out(&format!("{way:?}"), |until| stream.read(&mut [0; 10], until));
        // Also if the time is over before it begins.
        let ended = stream.read(&mut [0; 10], Instant::now()).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::TimedOut, "{way:?}");
        stop.send(()).unwrap();
        server.join().unwrap().unwrap();
    }
}

/// Bytes of one record come, one by one, and it is never complete: the timeout of the socket alone would
/// begin anew with each of them.
#[test]
fn a_record_that_trickles_in_does_not_hold_up_a_read() {
    for way in TLS_WAYS {
        let (stop, stopped) = mpsc::channel::<()>();
        let (mut stream, server) = serve(way, move |served| {
            let record = served.seal(&[7; 10_000]);
            for byte in &record[..5_000] {
                if served.write_raw(&[*byte]).is_err()
                    || stopped.recv_timeout(Duration::from_millis(10)).is_ok()
                {
                    return;
                }
            }
        });
        assert_times_out(&format!("{way:?}"), |until| stream.read(&mut [0; 10], until));
        stop.send(()).unwrap();
        server.join().unwrap();
    }
}

/// A read's time is over in the middle of a record. The next read gets all of it.
#[test]
fn a_time_out_inside_a_record_loses_nothing() {
    for way in TLS_WAYS {
        for cut in [1, 4, 5, 6, 900] {
            let (go_on, goes_on) = mpsc::channel::<()>();
            let (mut stream, server) = serve(way, move |served| {
                let text: Vec<u8> = (0..1_000_u32).map(|i| i as u8).collect();
                let record = served.seal(&text);
                served.write_raw(&record[..cut]).unwrap();
                goes_on.recv_timeout(LONG).unwrap();
                served.write_raw(&record[cut..]).unwrap();
                text
            });
            let mut room = [0; 2_000];
            assert_times_out(&format!("{way:?} {cut}"), |until| stream.read(&mut room, until));
            assert!(!stream.wait_readable(Instant::now() + Duration::from_millis(5)).unwrap());
            go_on.send(()).unwrap();
            let count = stream.read(&mut room, soon()).unwrap();
            assert!(room[..count] == server.join().unwrap(), "{way:?} {cut}: {count} bytes");
        }
    }
}

/// The server reads nothing.
#[test]
fn a_write_that_finds_no_room_ends() {
    for way in WAYS {
        let (stop, stopped) = mpsc::channel::<()>();
        let (mut stream, server) = serve(way, move |_| stopped.recv_timeout(LONG * 2));
        let much = vec![0; 30_000_000];
        assert_times_out(&format!("{way:?}"), |until| stream.write_all(&much, until));
        stop.send(()).unwrap();
        drop(stream);
        server.join().unwrap().unwrap();
    }
}

/// The server takes the connection and never says a word.
#[test]
fn a_handshake_ends() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (client, _silent) = tcp();
        assert_times_out("handshake", |until| {
            NetStream::tcp(client).secure(client_config(version), name(), until).map(|_| ())
        });
    }
}

#[test]
fn a_wait_says_whether_a_read_would_return_at_once() {
    for way in WAYS {
        let (go_on, goes_on) = mpsc::channel::<()>();
        let (mut stream, server) = serve(way, move |served| {
            goes_on.recv_timeout(LONG).unwrap();
            // Two records in one go.
            let records = [served.seal(b"one"), served.seal(b"two")].concat();
            served.write_raw(&records).unwrap();
            goes_on.recv_timeout(LONG).unwrap();
        });
        let begun = Instant::now();
        // The tickets that a server of TLS 1.3 sends are no answer.
        assert!(!stream.wait_readable(begun + LIMIT).unwrap(), "{way:?}");
        assert!(begun.elapsed() >= LIMIT, "{way:?}");
        go_on.send(()).unwrap();
        assert!(stream.wait_readable(soon()).unwrap(), "{way:?}");
        let mut received = Vec::new();
        while received.len() < 6 {
            // Bytes that were decrypted already count, too, though the socket is empty; a moment that is over
            // does not change that.
            assert!(
                received.len() == 3 || stream.wait_readable(Instant::now()).unwrap(),
                "{way:?} {received:?}"
            );
            let mut room = [0; 1];
            let count = stream.read(&mut room, soon()).unwrap();
            received.extend_from_slice(&room[..count]);
        }
        assert_eq!(received, b"onetwo", "{way:?}");
        assert!(!stream.wait_readable(Instant::now()).unwrap(), "{way:?}");
        go_on.send(()).unwrap();
        server.join().unwrap();
        // The end can be read, too.
        assert!(stream.wait_readable(soon()).unwrap(), "{way:?}");
    }
}
