//! Stop and reopen: a thread turns signals into a `Stop`, which interrupts every wait in the
//! program, and into a count of requests to reopen the log file.
//!
//! The first TERM, INT or QUIT *requests* the stop: the jobs take nothing new and settle what
//! is in flight. The second, or the deadline, *forces* it: the jobs leave at once. Both are
//! channels that close. Closing is the message, so any number of threads can wait for it
//! without polling. HUP and USR1 increase the count, which the writer of the log file reads.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::threads;

/// Nothing is ever sent on the two channels; they only close.
pub enum Never {}

/// Requests or forces the stop. Held by the signal thread and by the daemon.
#[derive(Clone)]
pub struct StopHandle {
    senders: Arc<Mutex<Senders>>,
    reopens: Arc<AtomicU64>,
}

struct Senders {
    requested: Option<Sender<Never>>,
    forced: Option<Sender<Never>>,
}

/// Shows a thread whether the stop was requested or forced, and lets it wait for that.
#[derive(Clone)]
pub struct Stop {
    requested: Receiver<Never>,
    forced: Receiver<Never>,
    reopens: Arc<AtomicU64>,
}

/// A new pair: the handle that stops and the token that shows it.
pub fn pair() -> (StopHandle, Stop) {
    let (requested_sender, requested) = bounded(0);
    let (forced_sender, forced) = bounded(0);
    let senders = Senders { requested: Some(requested_sender), forced: Some(forced_sender) };
    let reopens = Arc::new(AtomicU64::new(0));
    let handle = StopHandle { senders: Arc::new(Mutex::new(senders)), reopens: Arc::clone(&reopens) };
    (handle, Stop { requested, forced, reopens })
}

impl StopHandle {
    /// The jobs take nothing new and settle what is in flight.
    pub fn request(&self) {
        self.lock().requested = None;
    }

    /// The jobs leave at once. What is not settled comes again after the next start.
    pub fn force(&self) {
        let mut senders = self.lock();
        senders.requested = None;
        senders.forced = None;
    }

    /// Whether the stop was requested already.
    pub fn is_requested(&self) -> bool {
        self.lock().requested.is_none()
    }

    /// Has the writer of the log file check now whether the file was moved away.
    pub fn reopen(&self) {
        self.reopens.fetch_add(1, SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop {
    /// Whether the stop was requested.
    pub fn is_requested(&self) -> bool {
        matches!(self.requested.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Whether the stop was forced.
    pub fn is_forced(&self) -> bool {
        matches!(self.forced.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Closes when the stop is requested. For a `select!` beside other channels.
    pub fn requested_channel(&self) -> &Receiver<Never> {
        &self.requested
    }

    /// Closes when the stop is forced.
    pub fn forced_channel(&self) -> &Receiver<Never> {
        &self.forced
    }

    /// How many requests to reopen the log file have come so far.
    pub fn reopens(&self) -> u64 {
        self.reopens.load(SeqCst)
    }

    /// Sleeps for `time`, or until the stop is requested. True if it was requested.
    pub fn wait(&self, time: Duration) -> bool {
        wait_on(&self.requested, Instant::now() + time)
    }

    /// Sleeps for `time`, or until the stop is forced. True if it was forced.
    pub fn wait_forced(&self, time: Duration) -> bool {
        wait_on(&self.forced, Instant::now() + time)
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
/// XFSZ is caught as well, without an effect: a file at its size limit is then an error of
/// `write`, after which the log file waits, and not the end of the process.
///
/// # Errors
/// A text: which signal or thread the system refused.
pub fn on_signals(handle: StopHandle) -> Result<(), String> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGXFSZ])
        .map_err(|error| format!("cannot take signals: {error}"))?;
    threads::spawn("signals", move || {
        for signal in signals.forever() {
            match signal {
                SIGTERM | SIGINT | SIGQUIT => request_or_force(signal, &handle),
                SIGHUP | SIGUSR1 => handle.reopen(),
                _ => {}
            }
        }
    })
    .map(drop)
    .map_err(|error| format!("cannot start the signal thread: {error}"))
}

fn request_or_force(signal: i32, handle: &StopHandle) {
    if handle.is_requested() {
        log::warn!(
            "signal {signal}, the second one: leaving now; what is not settled comes again at the next start"
        );
        handle.force();
    } else {
        log::info!("signal {signal}: stopping; a second one leaves at once");
        handle.request();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_wakes_every_wait() {
        let (handle, stop) = pair();
        assert!(!stop.is_requested() && !stop.wait(Duration::ZERO));
        let sleeper = stop.clone();
        let thread = threads::spawn("sleeper", move || sleeper.wait(Duration::from_secs(60))).unwrap();
        handle.request();
        assert_eq!(thread.join(), Ok(true));
        assert!(stop.is_requested() && !stop.is_forced() && handle.is_requested());
        handle.force();
        assert!(stop.is_forced() && stop.wait_forced(Duration::from_secs(60)));
    }
}
