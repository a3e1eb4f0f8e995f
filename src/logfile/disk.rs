//! The seam to the disk. Every file operation of the log file and its journal passes through here,
//! so that a test can stop a run after any of them and decide what a loss of power leaves.

mod file_system;
mod paths;
mod reading;

use std::fmt::Debug;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, IoSlice, Write};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

pub(super) use file_system::{mount_id, name_bytes_max};
pub(super) use paths::{directory_of, with_suffix};
pub(super) use reading::{FileReader, read_all};

/// An open file, shared by those who write to it and those who sync it.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    file: Arc<dyn DiskFile>,
    /// Whether a sync has failed.
    failed: Arc<Mutex<bool>>,
}

impl Handle {
    pub(super) fn new(file: impl DiskFile + 'static) -> Self {
        Self { file: Arc::new(file), failed: Arc::default() }
    }

    /// Makes what was written durable.
    ///
    /// Linux reports a failed write-back once, to whoever syncs next. After that it counts the pages that
    /// never reached the disk as clean (fsync(2)). Several threads sync the same file here. After one of
    /// them has seen the error, a later success proves nothing to any of them. Therefore a handle stays
    /// failed after its first failed sync. Only opening the file again shows what the disk really holds.
    pub(super) fn sync(&self) -> io::Result<()> {
        // The lock is held during the sync. Otherwise another thread could sync, and succeed, before
        // the failure is recorded.
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

    #[cfg(test)]
    pub(super) fn fail(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Whether a sync has failed. After that no later sync of this handle succeeds.
    pub(super) fn has_failed(&self) -> bool {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
thread_local! {
    /// If set, a failed sync is tried again. A test sets it to show that the simulator notices this
    /// mistake.
    pub(super) static RETRY_FAILED_SYNC: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Deref for Handle {
    type Target = dyn DiskFile;

    fn deref(&self) -> &Self::Target {
        &*self.file
    }
}

/// What identifies a file: two numbers that are reused after the file is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// The number of the device.
    pub device: u64,
    /// The number of the inode.
    pub inode: u64,
}

/// How a file is opened. Every mode but the first allows reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenMode {
    /// The file must exist, and is only read.
    Reading,
    /// The file must exist.
    Existing,
    /// Each write goes to the end of the file, which is created if it does not exist.
    Append,
    /// The file is created, or emptied if it exists.
    Truncate,
    /// The file is created with this mode, and must not exist.
    New(u32),
}

/// The mode of the files beside the log file, before the umask. These files show which topics are read, and
/// hold lines, so other users may not read them.
pub(super) const BESIDE_MODE: u32 = 0o640;
/// The mode of a file until it gets the access of another file.
pub(super) const OWNER_MODE: u32 = 0o600;

/// The largest piece, in bytes, in which Linux caches a file and drops it from the cache.
const FOLIO_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What the disk says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStat {
    pub(super) id: FileId,
    pub(super) len: u64,
    pub(super) kind: FileKind,
    /// How many names the file has. 0: the file was removed, and takes room until it is closed.
    pub(super) links: u64,
    /// The time of the last write, in seconds since 1970.
    pub(super) modified: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    File,
    Directory,
    Other,
}

/// Who may use a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FileAccess {
    pub(super) mode: u32,
    pub(super) user: u32,
    pub(super) group: u32,
}

/// Operations on names. The provided ones suit a disk without links and without owners.
pub(super) trait Disk: Debug + Send + Sync {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle>;
    fn stat(&self, path: &Path) -> io::Result<FileStat>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Every entry of a directory, as a path that begins with the directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes the names in a directory durable.
    fn sync_names(&self, directory: &Path) -> io::Result<()>;
    /// As [`Self::stat`], but for a symbolic link the link itself is described.
    fn stat_link(&self, path: &Path) -> io::Result<FileStat> {
        self.stat(path)
    }
    /// Where a symbolic link leads, even if nothing is there; the path itself if it is not a link.
    fn target(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
    /// Gives a file one more name. Nothing may have that name.
    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Creates a directory. Its parent must exist.
    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    /// Creates an empty file with this access, unless there is a file. The file never has more access than
    /// that, not even for a moment. False if its owner could not be set.
    fn create_as(&self, _path: &Path, _access: FileAccess) -> io::Result<bool> {
        Ok(true)
    }
}

/// Operations on an open file.
pub(super) trait DiskFile: Debug + Send + Sync {
    fn stat(&self) -> io::Result<FileStat>;
    fn access(&self) -> io::Result<FileAccess> {
        Ok(FileAccess::default())
    }
    /// False if the owner could not be set.
    fn set_access(&self, _access: FileAccess) -> io::Result<bool> {
        Ok(true)
    }
    /// Reads at most as many bytes as the buffer holds. Returns how many.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes at the end of the file. Returns how many bytes were written.
    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Called by [`Handle::sync`] only.
    fn sync(&self) -> io::Result<()>;
    /// Drops the cached pages from this byte on, so that they are read from the disk itself, as far
    /// as the kernel complies. Pages before that byte may be dropped as well.
    fn drop_cached(&self, from: u64) -> io::Result<()>;
}

impl dyn DiskFile {
    /// Fills the whole buffer, or fails.
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

    /// Writes all of the bytes at the end of the file.
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

/// An error that names the call that the system has refused, and what the call is needed for. The kind of
/// the error stays.
pub(super) fn name_call(call: &str, need: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{call} is refused ({error}): {need}"))
}

/// The disk of this machine.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let mut options = OpenOptions::new();
        options.read(true).write(how != OpenMode::Reading);
        match how {
            OpenMode::Reading | OpenMode::Existing => &mut options,
            // O_APPEND, and no offset of pandad's own: if another program appends or truncates, pandad's
            // lines must neither overwrite its bytes nor leave a hole.
            OpenMode::Append => options.append(true).create(true),
            OpenMode::Truncate => options.create(true).truncate(true).mode(BESIDE_MODE),
            OpenMode::New(mode) => options.create_new(true).mode(mode),
        };
        // Without this flag, opening a device may wait, as for the carrier of a line. The caller checks what
        // kind of file it is.
        let mut flags = OFlags::NONBLOCK;
        // The log file itself may be a link. For the files beside it a link is not followed: whoever may
        // create names in the directory could otherwise lead pandad's writes to any file.
        flags.set(OFlags::NOFOLLOW, !matches!(how, OpenMode::Append | OpenMode::Reading));
        options.custom_flags(flags.bits().cast_signed());
        Ok(Handle::new(options.open(path).map_err(not_followed)?))
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
        File::open(directory)?.sync_all().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => {
                let call = format!("fsync of the directory {}", directory.display());
                name_call(&call, "the file system cannot make names durable, so use another one", &error)
            }
            _ => error,
        })
    }

    fn stat_link(&self, path: &Path) -> io::Result<FileStat> {
        Ok(FileStat::of(&std::fs::symlink_metadata(path)?))
    }

    fn target(&self, path: &Path) -> PathBuf {
        let mut target = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Ok(link) = std::fs::read_link(&target) else { break };
            target = directory_of(&target).join(link);
        }
        target
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn create_as(&self, path: &Path, access: FileAccess) -> io::Result<bool> {
        match self.open(path, OpenMode::New(OWNER_MODE)) {
            Ok(file) => file.set_access(access),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

/// The system's own text would speak of too many levels of links.
pub(super) fn not_followed(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        let text = "a symbolic link, which is not followed here; put the file itself in its place";
        return io::Error::new(io::ErrorKind::InvalidInput, text);
    }
    error
}

impl FileStat {
    fn of(meta: &std::fs::Metadata) -> Self {
        let kind = match meta {
            meta if meta.is_file() => FileKind::File,
            meta if meta.is_dir() => FileKind::Directory,
            _ => FileKind::Other,
        };
        let id = FileId { device: meta.dev(), inode: meta.ino() };
        Self { id, len: meta.len(), kind, links: meta.nlink(), modified: meta.mtime() }
    }
}

impl DiskFile for File {
    fn stat(&self) -> io::Result<FileStat> {
        Ok(FileStat::of(&self.metadata()?))
    }

    fn access(&self) -> io::Result<FileAccess> {
        let meta = self.metadata()?;
        Ok(FileAccess { mode: meta.mode(), user: meta.uid(), group: meta.gid() })
    }

    fn set_access(&self, access: FileAccess) -> io::Result<bool> {
        // Only root may give a file to another user. An owner may set one of the groups that it belongs to.
        let is_ours = fchown(self, Some(access.user), Some(access.group)).is_ok();
        let _group_stays = is_ours || fchown(self, None, Some(access.group)).is_ok();
        // The owner is set first, because that clears bits of the mode.
        self.set_permissions(Permissions::from_mode(access.mode & 0o7777))?;
        Ok(is_ours)
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
        self.sync_data().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => name_call(
                "fdatasync",
                "the file system cannot make lines durable, so use another one",
                &error,
            ),
            _ => error,
        })
    }

    fn drop_cached(&self, from: u64) -> io::Result<()> {
        // A page is dropped only if the whole of it lies in the range (posix_fadvise(2)), and a
        // page may belong to a larger folio. So the range begins where the largest folio could
        // begin.
        let from = from - from % FOLIO_BYTES_MAX;
        Ok(rustix::fs::fadvise(self, from, None, rustix::fs::Advice::DontNeed)?)
    }
}
