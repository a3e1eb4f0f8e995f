//! Servers of other kinds, which answer as a test says.

use super::*;
use crate::redis::{RedisConnection, RedisError};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

/// A server that answers each first packet as `answer` says, and closes the connection.
fn serve(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> RedisServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            thread::spawn(move || {
                let mut asked = [0; 512];
                let count = stream.read(&mut asked).unwrap_or(0);
                let _gone = stream.write_all(&answer(&asked[..count]));
            });
        }
    });
    RedisServer {
        name: "redis_test",
        address: ServerAddress::Tcp("127.0.0.1".to_owned(), port),
        user: String::new(),
        password: "secret".to_owned(),
        database: 0,
        connect_timeout: Duration::from_secs(10),
        client_name: String::new(),
        left_out: crate::redis::LeftOutCommands::default(),
        tls: None,
    }
}

#[track_caller]
fn said(server: &RedisServer) -> String {
    match RedisConnection::open(server).err().unwrap() {
        RedisError::Lost(why) => why,
        refused => panic!("{refused}"),
    }
}

#[test]
fn other_servers_are_named() {
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "this is a web server: set the host"),
        (b"<!DOCTYPE HTML>\n<html>", "this is a web server: set the host"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "this is an SSH server: set"),
        (b"\x15\x03\x03\x00\x02\x02\x0a", "this port speaks TLS"),
        (b"AMQP\x00\x00\x09\x01", "this is a RabbitMQ server"),
        (b"220 mail ESMTP\r\n", "this is a mail or FTP server"),
        (b"ERROR\r\n", "this is a memcached server"),
        (b"\x4a\x00\x00\x00\x0a8.0.36\x00", "this is a MySQL server"),
        (b"\x7fELF\r\n", "this is no Redis, its answer begins with \"\\x7fELF\\r\\n\": set"),
    ] {
        let server = serve(move |_| answer.to_vec());
        let why = said(&server);
        assert!(why.starts_with(expected), "{why}");
    }
}

/// Some close the connection at whatever is not their protocol.
#[test]
fn servers_that_only_close_are_asked_in_their_own_protocol() {
    let tls = |asked: &[u8]| if asked == TLS_HELLO { b"\x16\x03\x03\x00\x31".to_vec() } else { Vec::new() };
    assert!(said(&serve(tls)).starts_with("this port speaks TLS"));
    let kafka = |asked: &[u8]| match asked {
        KAFKA_API_VERSIONS => b"\0\0\0\x0aPAND\0\x23\0\0\0\0".to_vec(),
        _ => Vec::new(),
    };
    assert!(said(&serve(kafka)).starts_with("this is a Kafka broker: set the host"));
    let closed = said(&serve(|_| Vec::new()));
    assert_eq!(closed, "the connection was closed");
}

/// The second look is at whatever answers there, so it never sends the password.
#[test]
fn the_password_is_sent_once() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = serve(move |packet| {
        seen.lock().unwrap().push(String::from_utf8_lossy(packet).into_owned());
        Vec::new()
    });
    said(&server);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(asked.iter().filter(|packet| packet.contains("secret")).count(), 1);
}
