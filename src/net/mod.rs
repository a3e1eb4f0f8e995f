//! One stream of bytes to a server, over TCP, a Unix socket or TLS, on which every wait ends at a moment that
//! the caller names.

mod connect;
mod refusal;
mod security;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tls_session;

pub use connect::{connect_tcp, connect_unix};
pub use refusal::SPEAKS_TLS;
pub use security::{TlsClient, TlsSettings};
pub use stream::{NetStream, TimedStream};
