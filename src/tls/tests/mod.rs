//! Published vectors, right and wrong signatures, and handshakes with a server in the process.

mod handshakes;
mod peer;
