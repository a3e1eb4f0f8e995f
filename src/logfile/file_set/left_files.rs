//! Files that a start cannot examine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::logfile::journal::FileNumber;
use crate::logfile::open_error::OpenError;

/// The files that cannot be examined at present. Nothing is decided about their ranges, which stay in the
/// journal for a later start.
#[derive(Debug, Default)]
pub(in crate::logfile) struct LeftFiles {
    /// Whether files may be left. Each range must have one part then.
    is_allowed: bool,
    /// The files that are not tried.
    held_back: BTreeSet<PathBuf>,
    numbers: BTreeSet<FileNumber>,
    /// The files that were tried, and why each is left.
    pub(in crate::logfile) refused: Vec<(PathBuf, OpenError)>,
}

impl LeftFiles {
    /// Files may be left, and these are, whatever their disks say.
    pub(in crate::logfile) fn allowed(held_back: BTreeSet<PathBuf>) -> Self {
        Self { is_allowed: true, held_back, ..Self::default() }
    }

    /// Whether files may be left.
    pub(super) fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    /// The files that the journal knows and that are left.
    pub(in crate::logfile) fn numbers(&self) -> &BTreeSet<FileNumber> {
        &self.numbers
    }

    /// Whether nothing of the file is tried.
    pub(super) fn is_held_back(&mut self, number: FileNumber, path: &Path) -> bool {
        if self.held_back.contains(path) {
            self.numbers.insert(number);
        }
        self.numbers.contains(&number)
    }

    /// The file cannot be examined.
    ///
    /// # Errors
    /// It may not be left.
    pub(super) fn leave(
        &mut self,
        number: FileNumber,
        path: &Path,
        error: OpenError,
    ) -> Result<(), OpenError> {
        if !self.is_allowed {
            return Err(error);
        }
        self.numbers.insert(number);
        self.refused.push((path.to_owned(), error));
        Ok(())
    }
}
