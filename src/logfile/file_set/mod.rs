//! The log files of a job whose path has placeholders: many files, and one journal for all of them. Which
//! file a line goes to is a function of its record.

mod directories;
mod known_files;
#[cfg(test)]
mod mistakes;
mod new_files;
mod open;
mod publish;
mod recovery;
mod writers;

pub(super) use directories::make_directories;
#[cfg(test)]
pub(super) use mistakes::*;
#[cfg(test)]
pub(super) use open::open_with;
pub use open::{FileSet, FileSetOptions, open_set};
pub use writers::{FileWriters, RoutedPieces};
