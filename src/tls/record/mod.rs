//! Records are encrypted and decrypted.

mod cipher;
mod tls12;
mod tls13;

#[cfg(test)]
pub(super) use cipher::KeyedCipher;
pub use cipher::{RecordCipher, TAG_BYTES};
pub use tls12::Tls12Records;
pub use tls13::Tls13Records;
