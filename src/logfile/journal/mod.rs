//! The journal beside a log file: what its entries say, how they are written as bytes, the file
//! that holds them, and the state that they add up to.

mod codec;
mod entry;
mod file;
mod state;

pub(super) use entry::{CHECKED_BYTES, JournalEntry, Mark, MarkedCommit, PartitionState, Range, Session};
pub use entry::{Landmark, MemberIdentity, PositionChange};
pub(super) use file::{EntryRefused, HALF_BYTES_MIN, JournalFile, JournalRead};
pub(super) use state::{JournalState, push_bounded};
