//! What is answered.

use std::borrow::Cow;

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 400: this is no HTTP request.
    BadRequest,
    /// 404.
    NotFound,
    /// 405: only GET and HEAD are served.
    MethodNotAllowed,
    /// 408: the request did not come in time.
    RequestTimeout,
    /// 421: the request is for another host. It may come from a page whose name was made to resolve to this
    /// machine.
    MisdirectedRequest,
    /// 431: the header is too long.
    HeaderTooLarge,
    /// 500.
    InternalError,
    /// 503.
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad HttpRequest",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::RequestTimeout => "408 HttpRequest Timeout",
            Status::MisdirectedRequest => "421 Misdirected HttpRequest",
            Status::HeaderTooLarge => "431 HttpRequest Header Fields Too Large",
            Status::InternalError => "500 Internal Server Error",
            Status::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: Status,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `Content-Security-Policy`, for a page.
    pub policy: Option<&'static str>,
    /// The body.
    pub body: Cow<'static, str>,
}

impl Response {
    /// A text for people.
    pub fn text(status: Status, body: impl Into<Cow<'static, str>>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", policy: None, body: body.into() }
    }

    /// The bytes of the answer; without the body for a HEAD request.
    pub(super) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let allow = match self.status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let policy = match self.policy {
            Some(policy) => format!("Content-Security-Policy: {policy}\r\n"),
            None => String::new(),
        };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{allow}{policy}\r\n",
            self.status.line(),
            self.content_type,
            self.body.len()
        );
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}
