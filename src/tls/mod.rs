//! The cryptography of TLS for rustls: released crates of RustCrypto and dalek, in pure Rust, put into the
//! forms that rustls asks for. No primitive is made here.

mod digest;
mod key_exchange;
mod keyed_hash;
mod provider;
mod random;
pub mod record;
mod signing;
mod suites;
#[cfg(test)]
mod tests;
mod verification;

pub use digest::sha256;
pub use provider::provider;
