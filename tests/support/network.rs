//! A bad network between pandad and a Kafka broker. The broker advertises its second listener
//! at the address of this proxy, so pandad reaches the broker only through it.
//!
//! Fault model. The proxy may, for each answer and by a seed: cut the connection after some
//! bytes of the answer, delay the answer by up to 0.8 s, send part of it and then nothing more
//! while the connection stays open, or send random bytes in its place. It may cut a connection
//! in the middle of a request, and close new connections at once. It never changes bytes within
//! an answer, never reorders or repeats answers, and never loses a request without a cut.

use super::servers::{Kafka, variable};
use super::wait;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// One fault of the fault model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed after some bytes of the answer.
    Cut,
    /// The answer comes late.
    Delay,
    /// Part of the answer comes, then nothing more, and the connection stays open.
    HalfOpen,
    /// Random bytes come in the answer's place.
    Garbage,
    /// The connection is closed in the middle of a request.
    CutRequest,
    /// New connections are closed at once.
    Refuse,
}

const FAULTS: [Fault; 6] =
    [Fault::Cut, Fault::Delay, Fault::HalfOpen, Fault::Garbage, Fault::CutRequest, Fault::Refuse];

/// Faults, each with its percentage of answers.
#[derive(Debug, Clone, Default)]
pub struct FaultMix(Vec<(Fault, u8)>);

impl FaultMix {
    pub fn new(dice: &mut fastrand::Rng) -> FaultMix {
        let one = |dice: &mut fastrand::Rng| {
            let fault = FAULTS[dice.usize(..FAULTS.len())];
            // A half-open connection costs the whole time limit of an answer.
            let most = if fault == Fault::HalfOpen { 3 } else { 15 };
            (fault, dice.u8(1..=most))
        };
        FaultMix((0..dice.u8(1..4)).map(|_| one(dice)).collect())
    }

    pub fn half_open(&self) -> bool {
        self.0.iter().any(|(fault, _)| *fault == Fault::HalfOpen)
    }
}

pub struct Network {
    /// The address by which pandad reaches the broker.
    pub address: String,
    inner: Arc<Inner>,
    _alone: MutexGuard<'static, ()>,
}

struct Inner {
    behind: u16,
    mix: Mutex<FaultMix>,
    dice: Mutex<fastrand::Rng>,
    ended: AtomicBool,
    done: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A broker has only one such port, so only one test at a time uses it.
fn alone(version: &str) -> MutexGuard<'static, ()> {
    static LOCKS: OnceLock<Mutex<HashMap<String, &'static Mutex<()>>>> = OnceLock::new();
    let mut locks = LOCKS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let lock = *locks.entry(version.to_owned()).or_insert_with(|| Box::leak(Box::default()));
    drop(locks);
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    pub fn in_front_of(kafka: &Kafka, seed: u64) -> Network {
        let alone = alone(&kafka.version);
        let ports = variable(&format!("PANDAD_KAFKA_{}_PROXIED", kafka.version.replace('.', "_")));
        let (behind, proxy) = ports.split_once(' ').expect("two ports");
        let address = format!("127.0.0.1:{proxy}");
        let listener = bind(&address);
        let inner = Arc::new(Inner {
            behind: behind.parse().unwrap(),
            mix: Mutex::default(),
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            ended: AtomicBool::new(false),
            done: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Relaxed) {
                    break;
                }
                if let Ok(client) = client {
                    accepting.join(client);
                }
            }
        });
        Network { address, inner, _alone: alone }
    }

    pub fn set(&self, mix: FaultMix) {
        *self.inner.mix.lock().unwrap() = mix;
    }

    /// Ends the faults. Connections that hang go on hanging.
    pub fn clear(&self) {
        self.set(FaultMix::default());
    }

    /// How many faults there were.
    pub fn faults(&self) -> u64 {
        self.inner.done.load(Relaxed)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.inner.ended.store(true, Relaxed);
        for stream in self.inner.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Inner {
    fn roll(&self, among: &[Fault]) -> Option<Fault> {
        let mix = self.mix.lock().unwrap().clone();
        let mut dice = self.dice.lock().unwrap();
        let possible = mix.0.iter().filter(|(fault, _)| among.contains(fault));
        let fault =
            possible.into_iter().find(|(_, percent)| dice.u8(..100) < *percent).map(|(fault, _)| *fault);
        self.done.fetch_add(u64::from(fault.is_some()), Relaxed);
        fault
    }

    fn dice(&self) -> fastrand::Rng {
        self.dice.lock().unwrap().fork()
    }

    fn join(self: &Arc<Self>, client: TcpStream) {
        if self.roll(&[Fault::Refuse]).is_some() {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.behind)) else { return };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
            self.open.lock().unwrap().push(stream.try_clone().unwrap());
        }
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let inner = Arc::clone(self);
        thread::spawn(move || {
            let _ = inner.requests(&mut from, &mut to);
            close(&from, &to);
        });
        let (mut from, mut to) = (server, client);
        let inner = Arc::clone(self);
        thread::spawn(move || {
            let _ = inner.answers(&mut from, &mut to);
            close(&from, &to);
        });
    }

    fn requests(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        loop {
            let frame = frame(client)?;
            if self.roll(&[Fault::CutRequest]).is_some() {
                return server.write_all(&frame[..self.dice().usize(..frame.len())]);
            }
            server.write_all(&frame)?;
        }
    }

    fn answers(&self, server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
        loop {
            let frame = frame(server)?;
            let mut dice = self.dice();
            match self.roll(&[Fault::Cut, Fault::Delay, Fault::HalfOpen, Fault::Garbage]) {
                Some(Fault::Cut) => return client.write_all(&frame[..dice.usize(..frame.len())]),
                Some(Fault::Delay) => thread::sleep(Duration::from_millis(dice.u64(20..800))),
                Some(Fault::HalfOpen) => {
                    // Waits until the client gives up; nobody reads its next request.
                    let mut rest = [0; 1 << 12];
                    let _ = client.write_all(&frame[..dice.usize(..frame.len())]);
                    while client.read(&mut rest)? > 0 {}
                    return Ok(());
                }
                Some(Fault::Garbage) => {
                    let bytes: Vec<u8> = (0..dice.usize(1..300)).map(|_| dice.u8(..)).collect();
                    return client.write_all(&bytes);
                }
                _ => {}
            }
            client.write_all(&frame)?;
        }
    }
}

/// The network of an earlier test may still hold the port for a moment.
fn bind(address: &str) -> TcpListener {
    let mut bound = TcpListener::bind(address);
    wait::within(wait::seconds(10), || {
        if bound.is_err() {
            bound = TcpListener::bind(address);
        }
        bound.is_ok()
    });
    bound.unwrap()
}

/// Reads one request or answer, with its length.
fn frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = vec![0; 4 + u32::from_be_bytes(length) as usize];
    bytes[..4].copy_from_slice(&length);
    from.read_exact(&mut bytes[4..])?;
    Ok(bytes)
}

fn close(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}
