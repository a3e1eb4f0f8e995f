//! pandad.
pub mod error;
pub mod config;
