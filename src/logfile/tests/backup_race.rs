//! Copies of a log file that another program changes between the look at the file and the copy.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::backup::opened;
use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::backup::copy_on;
use crate::logfile::disk::Handle;

/// The log file is not there at this one of the times when it is opened.
#[derive(Debug)]
struct RotatedAway(AtomicU32);

impl Faults for RotatedAway {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let is_original = how == OpenMode::Reading && path.ends_with("out.log");
        if is_original && self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) == Ok(1) {
            return Err(io::ErrorKind::NotFound.into());
        }
        RealDisk.open(path, how)
    }
}

/// Between the look at the log file and the copy of it another program may move the file away.
#[test]
fn a_log_file_that_is_away_for_a_moment_is_looked_for_again() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    for opening in 1..=3 {
        let to = Dir::new();
        let disk = disk_with(&Arc::new(RotatedAway(AtomicU32::new(opening))));
        copy_on(&disk, &dir.log(), &to.0).unwrap();
        assert_eq!(opened(&to), (3, lines(3)), "{opening}");
    }
}

/// What a copy reads of this log file at the first attempt, after the file was found to be the right one.
#[derive(Debug)]
struct ReadOnce {
    log: PathBuf,
    openings: AtomicU32,
    /// The byte that is read as another one; `None`: the file is empty.
    changed: Option<u64>,
}

impl Faults for ReadOnce {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        if path == self.log {
            self.openings.fetch_add(1, SeqCst);
        }
        RealDisk.open(path, how)
    }

    fn read_at(&self, file: &FaultyFile<Self>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if file.path != self.log || self.openings.load(SeqCst) != 2 {
            return file.inner.read_at(buffer, at);
        }
        let Some(changed) = self.changed else { return Ok(0) };
        let count = file.inner.read_at(buffer, at)?;
        if let Some(byte) = changed.checked_sub(at).and_then(|index| buffer.get_mut(index as usize)) {
            *byte ^= 1;
        }
        Ok(count)
    }
}

/// Another program may change, or empty, the log file between the look at it and the copy.
#[test]
fn a_log_file_that_changes_under_the_copy_is_copied_again() {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 2000);
    settle(&mut log);
    let len = dir.content().len() as u64;
    assert!(len > 3 * 4096, "the first bytes and the last ones are checked");
    for changed in [Some(0), Some(4095), Some(len - 4096), Some(len - 1), None] {
        let to = Dir::new();
        let disk = disk_with(&Arc::new(ReadOnce { log: dir.log(), openings: AtomicU32::new(0), changed }));
        copy_on(&disk, &dir.log(), &to.0).unwrap();
        assert!(opened(&to) == (2000, lines(2000)), "{changed:?}");
    }
}
