//! Keeps a second pandad from writing the log file. A lock file of its own, which is never renamed,
//! says which process holds the log file and how often it was reopened.
//!
//! The lock file holds the process id and the count, each on a line of fixed length, so that it can
//! be rewritten while the disk is full.

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

use super::disk::{name_call, with_suffix};
use super::open_error::{OpenError, classify};

/// How often [`ask_to_reopen`] checks whether the file was reopened.
const REOPEN_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The lock is released when its last clone is dropped or the process ends.
#[derive(Debug, Clone)]
pub struct Lock {
    file: Arc<File>,
    reopened: Arc<AtomicU64>,
}

/// What came of a request to reopen a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReopenOutcome {
    /// The file was reopened: what was written before is durable in the old file, and nothing more
    /// will be written there.
    Done,
    /// No pandad holds the file.
    Nobody,
    /// The file was not reopened in time. The disk may be full.
    TimedOut,
}

impl Lock {
    /// Takes the lock of the log file at `path`.
    ///
    /// # Errors
    /// `Fatal` if another pandad holds it.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
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

    /// Records that the log file was reopened, for whoever waits for that.
    pub fn record_reopened(&self) {
        self.reopened.fetch_add(1, SeqCst);
        self.write();
    }

    /// A failure is ignored, because only other processes read the file. On a full disk a new lock file
    /// may stay empty.
    fn write(&self) {
        let text = format!("{:10}\n{:20}\n", std::process::id(), self.reopened.load(SeqCst));
        let _for_others = self.file.write_all_at(text.as_bytes(), 0);
    }
}

/// Asks the pandad that holds the log file at `path` to check whether the file was moved away, and
/// waits at most `limit` until that is done.
///
/// # Errors
/// The lock file cannot be read, or its owner cannot be signalled.
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
        Err(error) => Err(name_call("flock", "the file system must offer locks", &error.into())),
    }
}

fn read(file: &File) -> io::Result<(Pid, u64)> {
    let mut bytes = [0; 64];
    let count = file.read_at(&mut bytes, 0)?;
    let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
    let mut lines = text.lines().map(str::trim);
    let owner = lines.next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
    let count = lines.next().and_then(|line| line.parse().ok());
    owner.zip(count).ok_or_else(|| io::Error::other("the lock file does not name the process that holds it"))
}
