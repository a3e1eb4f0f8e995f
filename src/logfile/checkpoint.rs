//! Everything that was written up to one moment.

#[cfg(test)]
use super::disk::{Disk, Handle, OpenMode, RealDisk};
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
