//! A bad network between pandad and a broker: the broker's second listener is found
//! only through here, and what it answers is cut, late, lost or something else, as a
//! seed has it.

use super::servers::{Kafka, variable};
use super::wait;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed behind some of its bytes.
    Cut,
    /// It comes late.
    Delay,
    /// Neither it nor anything after it comes, and nothing is closed.
    HalfOpen,
    /// Bytes that are none of Kafka's come instead.
    Garbage,
    /// The connection is closed in the middle of a request.
    CutRequest,
    /// Connections are not taken.
    Refuse,
}

const FAULTS: [Fault; 6] =
    [Fault::Cut, Fault::Delay, Fault::HalfOpen, Fault::Garbage, Fault::CutRequest, Fault::Refuse];

/// Kinds of faults and how many of a hundred answers have them.
#[derive(Debug, Clone, Default)]
pub struct Weather(Vec<(Fault, u8)>);

impl Weather {
    pub fn new(dice: &mut fastrand::Rng) -> Weather {
        let one = |dice: &mut fastrand::Rng| {
            let fault = FAULTS[dice.usize(..FAULTS.len())];
            // A half-open connection costs as long as an answer is waited for.
            let most = if fault == Fault::HalfOpen { 3 } else { 15 };
            (fault, dice.u8(1..=most))
        };
        Weather((0..dice.u8(1..4)).map(|_| one(dice)).collect())
    }

    pub fn half_open(&self) -> bool {
        self.0.iter().any(|(fault, _)| *fault == Fault::HalfOpen)
    }
}

pub struct Network {
    /// Where pandad finds the broker.
    pub address: String,
    inner: Arc<Inner>,
    _alone: MutexGuard<'static, ()>,
}

struct Inner {
    behind: u16,
    weather: Mutex<Weather>,
    dice: Mutex<fastrand::Rng>,
    ended: AtomicBool,
    done: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A broker has one such port, so one test at a time has it.
fn alone(version: &str) -> MutexGuard<'static, ()> {
    static LOCKS: OnceLock<Mutex<HashMap<String, &'static Mutex<()>>>> = OnceLock::new();
    let mut locks = LOCKS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let lock = *locks.entry(version.to_owned()).or_insert_with(|| Box::leak(Box::default()));
    drop(locks);
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    pub fn before(kafka: &Kafka, seed: u64) -> Network {
        let alone = alone(&kafka.version);
        let ports = variable(&format!("PANDAD_KAFKA_{}_PROXIED", kafka.version.replace('.', "_")));
        let (behind, proxy) = ports.split_once(' ').expect("two ports");
        let address = format!("127.0.0.1:{proxy}");
        let listener = bind(&address);
        let inner = Arc::new(Inner {
            behind: behind.parse().unwrap(),
            weather: Mutex::default(),
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

    pub fn turns(&self, weather: Weather) {
        *self.inner.weather.lock().unwrap() = weather;
    }

    /// From now on it is a good network. Connections that hang go on hanging.
    pub fn clears(&self) {
        self.turns(Weather::default());
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
        let weather = self.weather.lock().unwrap().clone();
        let mut dice = self.dice.lock().unwrap();
        let possible = weather.0.iter().filter(|(fault, _)| among.contains(fault));
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
                    // Until the client gives up: its next request finds nobody who reads.
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

/// The one before may still hold it for a moment.
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

/// One request or answer with its length.
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
