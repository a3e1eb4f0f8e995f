//! The thread that writes pandad's own log. Only this thread may be blocked by standard error or by the
//! disk; everybody who waits for it has a time limit.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::direct::is_writable;
use super::line_queue::{LeftOut, QueuedLine};
use super::{SharedLog, format_line};
use crate::plural::counted;

/// The pause before the next attempt to write the rest of a line that a full disk has refused.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Where the log goes.
pub(super) enum LogOutput {
    /// Standard error. It cannot be opened again.
    Stderr,
    /// The end of a file, which is opened when the first line is written, or earlier.
    File { path: PathBuf, file: Option<File> },
}

impl LogOutput {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            // This does not use std, which would hold a lock while it writes.
            LogOutput::Stderr => Ok(rustix::io::write(io::stderr().as_fd(), text)?),
            LogOutput::File { file: Some(file), .. } => file.write(text),
            LogOutput::File { path, file } => file.insert(open(path)?).write(text),
        }
    }

    /// Whether the error may end by itself: a full disk may have room again. An error of a pipe is final.
    fn may_pass(&self, error: &io::Error) -> bool {
        match self {
            LogOutput::File { .. } => true,
            LogOutput::Stderr => matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
        }
    }
}

/// Opens a log of pandad's own at its end.
///
/// # Errors
/// Those of the system.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Answers the processes that asked for a reopening before it began.
pub type OnReopened = Box<dyn FnOnce()>;

/// See the module.
pub(super) struct LogThread {
    pub(super) shared: Arc<SharedLog>,
    pub(super) output: LogOutput,
    /// Called before each reopening. The returned function is called after the file was opened again.
    pub(super) reopening: Box<dyn Fn() -> OnReopened + Send>,
    /// Lines that could not be written. The next line reports them.
    pub(super) left_out: Option<LeftOut>,
}

/// The next task of the thread.
pub(super) enum LogTask {
    Reopen,
    Write(QueuedLine),
}

impl LogThread {
    /// Never returns: lines may come until the end of the process.
    pub(super) fn run(mut self) {
        loop {
            match self.shared.next() {
                LogTask::Reopen => {
                    self.reopen();
                }
                LogTask::Write(line) => {
                    self.write_line(line);
                    self.shared.set_written();
                }
            }
        }
    }

    fn write_line(&mut self, line: QueuedLine) {
        let mut text = String::new();
        let left_out = match (self.left_out.take(), line.left_out) {
            (Some(earlier), later) => Some(earlier.and(later)),
            (None, later) => later,
        };
        if let Some(LeftOut { count, since }) = left_out {
            text += &self.warn(&format!("{} left out since {since:.0}", counted(count, "line")));
        }
        text += &line.text;
        if !self.write_whole(text.as_bytes()) {
            let missing = if line.text.is_empty() { None } else { Some(LeftOut::one(line.at)) };
            self.left_out = match (left_out, missing) {
                (Some(left_out), missing) => Some(left_out.and(missing)),
                (None, missing) => missing,
            };
        }
    }

    /// A line of this thread's own. It cannot go through the queue, because it belongs at this very place.
    fn warn(&self, text: &str) -> String {
        format_line(log::Level::Warn, jiff::Timestamp::now(), text)
    }

    /// False if the text, or the rest of it, can never be written.
    fn write_whole(&mut self, text: &[u8]) -> bool {
        let mut rest = text;
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Only standard error can be set to non-blocking, by another process that shares it.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _again = is_writable(io::stderr().as_fd(), Some(RETRY_PAUSE));
                }
                Err(error) if self.output.may_pass(&error) => {
                    // A line whose beginning is in a full file is written whole into the new file.
                    if self.shared.wait_reopen(RETRY_PAUSE) && self.reopen() {
                        rest = text;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Goes on in the file that is at the path now. True if the file was opened again.
    fn reopen(&mut self) -> bool {
        let LogOutput::File { path, file } = &mut self.output else { return false };
        let reopened = (self.reopening)();
        match open(path) {
            Ok(new) => {
                if let Some(old) = file.replace(new) {
                    // As with the log file, a program that compresses the old file must find all of it.
                    let _best_effort = old.sync_data();
                }
                reopened();
                true
            }
            Err(why) => {
                log::warn!(
                    "{}: cannot be opened again: {why}; going on in the file that was moved away",
                    path.display()
                );
                false
            }
        }
    }
}
