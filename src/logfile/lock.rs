//! Keeps a second pandad from writing the log file. A separate lock file, which is never renamed, says
//! which process holds the log file, and takes requests from other processes.
//!
//! ```text
//! process id, left-aligned    10 bytes and a newline
//! count of reopenings         20 bytes and a newline
//! version of this pandad      20 bytes and a newline
//! answered up to this length  20 bytes and a newline
//! requests it looks at        53 bytes and a newline
//! requests                    a word and a newline each
//! ```
//!
//! A request is a word that is appended to the file; the number of the request is the length of the file
//! after it. The kernel advances the length under its own lock of the file, so that no two requests get the
//! same number. `flock` cannot protect a count here, because this process holds the flock all the time, and
//! a lock of a byte range collides with it on NFS.
//!
//! The other lines have a fixed length, so that they can be rewritten while the disk is full. Older pandads
//! read and write only the first two lines, with the process id right-aligned. So the alignment shows
//! whether the lines below belong to the process named above them, even if that process has the same number
//! as the one before, as in a container.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::disk::{BESIDE_MODE, name_call, not_followed, with_suffix};
use super::open_error::{OpenError, classify};

/// The length of the lines above the requests, in bytes.
const HEADER_BYTES: usize = 128;
/// If there are more bytes of requests than this, they are not read: another program decides how long the
/// file is.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// A pandad that only asks whether the lock is held takes it for a moment. So another pandad holds the log
/// file only if the lock stays held for this many attempts.
const TAKE_ATTEMPTS: u32 = 5;
const TAKE_PAUSE: Duration = Duration::from_millis(20);

/// What another process can ask of the pandad that holds a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockRequest {
    /// Check whether the file was moved away; if so, make what was written durable there and go on in
    /// a new file.
    Reopen,
}

impl LockRequest {
    const ALL: [Self; 1] = [Self::Reopen];

    /// The word for this request in the lock file.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Reopen => "reopen",
        }
    }
}

/// The lock is released when its last clone is dropped or the process ends.
#[derive(Debug, Clone)]
pub struct Lock {
    file: Arc<File>,
    reopened: Arc<AtomicU64>,
    /// The number of the last request that was answered.
    answered: Arc<AtomicU64>,
}

/// Requests that were not answered yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LockRequests {
    /// The requests in the order in which they came. A word that this version does not know is left out:
    /// its sender has seen that in the header.
    pub requests: Vec<LockRequest>,
    /// The number of the last request.
    upto: u64,
}

impl Lock {
    /// Takes the lock of the journal of several files at `base`.
    ///
    /// # Errors
    /// `Fatal` if another pandad holds it.
    pub fn take_of_several(base: &Path) -> Result<Self, OpenError> {
        Self::take(base).map_err(|error| match error {
            OpenError::Fatal(text) => OpenError::Fatal(format!(
                "{text}, or other topics to the same path: then give one of the two another directory"
            )),
            other => other,
        })
    }

    /// Takes the lock of the log file at `path`.
    ///
    /// # Errors
    /// `Fatal` if another pandad holds it.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let at = with_suffix(path, ".lock");
        let file = open(&at, true).map_err(|error| classify(&at, &error))?;
        let mut attempts = 1;
        while !try_lock(&file).map_err(|error| classify(&at, &error))? {
            if attempts == TAKE_ATTEMPTS {
                let text = format!("{}: locked: another pandad writes this log file", at.display());
                return Err(OpenError::Fatal(text));
            }
            attempts += 1;
            std::thread::sleep(TAKE_PAUSE);
        }
        let answered = Arc::new(AtomicU64::new(HEADER_BYTES as u64));
        let lock = Self { file: Arc::new(file), reopened: Arc::default(), answered };
        lock.write();
        // The requests to the process before end here, and this process answers from this number on. A
        // process that waits for one of the old requests sees that the file became shorter, and asks again.
        let _length_stays = lock.file.set_len(HEADER_BYTES as u64);
        Ok(lock)
    }

    /// The requests that were not answered yet.
    ///
    /// # Errors
    /// The lock file cannot be read.
    pub fn requests(&self) -> io::Result<LockRequests> {
        let from = self.answered.load(SeqCst);
        let upto = self.file.metadata()?.len();
        let Some(length) = upto.checked_sub(from) else {
            return Ok(LockRequests { requests: Vec::new(), upto: from });
        };
        if length > REQUEST_BYTES_MAX {
            // Nobody asks this often. The bytes are not read, and each kind of request is served once.
            return Ok(LockRequests { requests: LockRequest::ALL.to_vec(), upto });
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, from)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let named = |word: &str| LockRequest::ALL.into_iter().find(|request| request.word() == word);
        Ok(LockRequests { requests: text.lines().filter_map(named).collect(), upto })
    }

    /// Records that the log file was reopened after these requests had come, for the processes that wait
    /// for that. Older pandads wait for the count.
    pub fn record_reopened(&self, asked: &LockRequests) {
        self.answered.fetch_max(asked.upto, SeqCst);
        self.reopened.fetch_add(1, SeqCst);
        self.write();
    }

    /// A failure is ignored, because only other processes read the file. On a full disk a new lock file
    /// may stay empty.
    fn write(&self) {
        let text = LockHeader {
            owner: std::process::id(),
            reopened: self.reopened.load(SeqCst),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            answered: self.answered.load(SeqCst),
            words: LockRequest::ALL.map(LockRequest::word).join(" "),
        };
        let _for_others = self.file.write_all_at(text.to_string().as_bytes(), 0);
    }
}

/// The first lines of the lock file, as written by a pandad that serves requests. Other processes append
/// their requests below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockHeader {
    pub(super) owner: u32,
    pub(super) reopened: u64,
    pub(super) version: String,
    pub(super) answered: u64,
    pub(super) words: String,
}

impl std::fmt::Display for LockHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { owner, reopened, version, answered, words } = self;
        write!(f, "{owner:<10}\n{reopened:20}\n{version:<20.20}\n{answered:20}\n{words:<53.53}\n")
    }
}

/// Who holds a lock file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LockHolder {
    /// A pandad that serves requests.
    Listening(LockHeader),
    /// An older pandad, which serves no requests in this file. The number is its process id.
    Older(u32),
    /// The lock file does not say: the disk was full when the lock file was created.
    Unknown,
}

impl LockHolder {
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; HEADER_BYTES];
        let mut count = 0;
        while let Some(rest) = bytes.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
        Ok(Self::of(&text))
    }

    fn of(text: &str) -> Self {
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default();
        let first = line();
        let Ok(owner) = first.trim().parse() else { return Self::Unknown };
        if first.starts_with(' ') {
            return Self::Older(owner);
        }
        let (reopened, version, answered, words) = (line(), line(), line(), line());
        match (reopened.trim().parse(), answered.trim().parse()) {
            (Ok(reopened), Ok(answered)) => Self::Listening(LockHeader {
                owner,
                reopened,
                version: version.trim().to_owned(),
                answered,
                words: words.trim().to_owned(),
            }),
            _ => Self::Unknown,
        }
    }
}

/// Whether no pandad holds the log file at this path for certain.
pub fn is_unlocked(path: &Path) -> bool {
    match open(&with_suffix(path, ".lock"), false) {
        Ok(file) => try_lock(&file).unwrap_or(false),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

pub(super) fn open(at: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false).mode(BESIDE_MODE);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options.open(at).map_err(not_followed)
}

pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(name_call("flock", "the file system must offer locks", &error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(answered: u64) -> LockHeader {
        let (version, words) = ("0.1.0".to_owned(), "reopen".to_owned());
        LockHeader { owner: 17, reopened: 3, version, answered, words }
    }

    #[test]
    fn header_is_read_back_and_has_its_length() {
        let text = header(u64::MAX).to_string();
        assert_eq!(text.len(), HEADER_BYTES);
        assert_eq!(LockHolder::of(&text), LockHolder::Listening(header(u64::MAX)));
    }

    /// An older pandad reads 64 bytes, and takes two lines from them without their blanks.
    #[test]
    fn header_is_readable_for_older_pandads() {
        let text = header(128).to_string();
        let mut lines = text[..64].lines().map(str::trim);
        assert_eq!(lines.next().and_then(|line| line.parse::<i32>().ok()), Some(17));
        assert_eq!(lines.next().and_then(|line| line.parse::<u64>().ok()), Some(3));
    }

    /// An older pandad writes only the first two lines, over those that a later pandad has left.
    #[test]
    fn older_pandad_is_told_from_the_lines_that_another_left() {
        let left = header(128).to_string();
        let older = format!("{:10}\n{:20}\n", 17, 0);
        assert_eq!(LockHolder::of(&(older.clone() + &left[older.len()..])), LockHolder::Older(17));
        assert_eq!(LockHolder::of(&older), LockHolder::Older(17));
        for unknown in ["", "\0\0\0\0", "17        \n"] {
            assert_eq!(LockHolder::of(unknown), LockHolder::Unknown, "{unknown:?}");
        }
    }
}
