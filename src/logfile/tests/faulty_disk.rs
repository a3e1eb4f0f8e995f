//! The disk of this machine, on which some operations go another way. All others are carried out as they
//! are.

use std::fmt::Debug;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use super::super::disk::{DiskFile, FileAccess, FileStat, Handle, OpenMode, RealDisk};
use super::*;

/// What goes another way: each operation can be replaced.
pub(super) trait Faults: Debug + Send + Sync + Sized + 'static {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        RealDisk.open(path, how)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        RealDisk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn stat_link(&self, path: &Path) -> io::Result<FileStat> {
        RealDisk.stat_link(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn read_at(&self, file: &FaultyFile<Self>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        file.inner.read_at(buffer, at)
    }

    fn append(&self, file: &FaultyFile<Self>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        file.inner.append(slices)
    }

    fn write_at(&self, file: &FaultyFile<Self>, bytes: &[u8], at: u64) -> io::Result<()> {
        file.inner.write_at(bytes, at)
    }

    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        file.inner.sync()
    }
}

/// See the module.
#[derive(Debug)]
struct FaultyDisk<F>(Arc<F>);

/// An open file of this disk.
#[derive(Debug)]
pub(super) struct FaultyFile<F> {
    pub(super) inner: Handle,
    pub(super) path: PathBuf,
    faults: Arc<F>,
}

/// The disk of this machine with these faults.
pub(super) fn disk_with<F: Faults>(faults: &Arc<F>) -> Arc<dyn Disk> {
    Arc::new(FaultyDisk(Arc::clone(faults)))
}

impl<F: Faults> Disk for FaultyDisk<F> {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let (inner, path) = (self.0.open(path, how)?, path.to_owned());
        Ok(Handle::new(FaultyFile { inner, path, faults: Arc::clone(&self.0) }))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.0.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.link(from, to)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(directory)
    }

    fn sync_names(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_names(directory)
    }

    fn stat_link(&self, path: &Path) -> io::Result<FileStat> {
        self.0.stat_link(path)
    }

    fn target(&self, path: &Path) -> PathBuf {
        RealDisk.target(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }

    fn create_as(&self, path: &Path, access: FileAccess) -> io::Result<bool> {
        RealDisk.create_as(path, access)
    }
}

impl<F: Faults> DiskFile for FaultyFile<F> {
    fn stat(&self) -> io::Result<FileStat> {
        self.inner.stat()
    }

    fn access(&self) -> io::Result<FileAccess> {
        self.inner.access()
    }

    fn set_access(&self, access: FileAccess) -> io::Result<bool> {
        self.inner.set_access(access)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.faults.read_at(self, buffer, at)
    }

    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.faults.append(self, slices)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.faults.write_at(self, bytes, at)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.sync(self)
    }

    fn drop_cached(&self, from: u64) -> io::Result<()> {
        self.inner.drop_cached(from)
    }
}
