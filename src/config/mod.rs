//! The configuration: an .inv file becomes typed values, or every fault in it at once.

mod keys;
mod settings;

pub use settings::*;
