//! Rotation by pandad itself: moves the file away and gives the new file the same access. The writer then
//! treats the new file as if another program had moved the old one.

use std::io;
use std::path::PathBuf;

use super::LogWriter;
use crate::logfile::disk::{FileAccess, directory_of};
use crate::logfile::rotation::rotated_name;

/// How long a refused rotation waits, in milliseconds.
const ROTATE_PAUSE: i64 = 60_000;

/// A rotation whose new file has not been created yet.
#[derive(Debug)]
pub(super) struct OwnRotation {
    /// The time in the name of the rotated file.
    pub(super) stamp: i64,
    /// Where the new file goes, and who may use it.
    path: PathBuf,
    access: FileAccess,
}

impl LogWriter {
    /// Moves the file away if a rotation is due. True if it was due; `follow_path` then goes on in a new
    /// file. A disk that refuses the rotation may still accept lines, so the lines go on in the old file.
    pub(super) fn rotate_if_due(&mut self, more: u64) -> bool {
        let now = (self.rotation.now)();
        if !self.rotation.is_on()
            || !self.rotation.is_due(self.end, more, self.last_write)
            || self.is_refused(now)
        {
            return false;
        }
        // If another program has moved the file away, nothing is left to rotate.
        if !self.disk.stat(&self.path).is_ok_and(|stat| stat.id == self.id) {
            return true;
        }
        match self.move_away(now) {
            Ok(own) => {
                self.rotating = Some(own);
                self.rotate_again = None;
                true
            }
            Err(error) => {
                if self.rotate_again.is_none() {
                    let label = &self.label;
                    log::warn!(
                        "{label}: cannot be rotated: {error}; lines still go to this file, and \
                         rotation is tried again each minute"
                    );
                }
                self.rotate_again = Some(now + ROTATE_PAUSE);
                false
            }
        }
    }

    fn move_away(&self, now: i64) -> io::Result<OwnRotation> {
        let path = self.disk.target(&self.path);
        let access = self.file.access()?;
        let others = self.disk.list(directory_of(&path))?;
        let (to, stamp) = rotated_name(&path, now, &others);
        self.disk.rename(&path, &to)?;
        log::info!("{}: rotated to {}", self.label, to.display());
        Ok(OwnRotation { stamp, path, access })
    }

    /// How many bytes the next range may have, so that the file does not grow beyond the size at which it
    /// is rotated: `(in this file, in a new one)`. `None` if no such size is set.
    pub fn room(&self) -> Option<(u64, u64)> {
        let size = self.rotation.size?;
        // While a rotation is refused, the file may grow further.
        (!self.is_refused((self.rotation.now)())).then(|| (size.saturating_sub(self.end), size))
    }

    /// Whether a refused rotation still waits. A clock that was set back ends the wait.
    fn is_refused(&self, now: i64) -> bool {
        self.rotate_again.is_some_and(|again| (again - ROTATE_PAUSE..again).contains(&now))
    }

    /// Begins the new file of a rotation by pandad itself.
    pub(super) fn begin_as_before(&self) -> io::Result<()> {
        if let Some(own) = &self.rotating
            && !self.disk.create_as(&own.path, own.access)?
        {
            log::warn!(
                "{}: the new file belongs to pandad's user, not to the owner of the rotated file: only root \
                 can give a file away",
                self.label
            );
        }
        Ok(())
    }
}
