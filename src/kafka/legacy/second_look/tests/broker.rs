//! A fake broker with one partition, for the requests of the crate and of a second look.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::kafka::client::address::BrokerAddress;
use crate::kafka::client::versions_seen::VersionsSeen;
use crate::kafka::cluster::Cluster;

pub(super) const TOPIC: &str = "small";

/// The record set for a version of Fetch and an offset.
type Script = dyn Fn(i16, i64) -> Vec<u8> + Send + Sync;

/// See the module. Its threads end with the process of the test.
pub(super) struct Broker(Arc<State>);

struct State {
    port: u16,
    end: i64,
    /// The highest version of Fetch that it supports.
    highest: AtomicI16,
    /// Whether it does not answer ApiVersions, as Kafka 0.9 does not.
    silent: AtomicBool,
    /// How often it was asked for its versions.
    versions_asked: AtomicUsize,
    script: Box<Script>,
    /// Version and offset of every Fetch request so far.
    fetches: Mutex<Vec<(i16, i64)>>,
}

impl Broker {
    pub(super) fn new(end: i64, script: impl Fn(i16, i64) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            port,
            end,
            highest: AtomicI16::new(4),
            silent: AtomicBool::new(false),
            versions_asked: AtomicUsize::new(0),
            script: Box::new(script),
            fetches: Mutex::new(Vec::new()),
        });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&serving);
                thread::spawn(move || state.serve(stream.unwrap()));
            }
        });
        Self(state)
    }

    pub(super) fn with_fetch_up_to(self, version: i16) -> Self {
        self.0.highest.store(version, Relaxed);
        self
    }

    pub(super) fn of_kafka_0_9(self) -> Self {
        self.0.silent.store(true, Relaxed);
        self
    }

    pub(super) fn versions_asked(&self) -> usize {
        self.0.versions_asked.load(Relaxed)
    }

    pub(super) fn address(&self) -> BrokerAddress {
        BrokerAddress::new("127.0.0.1", i32::from(self.0.port)).unwrap()
    }

    pub(super) fn cluster(&self) -> Cluster {
        let brokers = vec![self.address().to_string()];
        Cluster {
            brokers,
            client_id: "test".to_owned(),
            read_committed: false,
            silent: false,
            versions_seen: VersionsSeen::default(),
            tls: None,
        }
    }

    pub(super) fn fetches(&self) -> Vec<(i16, i64)> {
        self.0.fetches.lock().unwrap().clone()
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() {
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            let (key, version) = (i16_at(&request, 0), i16_at(&request, 2));
            let header = 10 + usize::try_from(i16_at(&request, 8)).unwrap();
            if key == 18 {
                self.versions_asked.fetch_add(1, Relaxed);
                if self.silent.load(Relaxed) {
                    continue;
                }
            }
            let body = self.answer(key, version, &request[header..]);
            let length = u32::try_from(body.len() + 4).unwrap();
            let answer = [&length.to_be_bytes(), &request[4..8], &body].concat();
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn answer(&self, key: i16, version: i16, request: &[u8]) -> Vec<u8> {
        match key {
            1 => self.fetch(version, request),
            2 => self.list_offsets(request),
            3 => self.metadata(),
            10 => [of_16(&[0]), of_32(&[1]), of_text("127.0.0.1"), of_32(&[i32::from(self.port)])].concat(),
            18 => {
                let keys = [(1, self.highest.load(Relaxed)), (3, 1), (18, 0)];
                let keys = keys.iter().flat_map(|(key, highest)| of_16(&[*key, 0, *highest]));
                [of_16(&[0]), of_32(&[3]), keys.collect()].concat()
            }
            _ => panic!("unexpected request {key}"),
        }
    }

    fn metadata(&self) -> Vec<u8> {
        let broker = [of_32(&[1, 1]), of_text("127.0.0.1"), of_32(&[i32::from(self.port)])].concat();
        let partition = [of_16(&[0]), of_32(&[0, 1, 1, 1, 1, 1])].concat();
        [broker, of_32(&[1]), of_16(&[0]), of_text(TOPIC), of_32(&[1]), partition].concat()
    }

    /// The log's start, or its end.
    fn list_offsets(&self, request: &[u8]) -> Vec<u8> {
        let first = i64_at(request, 4 + 4 + 2 + TOPIC.len() + 8) == -2;
        let offset = if first { 0 } else { self.end };
        let named = [of_32(&[1]), of_text(TOPIC), of_32(&[1, 0]), of_16(&[0]), of_32(&[1])].concat();
        [named, offset.to_be_bytes().to_vec()].concat()
    }

    fn fetch(&self, version: i16, request: &[u8]) -> Vec<u8> {
        let topics = if version >= 4 { 17 } else { 12 };
        let offset = i64_at(request, topics + 4 + 2 + TOPIC.len() + 8);
        self.fetches.lock().unwrap().push((version, offset));
        let set = (self.script)(version, offset);
        let mut out = [of_32(&[1]), of_text(TOPIC), of_32(&[1, 0]), of_16(&[0])].concat();
        out.extend(self.end.to_be_bytes());
        if version >= 4 {
            // Not throttled; all is stable; nothing was aborted.
            out.splice(0..0, of_32(&[0]));
            out.extend(self.end.to_be_bytes());
            out.extend(of_32(&[-1]));
        }
        out.extend(of_32(&[i32::try_from(set.len()).unwrap()]));
        out.extend(set);
        out
    }
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn of_16(numbers: &[i16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn of_32(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn of_text(text: &str) -> Vec<u8> {
    [&of_16(&[i16::try_from(text.len()).unwrap()]), text.as_bytes()].concat()
}
