//! A small HTTP server for people and programs that watch pandad: GET and HEAD, a few connections at once,
//! a deadline for each. No request changes anything. It speaks HTTP/1.1 and closes after each answer
//! (RFC 9110, RFC 9112).

mod client;
mod host_check;
mod listener;
mod peer;
mod request;
mod response;
mod server;
mod stream;

pub use client::get;
pub use host_check::AllowedHosts;
pub use listener::{HttpListener, ListenAddress};
pub use request::HttpRequest;
pub use response::{Response, Status};
pub use server::{Handler, serve};
pub use stream::HttpStream;
