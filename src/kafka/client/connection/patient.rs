//! Waits for an answer that may take long, such as the answer to JoinGroup. The caller can end the wait
//! early.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Connection, Sent};
use crate::error::Fault;
use crate::kafka::client::transport::{ConnectionLost, timed_out};
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::Request;
use crate::time_limit::time_left;

/// How often the caller is asked whether to wait on.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

impl Connection {
    /// As [`Self::ask`], but `patience` is added to the time limit of the answer. Meanwhile `go_on`
    /// is called regularly; if it returns false, the connection is given up.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_patiently<R: Request>(
        &mut self,
        request: &R,
        patience: Duration,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<R::Answer, Fault> {
        let sent = self.send(request, patience)?;
        let waited = match &self.stream {
            Some(stream) => wait_readable(stream, sent.until, &mut go_on),
            None => Err(ConnectionLost::Closed),
        };
        if let Err(lost) = waited {
            self.stream = None;
            return Err(Fault::Retry(self.describe(&lost)));
        }
        self.receive::<R>(sent, &mut Frame::default())
    }
}

impl Connection {
    /// Waits until the answer begins to come, for so long at most and as long as its time limit allows.
    /// False: it does not come within that time; the connection can still be used to wait on.
    ///
    /// # Errors
    /// `Retry`: the connection failed and cannot be used again.
    pub fn answer_begins(&mut self, sent: &Sent, time: Duration) -> Result<bool, Fault> {
        let until = sent.until.min(Instant::now() + time);
        let waited = match &self.stream {
            Some(stream) => loop {
                let left = time_left(until);
                match left
                    .and_then(|left| stream.set_read_timeout(Some(left)))
                    .and_then(|()| stream.peek(&mut [0]))
                {
                    Ok(_) => break Ok(true),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if timed_out(&error) => break Ok(false),
                    Err(error) => break Err(ConnectionLost::Io(error)),
                }
            },
            None => Err(ConnectionLost::Closed),
        };
        waited.map_err(|lost| {
            self.stream = None;
            Fault::Retry(self.describe(&lost))
        })
    }
}

/// Waits for the first byte of an answer without reading it.
fn wait_readable(
    stream: &TcpStream,
    until: Instant,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), ConnectionLost> {
    loop {
        if !go_on() {
            return Err(ConnectionLost::Io(io::ErrorKind::Interrupted.into()));
        }
        let some = time_left(until).and_then(|left| stream.set_read_timeout(Some(left.min(CHECK_INTERVAL))));
        match some.and_then(|()| stream.peek(&mut [0])) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if timed_out(&error) => return Err(ConnectionLost::Silent),
            Err(error) => return Err(ConnectionLost::Io(error)),
        }
    }
}
