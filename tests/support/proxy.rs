//! A proxy between pandad and a Redis server.
//!
//! Fault model. It delays every answer by a fixed time, as a distant server does. It can cut all
//! connections, so that answers on their way are lost although the server has carried out the
//! commands, and it can forward new connections to another server or to none, as an address does
//! that moves to a new master. It never changes, reorders or repeats bytes.

use super::redis::Redis;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

pub struct Proxy {
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    /// The port of the server; 0 means none.
    target: AtomicU16,
    delay: Duration,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Every answer takes this much longer.
    pub fn in_front_of(redis: &Redis, delay: Duration) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (target, ended, open) = (AtomicU16::new(redis.port), AtomicBool::new(false), Mutex::default());
        let inner = Inner { target, delay, ended, open };
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
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.ended.store(true, Relaxed);
        self.inner.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Inner {
    fn join(&self, client: TcpStream) {
        // If the server is down, the client's connection is closed.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target.load(Relaxed))) else { return };
        let copy = |stream: &TcpStream| stream.try_clone().unwrap();
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        self.open.lock().unwrap_or_else(PoisonError::into_inner).extend([copy(&client), copy(&server)]);
        let (from, to) = (copy(&client), copy(&server));
        thread::spawn(move || pass(from, to, Duration::ZERO));
        let delay = self.delay;
        thread::spawn(move || pass(server, client, delay));
    }

    fn cut(&self) -> bool {
        let open: Vec<_> = self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for stream in &open {
            let _ = stream.shutdown(Shutdown::Both);
        }
        !open.is_empty()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        thread::sleep(delay);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
