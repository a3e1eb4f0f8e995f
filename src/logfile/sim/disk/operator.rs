//! An operator at the log file, and a disk that is full for a while. Both act between two operations
//! of pandad, so that they come before, between and after the writes of one range.

use std::io;
use std::path::Path;

use super::{DiskState, FileState, SimDisk, UnsyncedWrite};

/// What the operator does to the log file at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logfile::sim) enum OperatorAct {
    /// Renames the file.
    Rename,
    /// Removes the file. A copy of it is kept.
    Remove,
    /// Renames the file, keeps a copy, and removes the renamed file.
    RenameAndRemove,
    /// Empties the file, as `copytruncate` does. A copy of it is kept.
    Empty,
    /// Cuts the last bytes of the file, at most this many. A copy of it is kept.
    Cut(usize),
    /// Appends a text to the file.
    Append(&'static str),
    /// Renames the file, and appends a text to the renamed file.
    RenameAndAppend(&'static str),
}

/// What the operator is going to do, and what the operator has done.
#[derive(Debug, Clone, Default)]
pub(super) struct Operator {
    /// Before which operation the operator acts, on which path, and how.
    planned: Option<(u64, String, OperatorAct)>,
    /// From which operation on the disk is full, how many bytes it still takes then, and how often
    /// it refuses before there is room again.
    full: Option<(u64, usize, u32)>,
    /// The copies that were kept.
    copies: Vec<Vec<u8>>,
}

impl SimDisk {
    /// The operator acts before this operation.
    pub(in crate::logfile::sim) fn plan_act(&self, at: u64, path: &str, act: OperatorAct) {
        self.lock().operator.planned = Some((at, path.to_owned(), act));
    }

    /// Makes the disk full from this operation on. It takes `room` bytes more, and then refuses every write
    /// to the end of a file until it has refused this many writes.
    pub(in crate::logfile::sim) fn plan_full(&self, at: u64, room: usize, refusals: u32) {
        self.lock().operator.full = Some((at, room, refusals));
    }

    /// The operator appends now.
    pub(in crate::logfile::sim) fn append_at_once(&self, path: &str, text: &'static str) {
        self.plan_act(0, path, OperatorAct::Append(text));
        self.lock().operator_acts();
    }

    /// Whether the operator has acted.
    pub(in crate::logfile::sim) fn has_acted(&self) -> bool {
        self.lock().operator.planned.is_none()
    }

    /// The disk has room again, and the operator acts no more.
    pub(in crate::logfile::sim) fn leave_alone(&self) {
        let mut world = self.lock();
        (world.operator.planned, world.operator.full) = (None, None);
    }

    /// The copies that the operator has kept.
    pub(in crate::logfile::sim) fn copies(&self) -> Vec<Vec<u8>> {
        self.lock().operator.copies.clone()
    }
}

impl DiskState {
    /// Lets the operator act, if it is time.
    pub(super) fn operator_acts(&mut self) {
        let now = self.operations;
        let Some((_, path, act)) = self.operator.planned.take_if(|(at, ..)| *at <= now) else { return };
        let path = Path::new(&path);
        let Ok(number) = self.find(path) else { return };
        let content = self.files[number].now.clone();
        let old = path.with_extension("old");
        let rename = |world: &mut Self| {
            world.renamed(|names| {
                names.remove(path);
                names.insert(old.clone(), number);
            });
        };
        let append = |file: &mut FileState, text: &str| {
            file.write(UnsyncedWrite::Bytes(file.now.len(), text.as_bytes().to_vec()));
        };
        match act {
            OperatorAct::Rename => rename(self),
            OperatorAct::Remove | OperatorAct::RenameAndRemove => {
                self.operator.copies.push(content);
                self.renamed(|names| {
                    names.remove(path);
                });
            }
            OperatorAct::Empty => {
                self.operator.copies.push(content);
                self.files[number].write(UnsyncedWrite::Length(0));
            }
            OperatorAct::Cut(bytes) => {
                let left = content.len().saturating_sub(bytes);
                self.operator.copies.push(content);
                self.files[number].write(UnsyncedWrite::Length(left));
            }
            OperatorAct::Append(text) => append(&mut self.files[number], text),
            OperatorAct::RenameAndAppend(text) => {
                append(&mut self.files[number], text);
                rename(self);
            }
        }
    }

    /// How many of these bytes the disk takes now.
    pub(super) fn room_for(&mut self, count: usize) -> io::Result<usize> {
        let now = self.operations;
        let Some((_, room, refusals)) = self.operator.full.as_mut().filter(|(at, ..)| *at <= now) else {
            return Ok(count);
        };
        if *refusals == 0 {
            return Ok(count);
        }
        if *room == 0 {
            *refusals -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = count.min(*room);
        *room -= taken;
        Ok(taken)
    }
}
