//! The settling end of the log file: what was written is made durable.

use std::io;

use super::disk::Handle;
use super::journal::Mark;
use super::ledger::{Ledger, Settled};

/// What the settle thread makes durable.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) file: Handle,
    pub(super) written: bool,
    pub(super) mark: Mark,
}

impl Checkpoint {
    /// Whether it makes any bytes of the log file durable.
    pub fn has_bytes(&self) -> bool {
        self.written
    }
}

/// The end that syncs, in a thread of its own.
#[derive(Debug)]
pub struct Settler {
    pub(super) ledger: Ledger,
    pub(super) sync: bool,
}

impl Settler {
    /// Makes a checkpoint durable. On return its positions may be committed.
    ///
    /// # Errors
    /// Nothing is known of what was to be settled: what the file really holds must be looked up
    /// by opening it anew.
    pub fn settle(&mut self, checkpoint: Checkpoint) -> io::Result<Settled> {
        if self.sync && checkpoint.written {
            checkpoint.file.sync()?;
        }
        let (settled, journal) = self.ledger.mark(checkpoint.mark)?;
        if self.sync {
            journal.sync()?;
        }
        Ok(settled)
    }
}
