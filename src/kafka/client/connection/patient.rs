//! Waits for an answer that may take long, such as the answer to JoinGroup. The caller can end the wait
//! early.

use std::io;
use std::time::{Duration, Instant};

use super::{Connection, Sent};
use crate::error::Fault;
use crate::kafka::client::transport::ConnectionLost;
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::Request;
use crate::net::NetStream;

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
        let waited = match &mut self.stream {
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
        let waited = match &mut self.stream {
            Some(stream) => stream.wait_readable(until).map_err(ConnectionLost::Io),
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
    stream: &mut NetStream,
    until: Instant,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), ConnectionLost> {
    loop {
        if !go_on() {
            return Err(ConnectionLost::Io(io::ErrorKind::Interrupted.into()));
        }
        let now = Instant::now();
        if stream.wait_readable(until.min(now + CHECK_INTERVAL)).map_err(ConnectionLost::Io)? {
            return Ok(());
        }
        if now >= until {
            return Err(ConnectionLost::Silent);
        }
    }
}
