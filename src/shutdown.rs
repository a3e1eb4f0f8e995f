//! Stopping, and reopening: a signal thread turns TERM, INT and QUIT into two tokens that every
//! wait in the program can be interrupted by.
//!
//! The first signal asks for *quiet* (take nothing new, settle what is in hand);
//! the second, or the deadline, says *now*. Both are channels that close: closing
//! is the message, so any number of threads can wait on them without polling. HUP and
//! USR1 ask for the log file to be reopened; whoever writes it looks at the count.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::threads;

/// Nothing is ever sent on the two channels; they only close.
pub enum Never {}

/// Asks for the stop. Held by the signal thread and by the daemon.
#[derive(Clone)]
pub struct StopHandle {
    senders: Arc<Mutex<Senders>>,
    reopens: Arc<AtomicU64>,
}

struct Senders {
    quiet: Option<Sender<Never>>,
    now: Option<Sender<Never>>,
}

/// What a thread looks at, or waits on, to learn of the stop.
#[derive(Clone)]
pub struct Stop {
    quiet: Receiver<Never>,
    now: Receiver<Never>,
    reopens: Arc<AtomicU64>,
}

/// A new pair: the handle that stops and the token that shows it.
pub fn pair() -> (StopHandle, Stop) {
    let (quiet_sender, quiet) = bounded(0);
    let (now_sender, now) = bounded(0);
    let senders = Senders { quiet: Some(quiet_sender), now: Some(now_sender) };
    let reopens = Arc::new(AtomicU64::new(0));
    let handle = StopHandle { senders: Arc::new(Mutex::new(senders)), reopens: Arc::clone(&reopens) };
    (handle, Stop { quiet, now, reopens })
}

impl StopHandle {
    /// Take nothing new; settle what is in hand.
    pub fn quiet(&self) {
        self.lock().quiet = None;
    }

    /// Leave at once. What is not settled comes again after the next start.
    pub fn now(&self) {
        let mut senders = self.lock();
        senders.quiet = None;
        senders.now = None;
    }

    /// Whether `quiet` was asked for already.
    pub fn is_quiet(&self) -> bool {
        self.lock().quiet.is_none()
    }

    /// The log file may have been moved away: look now.
    pub fn reopen(&self) {
        self.reopens.fetch_add(1, SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop {
    /// Whether the first stop has come.
    pub fn is_quiet(&self) -> bool {
        matches!(self.quiet.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Whether the second stop has come.
    pub fn is_now(&self) -> bool {
        matches!(self.now.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Closes with the first stop; to be selected on beside other channels.
    pub fn quiet_channel(&self) -> &Receiver<Never> {
        &self.quiet
    }

    /// Closes with the second stop.
    pub fn now_channel(&self) -> &Receiver<Never> {
        &self.now
    }

    /// How often it was asked to reopen the log file so far.
    pub fn reopens(&self) -> u64 {
        self.reopens.load(SeqCst)
    }

    /// Sleeps for `time`, or less if the first stop comes. True if it has come.
    pub fn wait(&self, time: Duration) -> bool {
        wait_on(&self.quiet, Instant::now() + time)
    }

    /// Sleeps for `time`, or less if the second stop comes. True if it has come.
    pub fn wait_now(&self, time: Duration) -> bool {
        wait_on(&self.now, Instant::now() + time)
    }
}

fn wait_on(channel: &Receiver<Never>, until: Instant) -> bool {
    match channel.recv_deadline(until) {
        Ok(never) => match never {},
        Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => true,
    }
}

/// Starts the thread that turns signals into stops.
///
/// XFSZ is taken as well, without an effect: a file at its size limit is then an
/// error of `write` that the log file waits out, and not the end of the process.
///
/// # Errors
/// A text saying which signal or thread could not be had.
pub fn on_signals(handle: StopHandle) -> Result<(), String> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGXFSZ])
        .map_err(|error| format!("cannot take signals: {error}"))?;
    threads::spawn("signals", move || {
        for signal in signals.forever() {
            match signal {
                SIGTERM | SIGINT | SIGQUIT => stop_by(signal, &handle),
                SIGHUP | SIGUSR1 => handle.reopen(),
                _ => {}
            }
        }
    })
    .map(drop)
    .map_err(|error| format!("cannot start the signal thread: {error}"))
}

fn stop_by(signal: i32, handle: &StopHandle) {
    if handle.is_quiet() {
        log::warn!("signal {signal} again: leaving now; what is not settled comes again");
        handle.now();
    } else {
        log::info!("signal {signal}: stopping");
        handle.quiet();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_wakes_every_wait() {
        let (handle, stop) = pair();
        assert!(!stop.is_quiet() && !stop.wait(Duration::ZERO));
        let sleeper = stop.clone();
        let thread = threads::spawn("sleeper", move || sleeper.wait(Duration::from_secs(60))).unwrap();
        handle.quiet();
        assert_eq!(thread.join(), Ok(true));
        assert!(stop.is_quiet() && !stop.is_now() && handle.is_quiet());
        handle.now();
        assert!(stop.is_now() && stop.wait_now(Duration::from_secs(60)));
    }
}
