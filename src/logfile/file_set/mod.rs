//! The log files of a job whose path has placeholders: many files, and one journal for all of them. Which
//! file a line goes to is a function of its record.

mod complete_before;
mod complete_dir;
mod compressor;
mod known_files;
mod left_files;
mod new_files;
mod open;
mod options;
mod part_file;
mod publish;
mod recovery;
mod routed;
mod take_over;
mod writers;

pub use complete_before::CompleteBefore;
#[cfg(test)]
pub(super) use complete_dir::try_complete_dir;
#[cfg(test)]
pub(super) use compressor::PART_WITHOUT_SYNC;
pub(super) use left_files::LeftFiles;
#[cfg(test)]
pub(super) use open::open_with;
pub use open::{FileSet, open_set};
pub use options::FileSetOptions;
#[cfg(test)]
pub(super) use publish::{MOVED_WITHOUT_SYNC, UNLINKED_BEFORE_LINK};
pub(super) use recovery::recover;
#[cfg(test)]
pub(super) use recovery::{KEPT_FORGOTTEN, ONE_PART_IS_ENOUGH, PARTS_STAY, UNEXAMINED_FORGOTTEN};
pub use routed::RoutedPieces;
#[cfg(test)]
pub(super) use take_over::mistakes;
pub(super) use take_over::{TakenFile, leave_later, take_over, try_take_over};
pub use writers::FileWriters;
