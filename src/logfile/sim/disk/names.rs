//! Operations on names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DIRECTORY, DiskFlaw, FileState, SimDisk, SimFile, UnsyncedWrite};
use crate::logfile::disk::{Disk, FileStat, Handle, OpenMode};

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let mut world = self.lock();
        let number = match world.find(path) {
            Ok(_) if matches!(how, OpenMode::New(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(number) => {
                world.check_open(number)?;
                number
            }
            Err(error) if matches!(how, OpenMode::Reading | OpenMode::Existing) => return Err(error),
            Err(_) => {
                world.check_directory(path.parent().unwrap())?;
                world.step()?;
                world.files.push(FileState::default());
                let number = world.files.len() - 1;
                world.renamed(|names| {
                    names.insert(path.to_owned(), number);
                });
                number
            }
        };
        if how == OpenMode::Truncate && !world.files[number].now.is_empty() {
            world.step()?;
            world.files[number].write(UnsyncedWrite::Length(0));
        }
        let append = how == OpenMode::Append;
        Ok(Handle::new(SimFile { world: Arc::clone(&self.world), number, append }))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let world = self.lock();
        Ok(world.stat(world.find(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.lock();
        world.find(from)?;
        world.step()?;
        // The operator may have come first.
        let number = world.find(from)?;
        world.renamed(|names| {
            names.remove(from);
            names.insert(to.to_owned(), number);
        });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.lock();
        world.find(path)?;
        world.step()?;
        world.renamed(|names| {
            names.remove(path);
        });
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let world = self.lock();
        world.check_directory(directory)?;
        let is_in = |path: &&PathBuf| path.parent() == Some(directory);
        Ok(world.names.keys().filter(is_in).cloned().collect())
    }

    fn sync_names(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.lock();
        world.check_directory(directory)?;
        world.step()?;
        if world.flaw != DiskFlaw::NamesNotSynced {
            world.sync_names(directory);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.lock();
        let number = world.find(from)?;
        if world.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.check_directory(to.parent().unwrap())?;
        world.step()?;
        world.renamed(|names| {
            names.insert(to.to_owned(), number);
        });
        Ok(())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut world = self.lock();
        if world.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.check_directory(path.parent().unwrap())?;
        world.step()?;
        world.renamed(|names| {
            names.insert(path.to_owned(), DIRECTORY);
        });
        Ok(())
    }
}
