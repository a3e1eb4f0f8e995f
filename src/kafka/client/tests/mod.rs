//! The client against scripted brokers. They read and write with the `kafka-protocol` crate, or send bytes
//! that no broker should send.

mod brokers;
mod connection;
mod dialer;
mod group_offsets;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsResponse, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::address::BrokerAddress;
use super::connection::ConnectionLimits;
use crate::kafka::protocol::messages::{Metadata, Request};

pub(in crate::kafka) const API_VERSIONS: i16 = 18;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(in crate::kafka) struct Asked {
    /// The number of the connection at this broker.
    pub(in crate::kafka) connection: usize,
    pub(in crate::kafka) key: i16,
    pub(in crate::kafka) version: i16,
    pub(in crate::kafka) correlation: i32,
    pub(in crate::kafka) client_id: String,
    pub(in crate::kafka) body: Bytes,
}

impl Asked {
    pub(in crate::kafka) fn read<T: Decodable>(&self) -> T {
        let mut body = self.body.clone();
        let message = T::decode(&mut body, self.version).unwrap();
        assert!(body.is_empty(), "bytes are left behind the request");
        message
    }
}

/// How a request is answered.
pub(in crate::kafka) enum Reply {
    /// With this body.
    Say(Vec<u8>),
    /// With these bytes.
    Raw(Vec<u8>),
    /// With these bytes, one at a time.
    Trickle(Vec<u8>, Duration),
    Silence,
    Close,
}

pub(in crate::kafka) fn say(message: &impl Encodable, version: i16) -> Reply {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    Reply::Say(bytes.to_vec())
}

/// An answer in its frame.
pub(in crate::kafka) fn framed(correlation: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes(), &correlation.to_be_bytes(), body].concat()
}

/// Whether the headers of such a request and of its answer end with tagged fields.
fn is_flexible(key: i16, version: i16) -> bool {
    key == Metadata::KEY && version >= Metadata::FLEXIBLE_SINCE
}

/// The answer to this request in its frame.
pub(in crate::kafka) fn framed_for(asked: &Asked, body: &[u8]) -> Vec<u8> {
    if is_flexible(asked.key, asked.version) {
        framed(asked.correlation, &[&[0], body].concat())
    } else {
        framed(asked.correlation, body)
    }
}

/// The answer to ApiVersions with these versions.
pub(in crate::kafka) fn speaks(versions: &[(i16, i16, i16)]) -> Reply {
    let keys = versions.iter().map(|(key, lowest, highest)| {
        ApiVersion::default().with_api_key(*key).with_min_version(*lowest).with_max_version(*highest)
    });
    say(&ApiVersionsResponse::default().with_api_keys(keys.collect()), 0)
}

pub(in crate::kafka) fn speaks_as_4_1() -> Reply {
    speaks(&[(3, 0, 13), (8, 2, 9), (9, 1, 9), (10, 0, 6), (18, 0, 4)])
}

pub(in crate::kafka) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A broker that answers as a script says.
pub(in crate::kafka) struct Scripted {
    pub(in crate::kafka) address: BrokerAddress,
    pub(in crate::kafka) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    pub(in crate::kafka) fn new(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1", script)
    }

    pub(in crate::kafka) fn at(ip: &str, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = BrokerAddress::new(ip, i32::from(listener.local_addr().unwrap().port())).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, script) = (Arc::clone(&asked), Arc::new(script));
        // The thread ends with the test process.
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (noted, script) = (Arc::clone(&noted), Arc::clone(&script));
                thread::spawn(move || serve(stream.unwrap(), connection, &noted, &*script));
            }
        });
        Self { address, asked }
    }

    pub(in crate::kafka) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far, without ApiVersions: connection, key and version.
    pub(in crate::kafka) fn asked(&self) -> Vec<(usize, i16, i16)> {
        let asked = self.asked.lock().unwrap();
        let wanted = asked.iter().filter(|one| one.key != API_VERSIONS);
        wanted.map(|one| (one.connection, one.key, one.version)).collect()
    }

    /// The last request.
    pub(in crate::kafka) fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().unwrap().clone()
    }
}

pub(in crate::kafka) fn serve(
    mut stream: TcpStream,
    connection: usize,
    noted: &Mutex<Vec<Asked>>,
    script: &(impl Fn(&Asked) -> Reply + ?Sized),
) {
    while let Some(asked) = receive(&mut stream, connection) {
        noted.lock().unwrap().push(asked.clone());
        let (bytes, pause) = match script(&asked) {
            Reply::Say(body) => (framed_for(&asked, &body), None),
            Reply::Raw(bytes) => (bytes, None),
            Reply::Trickle(bytes, pause) => (bytes, Some(pause)),
            Reply::Silence => continue,
            Reply::Close => return,
        };
        let step = if pause.is_some() { 1 } else { bytes.len().max(1) };
        for part in bytes.chunks(step) {
            // The client may have closed the connection.
            if stream.write_all(part).is_err() {
                return;
            }
            thread::sleep(pause.unwrap_or_default());
        }
    }
}

pub(in crate::kafka) fn receive(stream: &mut TcpStream, connection: usize) -> Option<Asked> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    let mut frame = Bytes::from(frame);
    let (key, version) = ((&frame[..2]).get_i16(), (&frame[2..4]).get_i16());
    let header = RequestHeader::decode(&mut frame, if is_flexible(key, version) { 2 } else { 1 }).unwrap();
    assert_eq!((header.request_api_key, header.request_api_version), (key, version));
    let client_id = header.client_id.unwrap().to_string();
    Some(Asked { connection, key, version, correlation: header.correlation_id, client_id, body: frame })
}

/// Short limits, so that the tests are fast.
pub(in crate::kafka) fn limits() -> ConnectionLimits {
    let millis = Duration::from_millis;
    ConnectionLimits {
        connect_timeout: millis(1000),
        versions_timeout: millis(300),
        answer_timeout: millis(600),
        answer_bytes_max: 1 << 20,
    }
}
