//! A sync of the journal that fails just when a new half has been put in force.

use std::io::IoSlice;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::super::disk::{DiskFile, FileAccess, FileStat, Handle, OpenMode, RealDisk};
use super::*;

/// The disk of this machine, of which a sync can fail that follows the write of a journal's header.
#[derive(Debug, Default)]
struct FailingDisk {
    fails: Arc<AtomicBool>,
}

#[derive(Debug)]
struct FailingFile {
    inner: Handle,
    fails: Arc<AtomicBool>,
    wrote_header: AtomicBool,
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let (inner, fails) = (RealDisk.open(path, how)?, Arc::clone(&self.fails));
        Ok(Handle::new(FailingFile { inner, fails, wrote_header: AtomicBool::new(false) }))
    }
    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        RealDisk.stat(path)
    }
    fn stat_link(&self, path: &Path) -> io::Result<FileStat> {
        RealDisk.stat_link(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(directory)
    }
    fn sync_names(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_names(directory)
    }
}

impl DiskFile for FailingFile {
    fn stat(&self) -> io::Result<FileStat> {
        self.inner.stat()
    }
    fn access(&self) -> io::Result<FileAccess> {
        self.inner.access()
    }
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, at)
    }
    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.append(slices)
    }
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        // Only a header has this length.
        self.wrote_header.store(bytes.len() == 128, Relaxed);
        self.inner.write_at(bytes, at)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        if self.wrote_header.load(Relaxed) && self.fails.load(Relaxed) {
            return Err(rustix::io::Errno::IO.into());
        }
        self.inner.sync()
    }
    fn drop_cached(&self, from: u64) -> io::Result<()> {
        self.inner.drop_cached(from)
    }
}

fn open_small(disk: &Arc<dyn Disk>, dir: &Dir) -> LogFile {
    let lock = Lock::take(&dir.log()).unwrap();
    let mut memory = RestartMemory::default();
    let (writer, settler, ledger) =
        open_with(disk, &dir.log(), &options(true), 4096, Some(1), &mut memory).unwrap();
    LogFile { writer, settler, ledger, lock }
}

/// Writes and settles lines until a sync of the journal has failed, then tries to write one more.
fn write_until_a_sync_fails(log: &mut LogFile) {
    for next in 0.. {
        let text = format!("line {next}\n");
        let mut crc = crc32fast::Hasher::new();
        crc.update(text.as_bytes());
        let (index, _) = log.ledger.written(&partition()).unwrap();
        let change = PositionChange { index, position: next + 1, last: None };
        let appended = log.writer.append(&[Piece { bytes: text.as_bytes(), crc: &crc }], &[change]);
        if log.ledger.has_failed() {
            return;
        }
        appended.unwrap();
        let checkpoint = log.writer.checkpoint();
        if log.settler.settle(checkpoint).is_ok() {
            log.ledger.record_committed(&[]);
        }
    }
}

/// The settle thread begins the new half, and the sync of the half's header fails. The sink has one more
/// write before it learns of that; then comes a kill. The new half is in force, and must know that write.
#[test]
fn nothing_is_announced_in_a_half_that_was_left() {
    for skew in 0..40 {
        let (dir, disk) = (Dir::new(), FailingDisk::default());
        let fails = Arc::clone(&disk.fails);
        let mut log = open_small(&(Arc::new(disk) as Arc<dyn Disk>), &dir);
        // What does not fit any more is now the entry of a write, now a mark.
        log.ledger.set_position(&TopicPartition::new("x".repeat(skew * 3 + 1), 0), 0).unwrap();
        log.ledger.set_position(&partition(), 0).unwrap();
        fails.store(true, Relaxed);
        write_until_a_sync_fails(&mut log);
        drop(log);
        let log = open_small(&(Arc::new(RealDisk) as Arc<dyn Disk>), &dir);
        let position = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap().position;
        let written = dir.content().lines().count() as i64;
        assert_eq!(position, Some(written), "skew {skew}: {}", dir.content());
    }
}
