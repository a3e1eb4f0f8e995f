//! A proxy between pandad and a Redis server.
//!
//! Fault model. It delays every answer by a fixed time, as a distant server does. It can cut all
//! connections, so that answers on their way are lost although the server has carried out the
//! commands, and it can forward new connections to another server or to none, as an address does
//! that moves to a new master. It can let subscribers receive ever later, and hold answers or requests
//! back and let them go later; requests that are held back may outlive their client's connection, as in
//! a network that delivers late.
//! It never changes, reorders or repeats bytes.

use super::redis::Redis;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub struct Proxy {
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    /// The port of the server; 0 means none.
    target: AtomicU16,
    delay: Duration,
    ended: AtomicBool,
    open: Mutex<Vec<Pair>>,
    answers: Arc<Gate>,
    /// Since when subscribers receive ever later, and how late at most.
    lag: Arc<Mutex<Option<(Instant, Duration)>>>,
    /// The gate for the requests of new connections.
    requests: Mutex<Arc<Gate>>,
}

/// Both ends of one connection.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

/// Where bytes wait while the gate is closed.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    is_closed: bool,
    waiting: Vec<Vec<u8>>,
}

impl Gate {
    fn set(&self, is_closed: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_closed = is_closed;
        state.waiting.clear();
        self.changed.notify_all();
    }

    /// Waits until the gate is open.
    fn pass(&self, piece: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            state.waiting.push(piece.to_vec());
        }
        while state.is_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Requests whose clients are gone and that the server has not received yet.
pub struct LateRequests(Arc<Gate>);

impl LateRequests {
    /// The server receives them now.
    pub fn deliver(self) {
        self.0.set(false);
    }
}

impl Proxy {
    /// Every answer takes this much longer.
    pub fn in_front_of(redis: &Redis, delay: Duration) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (target, ended, open) = (AtomicU16::new(redis.port), AtomicBool::new(false), Mutex::default());
        let (answers, lag) = (Arc::default(), Arc::default());
        let inner = Inner { target, delay, ended, open, answers, lag, requests: Mutex::default() };
        let inner = Arc::new(inner);
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
        Proxy { port, inner }
    }

    /// Forwards new connections to this server from now on, or to none.
    pub fn forward_to(&self, redis: Option<&Redis>) {
        self.inner.target.store(redis.map_or(0, |redis| redis.port), Relaxed);
    }

    /// Closes every connection; answers on their way are lost. True if there were any.
    pub fn cut(&self) -> bool {
        self.inner.cut()
    }

    /// Holds every answer back until [`Self::release_answers`]. The server carries out what it is sent.
    pub fn hold_answers(&self) {
        self.inner.answers.set(true);
    }

    pub fn release_answers(&self) {
        self.inner.answers.set(false);
    }

    /// Lets those who have subscribed receive ever later from now on, up to this time: as if they could not
    /// read as much as the server sends.
    pub fn lag_subscribers(&self, most: Duration) {
        *self.inner.lag.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), most));
    }

    /// Holds back what is sent on the present connections.
    pub fn hold_requests(&self) {
        self.inner.requests().set(true);
    }

    pub fn release_requests(&self) {
        self.inner.requests().set(false);
    }

    /// The requests that are held back; several that came in one piece are one text.
    pub fn held_requests(&self) -> Vec<String> {
        let gate = self.inner.requests();
        let state = gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
    }

    /// Closes the clients' ends of all connections. Requests that are held back can still reach the
    /// server; new connections are served at once.
    pub fn lose_clients(&self) -> LateRequests {
        let mut requests = self.inner.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let late = LateRequests(std::mem::take(&mut *requests));
        for pair in self.inner.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = pair.client.shutdown(Shutdown::Both);
        }
        late
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.ended.store(true, Relaxed);
        self.inner.cut();
        self.release_answers();
        self.release_requests();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Inner {
    fn requests(&self) -> Arc<Gate> {
        Arc::clone(&self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn join(&self, client: TcpStream) {
        // If the server is down, the client's connection is closed.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target.load(Relaxed))) else { return };
        let copy = |stream: &TcpStream| stream.try_clone().unwrap();
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let pair = Pair { client: copy(&client), server: copy(&server) };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(pair);
        let (from, to) = (copy(&client), copy(&server));
        let (requests, answers) = (self.requests(), Arc::clone(&self.answers));
        let (lag, subscribed) = (Arc::clone(&self.lag), Arc::new(AtomicBool::new(false)));
        let subscribes = Arc::clone(&subscribed);
        thread::spawn(move || {
            pass(from, to, |piece| {
                requests.pass(piece);
                subscribes.fetch_or(piece.windows(9).any(|word| word == b"SUBSCRIBE"), Relaxed);
                Instant::now()
            })
        });
        let delay = self.delay;
        thread::spawn(move || {
            pass(server, client, |piece| {
                thread::sleep(delay);
                answers.pass(piece);
                let lag = *lag.lock().unwrap_or_else(PoisonError::into_inner);
                let lag = lag.filter(|_| subscribed.load(Relaxed));
                Instant::now() + lag.map_or(Duration::ZERO, |(since, most)| most.min(since.elapsed() / 3))
            })
        });
    }

    fn cut(&self) -> bool {
        let open: Vec<_> = self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for Pair { client, server } in &open {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
        !open.is_empty()
    }
}

/// Copies bytes, each piece at the moment that `when` returns for it.
fn pass(mut from: TcpStream, to: TcpStream, when: impl Fn(&[u8]) -> Instant) {
    let (pieces, later) = channel::<(Instant, Vec<u8>)>();
    let mut late = to.try_clone().unwrap();
    let writer = thread::spawn(move || {
        for (at, piece) in later {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if late.write_all(&piece).is_err() {
                let _ = late.shutdown(Shutdown::Both);
                break;
            }
        }
    });
    let mut piece = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let at = when(&piece[..count]);
        if pieces.send((at, piece[..count].to_vec())).is_err() {
            break;
        }
    }
    drop(pieces);
    let _ = writer.join();
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
