//! A disk in memory that can be stopped after any operation and can lose what was not synced.
//!
//! Fault model:
//!
//! | the disk may | it never does |
//! |---|---|
//! | at a kill: keep all that was written | lose a write at a kill |
//! | at a power loss: lose any unsynced write, in whole or part | lose or change a synced byte |
//! | at a power loss: keep only the length of a write | invent bytes, or mix those of two files |
//! | show zeros where a write reached beyond a lost one | |
//! | at a power loss: lose the newest unsynced changes of names | reorder such changes, or tear one |
//! | sync the names of one directory, and not of the others | |
//! | write the first half of what an append was given | write anything but a prefix |
//! | be full for a while, in the middle of a write | take a write that it has refused |
//! | fail one sync, and lose what it should have made durable | fail unreported, or report twice |
//! | in one directory: refuse to open files, to append, or to sync, for a while | |
//! | give every file another device and inode number between two runs | during a run |
//! | have bytes of one file damaged between two runs: flipped, or set to zero | |
//!
//! One thread uses the disk; concurrent operations are not simulated. With [`DiskFlaw`] the disk
//! breaks its own rules, so that a test shows that this is noticed.

mod damage;
mod names;
mod operator;
mod trouble;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

pub(super) use operator::OperatorAct;
pub(super) use trouble::Refused;

use crate::logfile::disk::{DiskFile, FileId, FileKind, FileStat};

/// What the disk says when the run is stopped.
pub(super) const STOPPED: &str = "stopped here";

/// A rule that the disk breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskFlaw {
    None,
    /// Names are never made durable, although the sync of the directory succeeds.
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
    /// All names as they were after each change of names that is not durable yet.
    changes: Vec<BTreeMap<PathBuf, usize>>,
    /// How many operations were done, and after how many the run is stopped.
    operations: u64,
    stop_after: u64,
    /// The number of the operation that fails, if it is the sync of a file.
    fails: Option<u64>,
    has_failed: bool,
    /// The numbers of the syncs that had something to make durable.
    syncs: Vec<u64>,
    flaw: DiskFlaw,
    /// How often the files got new device and inode numbers.
    renumbered: u64,
    operator: operator::Operator,
    /// Of which directory something is refused.
    trouble: Option<trouble::Trouble>,
}

#[derive(Debug, Clone, Default)]
struct FileState {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync.
    writes: Vec<UnsyncedWrite>,
    /// Whether part of `now` was not written back and never will be.
    lost: bool,
}

/// Stands among the numbers of files for a directory.
const DIRECTORY: usize = usize::MAX;

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

    /// The kernel evicts pages that it believes to be clean: bytes that were not written back are lost.
    fn evict(&mut self) {
        if std::mem::take(&mut self.lost) {
            let length = self.now.len();
            self.now.clone_from(&self.durable);
            self.writes.iter().for_each(|write| Self::apply(&mut self.now, write));
            self.now.resize(length, 0);
        }
    }

    /// Sets the content to what is left of the file after a loss of power.
    fn lose(&mut self, dice: &mut fastrand::Rng) {
        let mut left = std::mem::take(&mut self.durable);
        for write in self.writes.drain(..) {
            match (dice.u8(0..4), &write) {
                (0, _) => {}
                (1, UnsyncedWrite::Bytes(at, bytes)) => {
                    // Some of its pages survive, because pages are written back in any order.
                    let from = dice.usize(0..=bytes.len());
                    let to = dice.usize(from..=bytes.len());
                    FileState::apply(&mut left, &UnsyncedWrite::Bytes(at + from, bytes[from..to].to_vec()));
                }
                (2, UnsyncedWrite::Bytes(at, bytes)) if at + bytes.len() > left.len() => {
                    // The length survives, and none of the bytes.
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
            has_failed: false,
            syncs: Vec::new(),
            flaw,
            renumbered: 0,
            operator: operator::Operator::default(),
            trouble: None,
        };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// From now on the disk breaks this rule.
    pub(super) fn set_flaw(&self, flaw: DiskFlaw) {
        self.lock().flaw = flaw;
    }

    /// Another disk with the same content.
    pub(super) fn copy(&self) -> Self {
        Self { world: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// Makes every operation fail after this many more.
    pub(super) fn stop_after(&self, operations: u64) {
        let mut world = self.lock();
        world.stop_after = world.operations.saturating_add(operations);
    }

    /// Whether the run is stopped.
    pub(super) fn is_stopped(&self) -> bool {
        let world = self.lock();
        world.operations >= world.stop_after
    }

    /// Memory is short: pages that can be read from the disk again are evicted.
    pub(super) fn evict(&self) {
        self.lock().files.iter_mut().for_each(FileState::evict);
    }

    pub(super) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Ends the run. Leaves the disk as the next run finds it.
    pub(super) fn end(&self, end: RunEnd, dice: &mut fastrand::Rng) {
        self.lock().stop_after = u64::MAX;
        if end == RunEnd::PowerLoss {
            self.lose_power(dice);
        }
    }

    /// The machine loses its power. A stop that is planned stays planned.
    pub(super) fn lose_power(&self, dice: &mut fastrand::Rng) {
        let mut world = self.lock();
        let kept = dice.usize(0..=world.changes.len());
        if let Some(last) = kept.checked_sub(1) {
            world.durable_names = world.changes[last].clone();
        }
        world.names = world.durable_names.clone();
        // What is in a directory that was lost is lost, too.
        while let Some(lost) = world.orphan() {
            world.names.remove(&lost);
        }
        world.durable_names = world.names.clone();
        world.changes.clear();
        for file in &mut world.files {
            file.lose(dice);
        }
    }

    /// Every file whose path begins with `prefix`, in the order of paths.
    pub(super) fn contents(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let world = self.lock();
        let has_token = |(path, number): (&PathBuf, &usize)| {
            (path.display().to_string(), world.files[*number].now.clone())
        };
        let files = world.names.iter().filter(|(_, number)| **number != DIRECTORY);
        files.map(has_token).filter(|(name, _)| name.starts_with(prefix)).collect()
    }

    /// What tells the file of this name from all others.
    pub(super) fn number_of(&self, name: &str) -> Option<usize> {
        self.lock().names.get(Path::new(name)).copied()
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.world.lock().unwrap()
    }
}

impl DiskState {
    fn step(&mut self) -> io::Result<()> {
        if self.operations >= self.stop_after {
            return Err(io::Error::other(STOPPED));
        }
        self.operator_acts();
        self.operations += 1;
        Ok(())
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Directories below the root need not be made.
    fn check_directory(&self, path: &Path) -> io::Result<()> {
        let is_there = path.components().count() <= 2 || self.names.get(path) == Some(&DIRECTORY);
        if is_there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Makes the names in one directory durable.
    fn sync_names(&mut self, directory: &Path) {
        let is_in = |path: &Path| path.parent() == Some(directory);
        for names in self.changes.iter_mut().chain([&mut self.durable_names]) {
            names.retain(|path, _| !is_in(path));
            names.extend(
                self.names.iter().filter(|(path, _)| is_in(path)).map(|(path, n)| (path.clone(), *n)),
            );
        }
        let durable = &self.durable_names;
        self.changes.retain(|names| names != durable);
    }

    fn renamed(&mut self, change: impl FnOnce(&mut BTreeMap<PathBuf, usize>)) {
        change(&mut self.names);
        self.changes.push(self.names.clone());
    }

    fn orphan(&self) -> Option<PathBuf> {
        let is_orphan = |path: &&PathBuf| self.check_directory(path.parent().unwrap()).is_err();
        self.names.keys().find(is_orphan).cloned()
    }

    fn stat(&self, number: usize) -> FileStat {
        if number == DIRECTORY {
            let id = FileId { device: 1, inode: 0 };
            return FileStat { id, len: 0, kind: FileKind::Directory, links: 2, modified: 0 };
        }
        let id = FileId { device: 1 + self.renumbered, inode: number as u64 + self.renumbered * 10_000 };
        let links = self.names.values().filter(|named| **named == number).count() as u64;
        let len = self.files[number].now.len() as u64;
        FileStat { id, len, kind: FileKind::File, links, modified: 0 }
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
        let mut world = self.world.lock().unwrap();
        world.step()?;
        // A write may stop anywhere; the caller then writes the rest.
        let taken = world.room_for(bytes.len().div_ceil(2))?;
        let taken = world.room_in(self.number, taken)?;
        let file = &mut world.files[self.number];
        file.write(UnsyncedWrite::Bytes(file.now.len(), bytes[..taken].to_vec()));
        Ok(taken)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.change(|_| UnsyncedWrite::Bytes(at as usize, bytes.to_vec()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|_| UnsyncedWrite::Length(len as usize))
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world.lock().unwrap();
        let (at, fails) = (world.operations, world.fails);
        world.step()?;
        let is_refused = world.refuses_sync(self.number);
        if !world.files[self.number].writes.is_empty() {
            world.syncs.push(at);
        }
        let FileState { now, durable, writes, lost } = &mut world.files[self.number];
        if !writes.is_empty() && (is_refused || fails == Some(at)) {
            *lost = true;
            writes.clear();
            world.has_failed |= fails == Some(at);
            return Err(rustix::io::Errno::IO.into());
        }
        if is_refused {
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
