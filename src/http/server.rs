//! Accepts connections and answers one request of each. A few are served at once, each by a thread and
//! within a deadline; further ones are told to come again.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::host_check::AllowedHosts;
use super::listener::HttpListener;
use super::request::{self, HttpRequest};
use super::response::{Response, Status};
use super::stream::HttpStream;
use crate::threads;

/// How many connections are served at once.
const CONNECTIONS_MAX: usize = 4;
/// How long a request and its answer may take together, whatever the peer does.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// How long the request alone may take to come: whoever sends none must not hold a place for long.
const HEADER_MAX: Duration = Duration::from_secs(2);
/// How long a connection that was answered may take to go.
const LEAVE_MAX: Duration = Duration::from_millis(100);
/// How long a connection that is not served may take to go. Nobody else is accepted meanwhile.
const REFUSAL_MAX: Duration = Duration::from_millis(20);
/// The pause after an error of the listening socket: descriptors may be short for a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Answers requests. It must not wait for anything.
pub type Handler = Arc<dyn Fn(&HttpRequest) -> Response + Send + Sync>;

/// Serves for ever.
pub fn serve(listener: &HttpListener, hosts: &AllowedHosts, handler: &Handler) {
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => {
                std::thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        let Some(slot) = Slot::take(&busy) else {
            refuse(stream);
            continue;
        };
        let (hosts, handler) = (hosts.clone(), Arc::clone(handler));
        let answer = move || {
            let _slot = slot;
            let mut stream = stream;
            answer(&mut stream, &hosts, &handler, Instant::now() + REQUEST_MAX);
        };
        // If no thread can be started, the connection is closed. The peer comes again.
        let _closed = threads::spawn("http-request", answer);
    }
}

/// One of the connections that are served at once.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(busy: &Arc<AtomicUsize>) -> Option<Self> {
        if busy.fetch_add(1, SeqCst) >= CONNECTIONS_MAX {
            busy.fetch_sub(1, SeqCst);
            return None;
        }
        Some(Self(Arc::clone(busy)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// There are too many connections.
fn refuse(mut stream: HttpStream) {
    let text = format!("more than {CONNECTIONS_MAX} requests at once; try again\n");
    let response = Response::text(Status::Unavailable, text);
    send(&mut stream, &response.bytes(false), Instant::now() + REFUSAL_MAX);
}

fn answer(stream: &mut HttpStream, hosts: &AllowedHosts, handler: &Handler, until: Instant) {
    let (response, is_head) = match request::read(stream, until.min(Instant::now() + HEADER_MAX)) {
        Ok(None) => return,
        Err(refusal) => (refusal, false),
        Ok(Some(request)) if !hosts.allows(request.host.as_deref(), stream.local_address()) => {
            let text = format!(
                "this server is not called {}; names other than localhost and its address are allowed \
                 by [daemon_section] http_hosts\n",
                request.host.unwrap_or_default()
            );
            (Response::text(Status::MisdirectedRequest, text), request.is_head)
        }
        Ok(Some(request)) => {
            let response = threads::contain(|| handler(&request)).unwrap_or_else(|panic| {
                Response::text(Status::InternalError, format!("internal error: {panic}\n"))
            });
            (response, request.is_head)
        }
    };
    send(stream, &response.bytes(is_head), until);
}

/// Writes as much as the peer takes in time, and lets it read that before the connection goes: a peer that
/// is still sending would otherwise lose the answer.
fn send(stream: &mut HttpStream, mut bytes: &[u8], until: Instant) {
    while !bytes.is_empty() {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() || stream.set_timeout(rest).is_err() {
            return;
        }
        match stream.write(bytes) {
            Ok(0) => return,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
    stream.end();
    let until = until.min(Instant::now() + LEAVE_MAX);
    let mut rest_of_request = [0; 1024];
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() || stream.set_timeout(rest).is_err() {
            return;
        }
        match stream.read(&mut rest_of_request) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};

    use super::*;
    use crate::http::ListenAddress;

    /// A server that answers every request with its path.
    fn start() -> SocketAddr {
        let listener = HttpListener::bind(&ListenAddress::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let HttpListener::Tcp(socket) = &listener else { unreachable!() };
        let address = socket.local_addr().unwrap();
        let handler: Handler = Arc::new(|request: &HttpRequest| {
            assert_ne!(request.path, "/panic");
            Response::text(Status::Ok, request.path.clone())
        });
        threads::spawn("http", move || serve(&listener, &AllowedHosts::default(), &handler)).unwrap();
        address
    }

    fn ask(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn requests_are_answered() {
        let address = start();
        let answer = ask(address, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n/x"), "{answer}");
        let answer = ask(address, "HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.contains("Content-Length: 2\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        let answer = ask(address, "GET /x HTTP/1.1\r\nHost: evil.example.com\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("http_hosts"), "{answer}");
        let answer = ask(address, "DELETE /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("Allow: GET, HEAD"), "{answer}");
        let answer = ask(address, "GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let long = format!("GET /x HTTP/1.1\r\nHost: localhost\r\nA: {}\r\n\r\n", "a".repeat(9000));
        assert!(ask(address, &long).starts_with("HTTP/1.1 431 "));
        assert!(ask(address, "hello\r\n\r\n").starts_with("HTTP/1.1 400 "));
    }

    /// Whoever sends nothing holds a slot, and only until the deadline.
    #[test]
    fn slow_senders_hold_their_slots_for_a_while_only() {
        let address = start();
        let slow: Vec<TcpStream> =
            (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(address).unwrap()).collect();
        let request = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let began = Instant::now();
        let mut refused = 0;
        loop {
            let answer = ask(address, request);
            if answer.starts_with("HTTP/1.1 200 ") && refused > 0 {
                break;
            }
            refused += u32::from(answer.starts_with("HTTP/1.1 503 "));
            assert!(began.elapsed() < REQUEST_MAX * 12, "the slots stay taken");
            std::thread::sleep(Duration::from_millis(50));
        }
        for mut stream in slow {
            let mut answer = String::new();
            // The first of them may be reset.
            if stream.read_to_string(&mut answer).is_ok() {
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
            }
        }
    }
}
