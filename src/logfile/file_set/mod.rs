//! The log files of a job whose path has placeholders: many files, and one journal for all of them. Which
//! file a line goes to is a function of its record.

mod directories;
mod known_files;
mod new_files;
mod open;
mod publish;
mod recovery;
mod writers;

pub(super) use directories::make_directories;
#[cfg(test)]
pub(super) use open::open_with;
pub use open::{FileSet, FileSetOptions, open_set};
pub use writers::{FileWriters, RoutedPieces};

/// Mistakes that a test makes to show that the simulator notices them.
#[cfg(test)]
mod mistakes {
    use std::cell::Cell;

    thread_local! {
        pub(in crate::logfile) static ONE_PART_IS_ENOUGH: Cell<bool> = const { Cell::new(false) };
        pub(in crate::logfile) static PARTS_STAY: Cell<bool> = const { Cell::new(false) };
        pub(in crate::logfile) static CLOSED_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
        pub(in crate::logfile) static MOVED_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
        pub(in crate::logfile) static BEGUN_WITHOUT_SYNC: Cell<bool> = const { Cell::new(false) };
    }
}
#[cfg(test)]
pub(super) use mistakes::*;
