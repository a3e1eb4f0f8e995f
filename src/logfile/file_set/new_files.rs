//! Limits how many files begin in an hour: producers choose keys and timestamps, and so how many files
//! there are.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::logfile::writer::AppendError;

const HOUR: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Debug)]
pub(super) struct NewFiles {
    max: usize,
    since: Instant,
    count: usize,
}

impl NewFiles {
    /// Up to this many an hour.
    pub(super) fn new(max: usize) -> Self {
        Self { max, since: Instant::now(), count: 0 }
    }

    /// Whether this file may begin beside so many others that are about to.
    ///
    /// # Errors
    /// There were too many in this hour.
    pub(super) fn check(&mut self, path: &Path, others: usize) -> Result<(), AppendError> {
        if self.since.elapsed() >= HOUR {
            (self.since, self.count) = (Instant::now(), 0);
        }
        if self.count + others >= self.max {
            let why = format!(
                "{} new files began within an hour, and log_file['new_files'] allows no more; the next one \
                 is {}: look at the keys and timestamps that are produced, or allow more",
                self.count + others,
                path.display()
            );
            return Err(AppendError::Retry(io::Error::other(why)));
        }
        Ok(())
    }

    /// So many files have begun.
    pub(super) fn record(&mut self, files: usize) {
        self.count += files;
    }
}
