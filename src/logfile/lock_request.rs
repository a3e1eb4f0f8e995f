//! Asks the pandad that holds a log file to do something, through the lock file, and waits until that
//! pandad has answered. No signal is sent: a process id means nothing in another namespace.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::disk::with_suffix;
use super::lock::{LockHolder, LockRequest, open, try_lock};

/// How often [`PendingRequest::wait`] checks whether the request was answered.
const ANSWER_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The request was answered.
    Done,
    /// No pandad holds the file.
    Nobody,
    /// The request was not answered in time. The disk may be full.
    TimedOut,
    /// The pandad that holds the file does not serve this kind of request. The text says which pandad it
    /// is.
    NotHeard(String),
}

/// A request that is on its way.
#[derive(Debug)]
pub struct PendingRequest {
    at: PathBuf,
    request: LockRequest,
    state: RequestState,
}

#[derive(Debug)]
enum RequestState {
    /// The lock file, and the number of the request.
    Asked(File, u64),
    /// The outcome was known at once.
    Ended(RequestOutcome),
}

impl PendingRequest {
    /// Asks the pandad that holds the log file at `path`.
    ///
    /// # Errors
    /// The lock file cannot be read or appended to.
    pub fn begin(path: &Path, request: LockRequest) -> io::Result<Self> {
        let at = with_suffix(path, ".lock");
        let state = Self::ask(&at, request)?;
        Ok(Self { at, request, state })
    }

    fn ask(at: &Path, request: LockRequest) -> io::Result<RequestState> {
        let file = match open(at, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(RequestState::Ended(RequestOutcome::Nobody));
            }
            Err(error) => return Err(error),
        };
        if try_lock(&file)? {
            return Ok(RequestState::Ended(RequestOutcome::Nobody));
        }
        let not_heard = |text: String| Ok(RequestState::Ended(RequestOutcome::NotHeard(text)));
        match LockHolder::read(&file)? {
            LockHolder::Listening(header) if header.words.split(' ').any(|word| word == request.word()) => {}
            LockHolder::Listening(header) => {
                return not_heard(format!("pandad {}, process {}", header.version, header.owner));
            }
            LockHolder::Older(owner) => {
                return not_heard(format!(
                    "a pandad older than {}, process {owner}",
                    env!("CARGO_PKG_VERSION")
                ));
            }
            LockHolder::Unknown => {
                return not_heard(
                    "a pandad whose name is not in the lock file, because the disk was full,".to_owned(),
                );
            }
        }
        let number = append(at, request)?;
        Ok(RequestState::Asked(file, number))
    }

    /// Waits until the request was answered, at most until `deadline`.
    ///
    /// # Errors
    /// The lock file cannot be read.
    pub fn wait(mut self, deadline: Instant) -> io::Result<RequestOutcome> {
        loop {
            let (file, number) = match &self.state {
                RequestState::Ended(outcome) => return Ok(outcome.clone()),
                RequestState::Asked(file, number) => (file, *number),
            };
            if is_answered(file, number)? {
                return Ok(RequestOutcome::Done);
            }
            if try_lock(file)? {
                return Ok(RequestOutcome::Nobody);
            }
            if Instant::now() >= deadline {
                return Ok(RequestOutcome::TimedOut);
            }
            // Another pandad has taken the lock since, and does not know of this request.
            if file.metadata()?.len() < number {
                self.state = Self::ask(&self.at, self.request)?;
            }
            std::thread::sleep(ANSWER_POLL_INTERVAL);
        }
    }
}

/// Appends the request. Its number is the length of the file after it.
fn append(at: &Path, request: LockRequest) -> io::Result<u64> {
    let mut options = OpenOptions::new();
    options.append(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = options.open(at)?;
    let line = format!("{}\n", request.word());
    if file.write(line.as_bytes())? < line.len() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.stream_position()
}

fn is_answered(file: &File, number: u64) -> io::Result<bool> {
    let read = || match LockHolder::read(file)? {
        LockHolder::Listening(header) => Ok::<_, io::Error>(Some(header)),
        LockHolder::Older(_) | LockHolder::Unknown => Ok(None),
    };
    let header = read()?;
    if header.as_ref().is_none_or(|header| header.answered < number) {
        return Ok(false);
    }
    // The first read may have come in the middle of a write, and may have mixed digits of two numbers.
    Ok(header == read()?)
}
