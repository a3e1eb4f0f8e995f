//! The journal beside a log file: its entries and their bytes, the file that they stand
//! in, and what they add up to.

mod entry;
mod file;
mod state;

pub(super) use entry::{CHECKED, Commit, Entry, Mark, PartitionState, Range, Session};
pub use entry::{Change, Landmark, Member};
pub(super) use file::{Area, Found, HALF, Refused};
pub(super) use state::{State, push_kept};

#[cfg(test)]
mod tests;
