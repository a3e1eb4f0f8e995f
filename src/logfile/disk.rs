//! The one way to the disk: every file operation of the log file and its journal goes
//! through here, so that a test can stop them after any of them and choose what a loss
//! of power leaves.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// An open file, shared by those who write and those who sync.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    file: Arc<dyn DiskFile>,
    /// A sync has failed.
    failed: Arc<Mutex<bool>>,
}

impl Handle {
    pub(super) fn new(file: impl DiskFile + 'static) -> Self {
        Self { file: Arc::new(file), failed: Arc::default() }
    }

    /// Makes what was written durable.
    ///
    /// The kernel tells a failed write-back once, to whoever syncs next, and then holds the
    /// pages for clean that never reached the disk. Several sync the same file here: after
    /// one of them was told, none may believe that it succeeded. So a handle whose sync
    /// failed stays so, and what the disk really holds is found out by opening it anew.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Held meanwhile, or another's could succeed before the failure is noted.
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if *failed {
            return Err(io::Error::other("a sync has failed before"));
        }
        let synced = self.file.sync();
        #[cfg(test)]
        let synced = if RETRY_FAILED_SYNC.get() { synced.or_else(|_| self.file.sync()) } else { synced };
        *failed = synced.is_err();
        synced
    }

    /// Whether a sync has failed, so that no later one will succeed.
    pub(super) fn has_failed(&self) -> bool {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
thread_local! {
    /// Lets a test see that it notices when a failed sync is tried again.
    pub(super) static RETRY_FAILED_SYNC: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Deref for Handle {
    type Target = dyn DiskFile;

    fn deref(&self) -> &Self::Target {
        &*self.file
    }
}

/// Which file a range is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// The device's number.
    pub device: u64,
    /// The inode's number.
    pub inode: u64,
}

/// How a file is opened; always for reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenMode {
    /// It must be there.
    Existing,
    /// Writing goes to the end; created where it is not there.
    Append,
    /// Created, or emptied where it is there.
    Truncate,
}

/// The largest piece, in bytes, in which Linux caches files and drops them from the cache.
const FOLIO_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What stands at a path, or behind a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStat {
    pub(super) id: FileId,
    pub(super) len: u64,
    pub(super) kind: FileKind,
    /// When it was last written to, in seconds since 1970.
    pub(super) modified: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    File,
    Directory,
    Other,
}

/// The names.
pub(super) trait Disk: Debug + Send + Sync {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle>;
    fn stat(&self, path: &Path) -> io::Result<FileStat>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Every name in a directory, with the directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes the names in a directory durable.
    fn sync_names(&self, directory: &Path) -> io::Result<()>;
}

/// The bytes.
pub(super) trait DiskFile: Debug + Send + Sync {
    fn stat(&self) -> io::Result<FileStat>;
    /// At most so many bytes as fit.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// At the end; gives how much was written.
    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Only for [`Handle::sync`].
    fn sync(&self) -> io::Result<()>;
    /// Has what follows read from the disk itself, as far as the kernel obliges. What is
    /// before may be read from there as well.
    fn drop_cached(&self, from: u64) -> io::Result<()>;
}

impl dyn DiskFile {
    /// All of the buffer, or an error.
    pub(super) fn read_exact_at(&self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All of the bytes at the end.
    pub(super) fn append_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.append(&[IoSlice::new(bytes)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The path with something added to its last part.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory a path is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The disk of this machine.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match how {
            OpenMode::Existing => &mut options,
            // Append and not a place of our own: if somebody else writes or truncates, our
            // lines must neither overwrite theirs nor leave a hole.
            OpenMode::Append => options.append(true).create(true),
            OpenMode::Truncate => options.create(true).truncate(true),
        };
        // Opening a FIFO would wait for a reader; the kind is looked at by the caller.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        Ok(Handle::new(options.open(path)?))
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        Ok(FileStat::of(&std::fs::metadata(path)?))
    }

    #[allow(clippy::disallowed_methods, reason = "the door itself")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn sync_names(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

impl FileStat {
    fn of(meta: &std::fs::Metadata) -> Self {
        let kind = match meta {
            meta if meta.is_file() => FileKind::File,
            meta if meta.is_dir() => FileKind::Directory,
            _ => FileKind::Other,
        };
        let id = FileId { device: meta.dev(), inode: meta.ino() };
        Self { id, len: meta.len(), kind, modified: meta.mtime() }
    }
}

impl DiskFile for File {
    fn stat(&self) -> io::Result<FileStat> {
        Ok(FileStat::of(&self.metadata()?))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }

    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut file = self;
        file.write_vectored(slices)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn drop_cached(&self, from: u64) -> io::Result<()> {
        // The kernel keeps what is cached in one piece with bytes before (posix_fadvise(2)):
        // a page, or as many as it takes for one.
        let from = from - from % FOLIO_BYTES_MAX;
        Ok(rustix::fs::fadvise(self, from, None, rustix::fs::Advice::DontNeed)?)
    }
}

/// The name of the mount that a directory is in, which no later one has; 0 where the kernel
/// does not tell (before 6.8).
pub(super) fn mount_id(directory: &Path) -> u64 {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    // STATX_MNT_ID_UNIQUE: the number without it is given again.
    const UNIQUE: u32 = 0x4000;
    match statx(CWD, directory, AtFlags::empty(), StatxFlags::from_bits_retain(UNIQUE)) {
        Ok(found) if found.stx_mask & UNIQUE != 0 => found.stx_mnt_id,
        _ => 0,
    }
}

/// Everything in a file, if it is no longer than `limit`.
pub(super) fn read_all(file: &dyn DiskFile, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let len = file.stat()?.len;
    if len > limit {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    FileReader { file, at: 0 }.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A file read from its beginning to its end.
pub(super) struct FileReader<'a> {
    pub(super) file: &'a dyn DiskFile,
    pub(super) at: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
