//! A connected socket. A read or write ends at a moment, however many of its bytes trickle in before.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::time_limit::time_left;

/// Below this time limit the kernel's timeout is set to the limit itself.
const SHORT: Duration = Duration::from_millis(20);

#[derive(Debug)]
enum Endpoint {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connected, blocking socket with the timeouts that the kernel has for it.
#[derive(Debug)]
pub(super) struct Socket {
    endpoint: Endpoint,
    /// Zero: not set yet.
    read_timeout: Duration,
    write_timeout: Duration,
}

impl Socket {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self { endpoint: Endpoint::Tcp(stream), read_timeout: Duration::ZERO, write_timeout: Duration::ZERO }
    }

    pub(super) fn unix(stream: UnixStream) -> Self {
        Self { endpoint: Endpoint::Unix(stream), read_timeout: Duration::ZERO, write_timeout: Duration::ZERO }
    }

    /// Reads what there is, or waits for the first bytes until that moment.
    pub(super) fn read(&mut self, room: &mut [u8], until: Instant) -> io::Result<usize> {
        loop {
            if let Some(timeout) = better_timeout(self.read_timeout, time_left(until)?) {
                match &self.endpoint {
                    Endpoint::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
                    Endpoint::Unix(stream) => stream.set_read_timeout(Some(timeout)),
                }?;
                self.read_timeout = timeout;
            }
            let read = match &mut self.endpoint {
                Endpoint::Tcp(stream) => stream.read(room),
                Endpoint::Unix(stream) => stream.read(room),
            };
            match read {
                Err(error) if will_be_repeated(&error, until) => {}
                done => return done,
            }
        }
    }

    /// Writes some of these bytes, waiting for room until that moment.
    pub(super) fn write(&mut self, bytes: &[u8], until: Instant) -> io::Result<usize> {
        loop {
            if let Some(timeout) = better_timeout(self.write_timeout, time_left(until)?) {
                match &self.endpoint {
                    Endpoint::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
                    Endpoint::Unix(stream) => stream.set_write_timeout(Some(timeout)),
                }?;
                self.write_timeout = timeout;
            }
            let written = match &mut self.endpoint {
                Endpoint::Tcp(stream) => stream.write(bytes),
                Endpoint::Unix(stream) => stream.write(bytes),
            };
            match written {
                Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if will_be_repeated(&error, until) => {}
                done => return done,
            }
        }
    }

    /// Whether there is anything to read before that moment: bytes, the end, or an error.
    pub(super) fn wait_readable(&self, until: Instant) -> io::Result<bool> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut waiting = [PollFd::new(self, PollFlags::IN)];
            match poll(&mut waiting, timeout.as_ref()) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// From now on a read or write that would have to wait fails. It is for the last words alone.
    pub(super) fn stop_waiting(&mut self) -> io::Result<()> {
        match &self.endpoint {
            Endpoint::Tcp(stream) => stream.set_nonblocking(true),
            Endpoint::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Writes without waiting, after [`Self::stop_waiting`].
    pub(super) fn write_at_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.endpoint {
            Endpoint::Tcp(stream) => stream.write(bytes),
            Endpoint::Unix(stream) => stream.write(bytes),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.endpoint {
            Endpoint::Tcp(stream) => stream.as_fd(),
            Endpoint::Unix(stream) => stream.as_fd(),
        }
    }
}

/// The timeout to set for the time that is left, if the one that is set will not do.
///
/// It is shorter than the time left, so that it need not be set again for each part of a long answer; when it
/// is over too early, the caller waits again.
fn better_timeout(set: Duration, left: Duration) -> Option<Duration> {
    let better = if left < SHORT { left } else { left / 4 * 3 };
    let will_do = left / 2 <= set && set <= left;
    (!will_do).then_some(better)
}

/// The wait was interrupted by a signal, or the kernel's timeout is over: the time limit decides.
///
/// A process that was stopped and then continued is told of the interruption if the limit has passed
/// meanwhile: the other side may have answered long ago.
fn will_be_repeated(error: &io::Error, until: Instant) -> bool {
    match error.kind() {
        io::ErrorKind::Interrupted => time_left(until).is_ok(),
        kind => kind == io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_that_outlasts_the_limit_is_told() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let repeated = |kind: io::ErrorKind, until| will_be_repeated(&kind.into(), until);
        assert!(repeated(io::ErrorKind::Interrupted, later) && !repeated(io::ErrorKind::Interrupted, now));
        // The next look at the time says that it is over.
        assert!(repeated(io::ErrorKind::WouldBlock, now));
        assert!(!repeated(io::ErrorKind::ConnectionReset, later));
    }
}
