//! Asks a server that is used only now and then whether it still serves. Otherwise nobody would notice for
//! hours that it is gone, and the first piece of work would find out.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::error::RedisError;
use super::link::Link;
use crate::error::Fault;
use crate::threads;

/// How often the server is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The watch of one server. It ends when this value is dropped; nobody waits for its thread.
pub struct ServerWatch {
    _alive: Sender<()>,
}

impl ServerWatch {
    /// Starts the watch. The outages that it sees are those of the link's server.
    ///
    /// # Errors
    /// `Retry`: the system gives no thread.
    pub fn start(name: &str, link: &Link) -> Result<Self, Fault> {
        let mut link = link.clone();
        link.doing("watch");
        let (alive, ended) = bounded::<()>(0);
        threads::spawn(name, move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // The link logs the outage, once for all who use the server.
                let _logged = link.with_retry(|connection| match connection.ask(&redis_crate::cmd("PING")) {
                    Ok(_) => Ok(()),
                    // It answers. What it refuses to whom is the business of those who ask.
                    Err(RedisError::Refused { .. }) => Ok(()),
                    Err(lost) => Err(lost),
                });
            }
        })?;
        Ok(Self { _alive: alive })
    }
}
