//! pandad's own log: lines wait in one bounded queue and are written by a thread of their own, so
//! that no job, no signal and no deadline waits for standard error or for the disk.

mod direct;
mod line_queue;
mod macros;
mod output;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use log::{Level, LevelFilter};

pub use direct::{has_terminal, print, show_progress, write_panics};
use line_queue::LineQueue;
pub use output::OnReopened;
use output::{LogOutput, LogTask, LogThread};

use crate::threads::{self, SpawnError};

/// How many bytes may wait to be written. Lines below WARN get half of them.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// How long the end of the process waits for the log.
const END_FLUSH_MAX: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the log after the stop was forced.
const FORCED_FLUSH_MAX: Duration = Duration::from_millis(100);
/// How long the reader of standard error may take nothing of the last words of a start or a command.
const SAY_STALL_MAX: Duration = Duration::from_secs(5);

/// The log of this process. Clones share the same log.
#[derive(Debug, Clone)]
pub struct ProcessLog {
    shared: Arc<SharedLog>,
}

#[derive(Debug)]
struct SharedLog {
    state: Mutex<LogState>,
    /// Signals that a line was queued or written, or that a reopening is wanted.
    changed: Condvar,
}

#[derive(Debug)]
struct LogState {
    queue: LineQueue,
    /// Where lines are written; `None` before the configuration was read.
    target: Option<LogTarget>,
    is_writing: bool,
    reopen: bool,
    is_forced: bool,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// The end of this file.
    File(PathBuf),
}

impl ProcessLog {
    /// A log whose lines wait until it is started.
    pub fn new() -> Self {
        Self::with_room(QUEUE_BYTES_MAX)
    }

    fn with_room(bytes_max: usize) -> Self {
        let state = LogState {
            queue: LineQueue::new(bytes_max),
            target: None,
            is_writing: false,
            reopen: false,
            is_forced: false,
        };
        Self { shared: Arc::new(SharedLog { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Makes this the log of the `log` macros.
    pub fn install(&self) {
        // This fails only for the second log of a process, and there is only one.
        let _only_one = log::set_boxed_logger(Box::new(macros::logger(self)));
        log::set_max_level(LevelFilter::Info);
    }

    /// Opens the target and starts the thread that writes to it.
    ///
    /// `reopening` is called before each reopening, and the function that it returns is called after the
    /// reopening. A disk that is full does not end the start: the lines wait until the disk has room.
    ///
    /// # Errors
    /// The file cannot be opened, and a person must mend that.
    pub fn start(
        &self,
        target: LogTarget,
        level: LevelFilter,
        reopening: impl Fn() -> OnReopened + Send + 'static,
    ) -> Result<(), LogError> {
        let output = match &target {
            LogTarget::Stderr => LogOutput::Stderr,
            LogTarget::File(path) => LogOutput::File { path: path.clone(), file: open_at_start(path)? },
        };
        let mut state = self.shared.lock();
        state.queue.keep(level);
        state.target = Some(target);
        drop(state);
        log::set_max_level(level);
        let shared = Arc::clone(&self.shared);
        let thread = LogThread { shared, output, reopening: Box::new(reopening), left_out: None };
        threads::spawn("log", move || thread.run()).map(drop).map_err(LogError::Thread)
    }

    /// Queues a formatted line, or counts it as left out.
    fn push(&self, level: Level, text: String, at: Timestamp) {
        self.shared.lock().queue.push(level, text, at);
        self.shared.changed.notify_all();
    }

    /// Says that the log's file may have been moved away: the thread opens it again before the next line.
    pub fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.changed.notify_all();
    }

    /// Says that the stop was forced: the end of the process waits for the log only for a moment.
    pub fn force(&self) {
        self.shared.lock().is_forced = true;
        self.shared.changed.notify_all();
    }

    /// Called at the end of the process: writes the reason for the end, and the queued lines, within a time
    /// limit.
    ///
    /// `words` go to standard error, and also into the log if the log is a file. If the log was not started
    /// yet, only the words are written, and directly.
    pub fn end(&self, words: Option<&str>) {
        let words = words.map(|words| format!("pandad: {}\n", words.replace('\n', "\npandad: ")));
        let mut state = self.shared.lock();
        let limit = if state.is_forced { FORCED_FLUSH_MAX } else { END_FLUSH_MAX };
        let now = Instant::now();
        match (state.target.clone(), words) {
            (None, words) => {
                drop(state);
                if let Some(words) = words {
                    direct::say(words, SAY_STALL_MAX);
                }
            }
            (Some(LogTarget::Stderr), words) => {
                // The words are queued after the other lines: no other thread may write in the middle of a
                // line.
                if let Some(words) = words {
                    state.queue.push_last(words, Timestamp::now());
                }
                drop(state);
                self.shared.changed.notify_all();
                self.flush(now + limit);
            }
            (Some(LogTarget::File(_)), words) => {
                for line in words.iter().flat_map(|words| words.lines()) {
                    let line = line.strip_prefix("pandad: ").unwrap_or(line);
                    let at = Timestamp::now();
                    state.queue.push_last(format_line(Level::Error, at, line), at);
                }
                drop(state);
                self.shared.changed.notify_all();
                // The words go out while the log is being written: the log's disk may be what hangs.
                if let Some(words) = words {
                    direct::say(words, limit);
                }
                self.flush(now + limit);
            }
        }
    }

    /// Waits until everything is written, or until the deadline, which a forced stop brings nearer.
    /// True if everything is written.
    fn flush(&self, mut deadline: Instant) -> bool {
        let mut state = self.shared.lock();
        let mut was_forced = state.is_forced;
        while !state.queue.is_empty() || state.is_writing {
            if state.is_forced && !was_forced {
                was_forced = true;
                deadline = deadline.min(Instant::now() + FORCED_FLUSH_MAX);
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            state = self.shared.wait(state, rest);
        }
        true
    }
}

impl Default for ProcessLog {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedLog {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, LogState>, limit: Duration) -> MutexGuard<'a, LogState> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for the next task of the thread.
    fn next(&self) -> LogTask {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.reopen) {
                return LogTask::Reopen;
            }
            if let Some(line) = state.queue.pop() {
                state.is_writing = true;
                return LogTask::Write(line);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Records that the line from `next` was written or given up.
    fn set_written(&self) {
        self.lock().is_writing = false;
        self.changed.notify_all();
    }

    /// Waits until a reopening is wanted, and leaves it to the caller. False if `limit` passes first.
    fn wait_reopen(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.reopen) {
                return true;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            state = self.wait(state, rest);
        }
    }
}

/// Why the log cannot be started.
#[derive(Debug)]
pub enum LogError {
    /// The file cannot be opened.
    Open(io::Error),
    /// The thread cannot be started.
    Thread(SpawnError),
}

/// The file; `None` if it cannot be opened now but may be later. That case is reported on standard error.
fn open_at_start(path: &Path) -> Result<Option<std::fs::File>, LogError> {
    match output::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if may_pass(&error) => {
            let text =
                format!("pandad: {}: {error}; log lines wait until it can be opened\n", path.display());
            direct::say(text, END_FLUSH_MAX);
            Ok(None)
        }
        Err(error) => Err(LogError::Open(error)),
    }
}

/// Whether the file may be opened later without a change of its path or its rights by a person.
fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StaleNetworkFileHandle, StorageFull};
    use rustix::io::Errno;
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO];
    matches!(error.kind(), StorageFull | QuotaExceeded | StaleNetworkFileHandle)
        || Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

/// One line of the log. If the text has further lines, these are indented.
fn format_line(level: Level, at: Timestamp, text: &str) -> String {
    format!("[{at:.0} {level:<5}] {}\n", text.replace('\n', "\n    "))
}
