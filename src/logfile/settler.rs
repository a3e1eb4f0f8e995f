//! The end of a log file that syncs: it makes durable what was written.

use std::io;
use std::path::PathBuf;

use super::checkpoint::Checkpoint;
use super::journal::FileNumber;
use super::ledger::{Ledger, Settled};

/// The end that syncs. The settle thread owns it.
#[derive(Debug)]
pub struct Settler {
    pub(super) ledger: Ledger,
    pub(super) sync: bool,
}

impl Settler {
    /// As [`Ledger::failed_files`].
    pub fn failed_files(&self) -> Vec<FileNumber> {
        self.ledger.failed_files()
    }

    /// Where the journal is.
    pub fn journal_path(&self) -> PathBuf {
        self.ledger.journal_path()
    }

    /// Makes a checkpoint durable. On return, its positions may be committed.
    ///
    /// # Errors
    /// After an error, it is unknown how much of the checkpoint the disk holds. Only opening the file again
    /// shows that.
    pub fn settle(&mut self, checkpoint: Checkpoint) -> io::Result<Settled> {
        if self.sync {
            checkpoint.0.sync()?;
        }
        let (settled, journal) = self.ledger.mark(checkpoint.0.mark)?;
        if self.sync {
            journal.sync()?;
        }
        Ok(settled)
    }
}
