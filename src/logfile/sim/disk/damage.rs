//! What happens to the disk between two runs, or by another program: new numbers, copies, damage.

use std::io;
use std::path::Path;

use super::{FileState, SimDisk, UnsyncedWrite};

impl SimDisk {
    /// Every file gets another device and inode number, as on a copy of the file system.
    pub(in crate::logfile::sim) fn renumber(&self) {
        self.lock().renumbered += 1;
    }

    /// Changes bytes of a file without the knowledge of the program.
    pub(in crate::logfile::sim) fn damage(&self, path: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut world = self.lock();
        let number = world.find(Path::new(path)).unwrap();
        let file = &mut world.files[number];
        change(&mut file.now);
        change(&mut file.durable);
    }

    /// The writes to a file since its last sync: where each begins and ends.
    pub(in crate::logfile::sim) fn unsynced(&self, path: &str) -> Vec<(usize, usize)> {
        let world = self.lock();
        let number = world.find(Path::new(path)).unwrap();
        let range = |write: &UnsyncedWrite| match write {
            UnsyncedWrite::Bytes(at, bytes) => (*at, at + bytes.len()),
            UnsyncedWrite::Length(length) => (*length, *length),
        };
        world.files[number].writes.iter().map(range).collect()
    }

    /// Somebody copies a file.
    pub(in crate::logfile::sim) fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.lock();
        let number = world.find(from)?;
        world.step()?;
        let now = world.files[number].now.clone();
        world.files.push(FileState { durable: now.clone(), now, ..FileState::default() });
        let number = world.files.len() - 1;
        world.renamed(|names| {
            names.insert(to.to_owned(), number);
        });
        Ok(())
    }
}
