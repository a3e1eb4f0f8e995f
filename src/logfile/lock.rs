//! Keeps a second pandad off the file, and tells others who has it and how often it was
//! reopened. A file of its own, which is never renamed.
//!
//! It holds the process id and a count, each on a line of fixed length, so that it can be
//! written again on a full disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::disk::with_suffix;
use super::open_error::{OpenError, classify};

/// How often is looked whether it was done.
const REOPEN_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Released when the last clone is dropped, or the process ends.
#[derive(Debug, Clone)]
pub struct Lock {
    file: Arc<File>,
    reopened: Arc<AtomicU64>,
}

/// What came of asking for a file to be reopened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReopenOutcome {
    /// It is: what was written before is durable in the old file, and nothing more comes there.
    Done,
    /// No pandad has the file.
    Nobody,
    /// Not within the time: the disk may be full.
    TimedOut,
}

impl Lock {
    /// Takes the lock of the log file at `path`.
    ///
    /// # Errors
    /// `Fatal` where another pandad has it.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let at = with_suffix(path, ".lock");
        let file = open(&at, true).map_err(|error| classify(&at, &error))?;
        if !try_lock(&file).map_err(|error| classify(&at, &error))? {
            let text = format!("{}: locked: another pandad writes this log file", at.display());
            return Err(OpenError::Fatal(text));
        }
        let lock = Self { file: Arc::new(file), reopened: Arc::default() };
        lock.write();
        Ok(lock)
    }

    /// The log file was reopened.
    pub fn record_reopened(&self) {
        self.reopened.fetch_add(1, SeqCst);
        self.write();
    }

    /// For others only; a full disk may keep a new file from being written.
    fn write(&self) {
        let text = format!("{:10}\n{:20}\n", std::process::id(), self.reopened.load(SeqCst));
        let _for_others = self.file.write_all_at(text.as_bytes(), 0);
    }
}

/// Asks whoever has the log file at `path` to look whether it was moved away, and waits
/// until that is done, for `limit` at most.
///
/// # Errors
/// The lock file cannot be read, or its owner not be signalled.
pub fn ask_to_reopen(path: &Path, limit: Duration) -> io::Result<ReopenOutcome> {
    let at = with_suffix(path, ".lock");
    let file = match open(&at, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ReopenOutcome::Nobody),
        Err(error) => return Err(error),
    };
    if try_lock(&file)? {
        return Ok(ReopenOutcome::Nobody);
    }
    let (owner, before) = read(&file)?;
    kill_process(owner, Signal::USR1)?;
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        std::thread::sleep(REOPEN_POLL_INTERVAL);
        if read(&file)? != (owner, before) {
            return Ok(ReopenOutcome::Done);
        }
        if try_lock(&file)? {
            return Ok(ReopenOutcome::Nobody);
        }
    }
    Ok(ReopenOutcome::TimedOut)
}

fn open(at: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).open(at)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read(file: &File) -> io::Result<(Pid, u64)> {
    let mut bytes = [0; 64];
    let count = file.read_at(&mut bytes, 0)?;
    let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
    let mut lines = text.lines().map(str::trim);
    let owner = lines.next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
    let count = lines.next().and_then(|line| line.parse().ok());
    owner.zip(count).ok_or_else(|| io::Error::other("the lock file does not say who has it"))
}
