//! The journal beside a log file: the meaning of its entries, their bytes, the file that holds them, and
//! the state that they add up to.

mod codec;
mod entry;
mod entry_reader;
mod file;
mod frame;
mod halves;
mod header;
mod held;
mod old_codec;
mod replay;
mod scope;
mod state;
mod taken_over;
#[cfg(test)]
mod tests;

pub(super) use entry::{
    CHECKED_BYTES, ClosingFile, FileHead, FilePlace, JournalEntry, Mark, MarkRepeat, MarkedCommit,
    MarkedFile, NOTHING_COMPLETE, NamedFile, ONLY_FILE, PartitionState, Range, RangePart, RepeatedPartition,
    Session,
};
pub use entry::{FileNumber, Landmark, MemberIdentity, PositionChange};
pub(super) use file::{EntryRefused, HALF_BYTES_MIN, JournalFile, JournalRead, JournalSync};
pub use held::HeldOffsets;
#[cfg(test)]
pub(super) use old_codec::older::{OlderPandad, as_version};
#[cfg(test)]
pub(super) use replay::STOP_AT_HOLE;
pub(super) use replay::{JournalContents, Replayed};
pub use scope::{EVERY_PARTITION, RouteScope};
#[cfg(test)]
pub(super) use state::BEGUN_WITHOUT_SYNC;
pub(super) use state::{
    JournalState, JournalledFile, SettledPosition, TakenPartitions, ends_of, push_bounded,
};
#[cfg(test)]
pub(super) use taken_over::{IN_FORCE_FIRST, OVERWRITTEN_WITHOUT_SYNC};
pub(super) use taken_over::{TakenOver, path_from};
