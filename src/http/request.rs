//! What is asked. A request is read within a deadline and a limit of bytes, whatever its sender does.

use std::io::{self, Read};
use std::time::Instant;

use super::response::{Response, Status};
use super::stream::HttpStream;

/// The most bytes of a request's first line and header.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// The most lines of a request's header.
const HEADER_LINES_MAX: usize = 64;

/// A request, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Whether only the head of the answer is wanted.
    pub is_head: bool,
    /// The path, without the query.
    pub path: String,
    /// The header `Host`; `None` if there is none, and then it is a request of HTTP/1.0.
    pub host: Option<String>,
    /// The header `Accept`, empty if there is none.
    pub accept: String,
}

/// Reads one request. `Ok(None)`: the peer has closed without one.
///
/// # Errors
/// The answer to a request that is not served.
pub(super) fn read(stream: &mut HttpStream, until: Instant) -> Result<Option<HttpRequest>, Response> {
    let mut buffer = vec![0; HEADER_BYTES_MAX];
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).unwrap_or_default();
        if room.is_empty() {
            let text = "the header of the request is longer than 8 KiB\n";
            return Err(Response::text(Status::HeaderTooLarge, text));
        }
        match read_some(stream, room, until) {
            Ok(0) => return Ok(None),
            Ok(read) => filled += read,
            Err(error) if is_timeout(&error) => {
                let text = "the request did not come in time\n";
                return Err(Response::text(Status::RequestTimeout, text));
            }
            Err(_) => return Ok(None),
        }
        if let Some(request) = parse(buffer.get(..filled).unwrap_or_default())? {
            return Ok(Some(request));
        }
    }
}

fn read_some(stream: &mut HttpStream, room: &mut [u8], until: Instant) -> io::Result<usize> {
    let rest = until.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_timeout(rest)?;
    stream.read(room)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The request, once its header is complete.
fn parse(bytes: &[u8]) -> Result<Option<HttpRequest>, Response> {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_LINES_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            let text = format!("the request has more than {HEADER_LINES_MAX} header lines\n");
            return Err(Response::text(Status::HeaderTooLarge, text));
        }
        Err(error) => {
            return Err(Response::text(Status::BadRequest, format!("this is no HTTP request: {error}\n")));
        }
    }
    let is_head = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => {
            return Err(Response::text(Status::MethodNotAllowed, "only GET and HEAD are served\n"));
        }
    };
    let values = |name: &str| {
        let all = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        all.map(|header| String::from_utf8_lossy(header.value).trim().to_owned()).collect::<Vec<_>>()
    };
    let hosts = values("host");
    if hosts.len() > 1 || (hosts.is_empty() && parsed.version == Some(1)) {
        return Err(Response::text(Status::BadRequest, "one header Host is expected\n"));
    }
    Ok(Some(HttpRequest {
        is_head,
        path: path_of(parsed.path.unwrap_or_default()).to_owned(),
        host: hosts.into_iter().next(),
        accept: values("accept").join(","),
    }))
}

/// The path of a target: without the query, and without scheme and host if it has these.
fn path_of(target: &str) -> &str {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_of_a_request_is_taken() {
        let text =
            b"GET /metrics?x=1 HTTP/1.1\r\nHost: localhost:9750\r\nAccept: text/html\r\naccept: a/b\r\n\r\n";
        let expected = HttpRequest {
            is_head: false,
            path: "/metrics".to_owned(),
            host: Some("localhost:9750".to_owned()),
            accept: "text/html,a/b".to_owned(),
        };
        assert_eq!(parse(text), Ok(Some(expected)));
        for cut in 0..text.len() {
            assert_eq!(parse(&text[..cut]), Ok(None), "{cut}");
        }
        let path = |text: &[u8]| parse(text).unwrap().unwrap().path;
        assert_eq!(path(b"HEAD http://a:1/live HTTP/1.0\r\n\r\n"), "/live");
        assert_eq!(path(b"GET http://a HTTP/1.0\r\n\r\n"), "/");
    }

    #[test]
    fn other_requests_are_refused() {
        let status = |text: &[u8]| parse(text).unwrap_err().status;
        assert_eq!(status(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"), Status::MethodNotAllowed);
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Status::BadRequest);
        assert_eq!(status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), Status::BadRequest);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADER_LINES_MAX + 1));
        assert_eq!(status(many.as_bytes()), Status::HeaderTooLarge);
    }
}
