//! A disk in memory that can be stopped after any operation, and loses with the power
//! what was not synced: any of the writes, or part of one, and the newest of the names.
//!
//! A kill loses nothing: what was written is in the page cache. After a loss of power a
//! file holds what was synced and any of the later writes, whole, in part or not at all,
//! with zeros where a later one reached beyond one that was lost; directory changes
//! survive in the order they were made, up to some point (as journalling file systems do).
//!
//! A sync may fail: it says so once, and what was to be written back is lost, though it can be
//! read until the kernel drops the pages (as Linux does it).

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::logfile::disk::{Disk, DiskFile, FileId, FileKind, FileStat, Handle, OpenMode};

/// What the disk pretends to do and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskFlaw {
    None,
    /// Names are never made durable.
    NamesNotSynced,
}

/// How a run ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    Kill,
    PowerLoss,
}

#[derive(Debug, Clone)]
pub(super) struct SimDisk {
    world: Arc<Mutex<DiskState>>,
}

#[derive(Debug, Clone)]
struct DiskState {
    files: Vec<FileState>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// The names as they were after each change that is not durable.
    changes: Vec<BTreeMap<PathBuf, usize>>,
    /// Operations so far, and after how many the run is stopped.
    operations: u64,
    stop_after: u64,
    /// If this operation is the sync of a file, it fails.
    fails: Option<u64>,
    flaw: DiskFlaw,
}

#[derive(Debug, Clone, Default)]
struct FileState {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync.
    writes: Vec<UnsyncedWrite>,
    /// Some of `now` was not written back and never will be.
    lost: bool,
}

#[derive(Debug, Clone)]
enum UnsyncedWrite {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug)]
struct SimFile {
    world: Arc<Mutex<DiskState>>,
    number: usize,
    append: bool,
}

impl FileState {
    fn apply(bytes: &mut Vec<u8>, write: &UnsyncedWrite) {
        match write {
            UnsyncedWrite::Bytes(at, new) => {
                let end = at + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(new);
            }
            UnsyncedWrite::Length(length) => bytes.resize(*length, 0),
        }
    }

    fn write(&mut self, write: UnsyncedWrite) {
        Self::apply(&mut self.now, &write);
        self.writes.push(write);
    }

    /// The kernel drops pages that it holds for clean: what was not written back is gone.
    fn evict(&mut self) {
        if std::mem::take(&mut self.lost) {
            let length = self.now.len();
            self.now.clone_from(&self.durable);
            self.writes.iter().for_each(|write| Self::apply(&mut self.now, write));
            self.now.resize(length, 0);
        }
    }

    /// What is left of it when the power comes back.
    fn lose(&mut self, dice: &mut fastrand::Rng) {
        let mut left = std::mem::take(&mut self.durable);
        for write in self.writes.drain(..) {
            match (dice.u8(0..4), &write) {
                (0, _) => {}
                (1, UnsyncedWrite::Bytes(at, bytes)) => {
                    // Some of its pages, in whatever order they went.
                    let from = dice.usize(0..=bytes.len());
                    let to = dice.usize(from..=bytes.len());
                    FileState::apply(&mut left, &UnsyncedWrite::Bytes(at + from, bytes[from..to].to_vec()));
                }
                (2, UnsyncedWrite::Bytes(at, bytes)) if at + bytes.len() > left.len() => {
                    // Its length, and nothing of its bytes.
                    FileState::apply(&mut left, &UnsyncedWrite::Length(at + bytes.len()));
                }
                _ => FileState::apply(&mut left, &write),
            }
        }
        self.now.clone_from(&left);
        self.durable = left;
        self.lost = false;
    }
}

impl SimDisk {
    pub(super) fn new(flaw: DiskFlaw) -> Self {
        let world = DiskState {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            operations: 0,
            stop_after: u64::MAX,
            fails: None,
            flaw,
        };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Another disk that holds the same.
    pub(super) fn copy(&self) -> Self {
        Self { world: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// Every operation after so many more fails.
    pub(super) fn stop_after(&self, operations: u64) {
        let mut world = self.lock();
        world.stop_after = world.operations.saturating_add(operations);
    }

    /// If the operation after so many is the sync of a file, it fails.
    pub(super) fn fail_sync_after(&self, operations: u64) {
        self.lock().fails = Some(operations);
    }

    /// Whether it has.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().files.iter().any(|file| file.lost)
    }

    /// Memory is short: what can be read again from the disk is dropped.
    pub(super) fn evict(&self) {
        self.lock().files.iter_mut().for_each(FileState::evict);
    }

    pub(super) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The run has ended; the disk as the next one finds it.
    pub(super) fn end(&self, end: RunEnd, dice: &mut fastrand::Rng) {
        let mut world = self.lock();
        world.stop_after = u64::MAX;
        if end == RunEnd::Kill {
            return;
        }
        let kept = dice.usize(0..=world.changes.len());
        if let Some(last) = kept.checked_sub(1) {
            world.durable_names = world.changes[last].clone();
        }
        world.names = world.durable_names.clone();
        world.changes.clear();
        for file in &mut world.files {
            file.lose(dice);
        }
    }

    /// Every file whose name begins like this, in the order of names.
    pub(super) fn contents(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let world = self.lock();
        let has_token = |(path, number): (&PathBuf, &usize)| {
            (path.display().to_string(), world.files[*number].now.clone())
        };
        world.names.iter().map(has_token).filter(|(name, _)| name.starts_with(prefix)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.world.lock().unwrap()
    }
}

impl DiskState {
    fn step(&mut self) -> io::Result<()> {
        if self.operations >= self.stop_after {
            return Err(io::Error::other("stopped here"));
        }
        self.operations += 1;
        Ok(())
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn renamed(&mut self, change: impl FnOnce(&mut BTreeMap<PathBuf, usize>)) {
        change(&mut self.names);
        self.changes.push(self.names.clone());
    }

    fn stat(&self, number: usize) -> FileStat {
        let id = FileId { device: 1, inode: number as u64 };
        FileStat { id, len: self.files[number].now.len() as u64, kind: FileKind::File, modified: 0 }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        let mut world = self.lock();
        let number = match world.find(path) {
            Ok(number) => number,
            Err(error) if how == OpenMode::Existing => return Err(error),
            Err(_) => {
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
        let number = world.find(from)?;
        world.step()?;
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

    fn list(&self, _directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn sync_names(&self, _directory: &Path) -> io::Result<()> {
        let mut world = self.lock();
        world.step()?;
        if world.flaw != DiskFlaw::NamesNotSynced {
            world.durable_names = world.names.clone();
            world.changes.clear();
        }
        Ok(())
    }
}

impl SimFile {
    fn change(&self, write: impl FnOnce(&FileState) -> UnsyncedWrite) -> io::Result<()> {
        let mut world = self.world.lock().unwrap();
        world.step()?;
        let write = write(&world.files[self.number]);
        world.files[self.number].write(write);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn stat(&self) -> io::Result<FileStat> {
        Ok(self.world.lock().unwrap().stat(self.number))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let world = self.world.lock().unwrap();
        let rest = world.files[self.number].now.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(self.append);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        // A write may stop anywhere, and then it is called again.
        let half = bytes.len().div_ceil(2);
        self.change(|file| UnsyncedWrite::Bytes(file.now.len(), bytes[..half].to_vec()))?;
        Ok(half)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.change(|_| UnsyncedWrite::Bytes(at as usize, bytes.to_vec()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|_| UnsyncedWrite::Length(len as usize))
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world.lock().unwrap();
        let fails = world.fails == Some(world.operations);
        world.step()?;
        let FileState { now, durable, writes, lost } = &mut world.files[self.number];
        if fails && !writes.is_empty() {
            *lost = true;
            writes.clear();
            return Err(rustix::io::Errno::IO.into());
        }
        if *lost {
            writes.iter().for_each(|write| FileState::apply(durable, write));
        } else {
            durable.clone_from(now);
        }
        writes.clear();
        Ok(())
    }

    fn drop_cached(&self, _from: u64) -> io::Result<()> {
        self.world.lock().unwrap().files[self.number].evict();
        Ok(())
    }
}
