//! pandad.
pub mod error;
