//! Goal: a stream behaves alike over TCP, a Unix socket and TLS of each version, and its waits end when they
//! should. Method: servers in threads of the test, on loopback.

mod certificates;
mod connecting;
mod deadlines;
mod endings;
mod servers;
mod transfer;
