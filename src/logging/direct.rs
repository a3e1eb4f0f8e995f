//! Text that does not go through the queue: the output of commands, and the reason why a start ends. The
//! text is written whole, and given up if its reader takes nothing for too long.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::threads;

/// A pipe takes a piece of this size whole or not at all (PIPE_BUF).
const PIECE_BYTES_MAX: usize = 4096;
/// How long the reader of a command's progress may take nothing.
const PROGRESS_STALL_MAX: Duration = Duration::from_millis(100);
/// How long the reader of a command's output may take nothing.
const OUTPUT_STALL_MAX: Duration = Duration::from_secs(60);

/// Writes to standard output. If the output is a terminal, as with a pager, there is no time limit.
///
/// # Errors
/// The reader is gone, or took nothing for a minute.
pub fn print(text: &str) -> io::Result<()> {
    let limit = (!io::stdin().is_terminal()).then_some(OUTPUT_STALL_MAX);
    write_whole(io::stdout().as_fd(), text.as_bytes(), limit, |_| {})
}

/// Whether standard error is a terminal.
pub fn has_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Shows on standard error how far a command is. On a terminal the text takes the place of the one before.
pub fn show_progress(text: &str, is_terminal: bool) {
    let line = if is_terminal { format!("\r\x1b[K{text}") } else { format!("{text}\n") };
    // A reader that takes nothing misses the progress, and nothing else.
    let _missed = write_whole(io::stderr().as_fd(), line.as_bytes(), Some(PROGRESS_STALL_MAX), |_| {});
}

/// Writes to standard error in a separate thread, and waits for that thread as long as it makes progress at
/// least once in `stall`. A `write` that hangs cannot be ended, so nobody waits for the thread's end.
pub(super) fn say(text: String, stall: Duration) {
    let (progress, progressed) = unbounded();
    let copy = text.clone();
    let write = move || {
        // The reader is gone, so the error cannot be reported anywhere.
        let _closed = write_whole(io::stderr().as_fd(), copy.as_bytes(), None, |count| {
            let _given_up = progress.send(count);
        });
    };
    match threads::spawn("last-words", write) {
        Ok(_) => while progressed.recv_timeout(stall).is_ok() {},
        // If no thread can be started, only `poll` keeps the write from hanging.
        Err(_) => {
            let _closed = write_whole(io::stderr().as_fd(), text.as_bytes(), Some(stall), |_| {});
        }
    }
}

/// Writes the whole text piece by piece, also to a descriptor that does not block. `progress` gets the
/// length of each piece.
fn write_whole(
    fd: BorrowedFd<'_>,
    text: &[u8],
    stall: Option<Duration>,
    mut progress: impl FnMut(usize),
) -> io::Result<()> {
    let mut rest = text;
    while !rest.is_empty() {
        if !is_writable(fd, stall)? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its reader takes nothing"));
        }
        let piece = rest.get(..PIECE_BYTES_MAX).unwrap_or(rest);
        match rustix::io::write(fd, piece) {
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                progress(count);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until a write would not block, for `limit` at most. True also if the write would fail.
pub(super) fn is_writable(fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<bool> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], rest.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes panics write to standard error and not through the queue, whose lock the panicking thread may
/// hold.
///
/// The thread that panics does not wait: a separate thread writes the text. While that thread hangs, later
/// texts are left out; the owner of a thread logs its panic in any case.
pub fn write_panics() {
    static IS_WRITING: AtomicBool = AtomicBool::new(false);
    panic::set_hook(Box::new(|info| {
        write_aside(&IS_WRITING, panic_report(info), |text| {
            let _closed = write_whole(io::stderr().as_fd(), text.as_bytes(), None, |_| {});
        });
    }));
}

/// Starts a thread that writes the text, unless an earlier one is still writing.
fn write_aside(is_writing: &'static AtomicBool, text: String, write: impl FnOnce(String) + Send + 'static) {
    if is_writing.swap(true, SeqCst) {
        return;
    }
    let written = threads::spawn("panic", move || {
        write(text);
        is_writing.store(false, SeqCst);
    });
    if written.is_err() {
        is_writing.store(false, SeqCst);
    }
}

fn panic_report(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let text = threads::panic_text(info.payload());
    let trace = std::backtrace::Backtrace::capture();
    let mut report =
        format!("thread '{}' panicked at {place}:\n{text}\n", thread.name().unwrap_or("unnamed"));
    if trace.status() == std::backtrace::BacktraceStatus::Captured {
        report += &format!("{trace}\n");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// A slow reader gets everything, through a descriptor that does not block.
    #[test]
    fn a_slow_reader_gets_all() {
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let text = "0123456789abcde\n".repeat(20_000);
        let expected = text.clone();
        let writing = threads::spawn("writes", move || {
            write_whole(writer.as_fd(), text.as_bytes(), Some(Duration::from_secs(20)), |_| {})
        });
        std::thread::sleep(Duration::from_millis(100));
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert!(writing.unwrap().join().unwrap().is_ok());
        assert!(read == expected, "{} of {} bytes, or in another order", read.len(), expected.len());
    }

    #[test]
    fn a_reader_that_takes_nothing_is_given_up() {
        let (_reader, writer) = io::pipe().unwrap();
        let began = Instant::now();
        let text = vec![b'x'; 1 << 20];
        let mut taken = 0;
        let limit = Some(Duration::from_millis(50));
        let error = write_whole(writer.as_fd(), &text, limit, |count| taken += count).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(taken >= PIECE_BYTES_MAX && began.elapsed() < Duration::from_secs(10));
    }

    /// While the text of one panic cannot be written, no other panicking thread waits.
    #[test]
    fn a_panic_waits_for_nobody() {
        static IS_WRITING: AtomicBool = AtomicBool::new(false);
        let (write, written) = unbounded();
        let (go, gone) = unbounded::<()>();
        let (first, second) = (write.clone(), write.clone());
        let blocked = move |text| {
            first.send(text).unwrap();
            gone.recv().unwrap();
        };
        write_aside(&IS_WRITING, "one".to_owned(), blocked);
        let limit = Duration::from_secs(20);
        assert_eq!(written.recv_timeout(limit), Ok("one".to_owned()));
        write_aside(&IS_WRITING, "left out".to_owned(), move |text| second.send(text).unwrap());
        go.send(()).unwrap();
        while IS_WRITING.load(SeqCst) {
            std::thread::yield_now();
        }
        write_aside(&IS_WRITING, "two".to_owned(), move |text| write.send(text).unwrap());
        assert_eq!(written.recv_timeout(limit), Ok("two".to_owned()));
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert!(write_whole(writer.as_fd(), b"x", Some(Duration::from_secs(20)), |_| {}).is_err());
    }
}
