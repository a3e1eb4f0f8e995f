//! The end of a log file that syncs: it makes durable what was written.

use std::io;

#[cfg(test)]
use super::disk::{Disk, Handle, OpenMode, RealDisk};
use super::ledger::{Ledger, Settled};
use super::written_files::MarkDraft;

/// Everything that was written up to one moment, for the settle thread.
#[derive(Debug)]
pub struct Checkpoint(pub(super) MarkDraft);

impl Checkpoint {
    /// Whether the checkpoint contains bytes of a log file.
    pub fn has_bytes(&self) -> bool {
        !self.0.handles.is_empty()
    }

    /// The checkpoint of a file of which a sync has failed.
    #[cfg(test)]
    pub fn failed(mut self) -> Self {
        self.0.handles.push(RealDisk.open("/dev/null".as_ref(), OpenMode::Reading).unwrap());
        self.0.handles.iter().for_each(Handle::fail);
        self
    }
}

/// The end that syncs. The settle thread owns it.
#[derive(Debug)]
pub struct Settler {
    pub(super) ledger: Ledger,
    pub(super) sync: bool,
}

impl Settler {
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
