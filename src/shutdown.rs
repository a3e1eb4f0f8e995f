//! Stop and reopen: a thread turns signals into a `Stop`, which interrupts every wait in the program, and
//! into a count of requests to reopen the log file.
//!
//! The first TERM, INT or QUIT *requests* the stop: the jobs take nothing new and settle what is in flight.
//! A later one, or the deadline, *forces* it: the jobs leave at once. For each of the two there is a
//! channel that closes. Its closing is the message, so any number of threads can wait for it without
//! polling. HUP and USR1 increase the count, which the writer of the log file reads.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::threads;

/// Signals within this time after the first one count as the same order: a supervisor may signal both the
/// process and its group.
const ONE_ORDER_WINDOW: Duration = Duration::from_millis(300);

/// Nothing is ever sent on the two channels; they only close.
pub enum Never {}

/// Requests or forces the stop. Held by the signal thread and by the daemon.
#[derive(Clone)]
pub struct StopHandle {
    senders: Arc<Mutex<Senders>>,
    reopens: Arc<AtomicU64>,
    requested_at: Arc<OnceLock<Instant>>,
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
    requested_at: Arc<OnceLock<Instant>>,
}

/// A new pair: the handle that stops and the token that shows it.
pub fn pair() -> (StopHandle, Stop) {
    let (requested_sender, requested) = bounded(0);
    let (forced_sender, forced) = bounded(0);
    let senders = Senders { requested: Some(requested_sender), forced: Some(forced_sender) };
    let reopens = Arc::new(AtomicU64::new(0));
    let requested_at = Arc::new(OnceLock::new());
    let stop =
        Stop { requested, forced, reopens: Arc::clone(&reopens), requested_at: Arc::clone(&requested_at) };
    (StopHandle { senders: Arc::new(Mutex::new(senders)), reopens, requested_at }, stop)
}

impl StopHandle {
    /// Requests the stop: the jobs take nothing new and settle what is in flight.
    pub fn request(&self) {
        // The time is set before the channel closes, because whoever the closing wakes reads the time.
        self.requested_at.get_or_init(Instant::now);
        self.lock().requested = None;
    }

    /// Forces the stop: the jobs leave at once. Records and items that are not settled come again after the
    /// next start.
    pub fn force(&self) {
        self.requested_at.get_or_init(Instant::now);
        let mut senders = self.lock();
        senders.requested = None;
        senders.forced = None;
    }

    /// Makes the writer of the log file check now whether the file was moved away.
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

    /// When the stop was first requested.
    pub fn requested_at(&self) -> Option<Instant> {
        self.requested_at.get().copied()
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

/// An order by a signal that not only the jobs must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalOrder {
    /// Log files may have been moved away.
    Reopen,
    /// The process leaves at once.
    Force,
    /// Somebody wants to see the state of the jobs in the log.
    LogState,
}

/// Starts the thread that turns signals into stops. `also` is called after the jobs were given the order;
/// it must not wait for anything.
///
/// XFSZ is caught as well, without an effect: at the size limit of a file `write` then returns an error,
/// and the log file waits. Otherwise the signal would end the process.
///
/// # Errors
/// A text: which signal or thread the system refused.
pub fn on_signals(handle: StopHandle, also: impl Fn(SignalOrder) + Send + 'static) -> Result<(), String> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ])
        .map_err(|error| format!("cannot take signals: {error}"))?;
    threads::spawn("signals", move || {
        let mut orders = StopOrders::default();
        for signal in signals.forever() {
            match signal {
                SIGTERM | SIGINT | SIGQUIT => {
                    let order = orders.next(Instant::now());
                    obey(order, &handle);
                    if order == StopOrder::Force {
                        also(SignalOrder::Force);
                    }
                    log_order(signal, order);
                }
                SIGHUP | SIGUSR1 => {
                    handle.reopen();
                    also(SignalOrder::Reopen);
                }
                SIGUSR2 => also(SignalOrder::LogState),
                _ => {}
            }
        }
    })
    .map(drop)
    .map_err(|error| error.to_string())
}

/// The meaning of a stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopOrder {
    /// The first signal.
    Request,
    /// A signal that counts as the same order as the first.
    Repeated,
    /// A later signal.
    Force,
}

/// The stop signals that came so far. A stop that the program began itself does not count.
#[derive(Debug, Default)]
struct StopOrders {
    first: Option<Instant>,
}

impl StopOrders {
    /// Takes the next signal.
    fn next(&mut self, now: Instant) -> StopOrder {
        match self.first {
            None => {
                self.first = Some(now);
                StopOrder::Request
            }
            Some(first) if now.saturating_duration_since(first) < ONE_ORDER_WINDOW => StopOrder::Repeated,
            Some(_) => StopOrder::Force,
        }
    }
}

fn obey(order: StopOrder, handle: &StopHandle) {
    match order {
        StopOrder::Request => handle.request(),
        StopOrder::Repeated => {}
        StopOrder::Force => handle.force(),
    }
}

/// Logs the order after it was obeyed, so that the log line does not delay a stop.
fn log_order(signal: i32, order: StopOrder) {
    match order {
        StopOrder::Request => log::info!("signal {signal}: stopping; a second signal ends pandad at once"),
        StopOrder::Repeated => {}
        StopOrder::Force => log::warn!(
            "signal {signal}, the second one: leaving now; unsettled records and items come again at the \
             next start"
        ),
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
        assert!(stop.is_requested() && !stop.is_forced());
        let requested_at = stop.requested_at();
        assert!(requested_at.is_some());
        handle.force();
        assert!(stop.is_forced() && stop.wait_forced(Duration::from_secs(60)));
        assert_eq!(stop.requested_at(), requested_at, "the deadline counts from the first request");
    }

    #[test]
    fn signals_within_300_ms_are_one_order() {
        let (mut orders, began) = (StopOrders::default(), Instant::now());
        let after = |ms| began + Duration::from_millis(ms);
        assert_eq!(orders.next(began), StopOrder::Request);
        for ms in [0, 1, 200, 299] {
            assert_eq!(orders.next(after(ms)), StopOrder::Repeated, "{ms} ms");
        }
        // The window counts from the first signal, so a row of signals cannot put off the second order.
        assert_eq!(orders.next(after(300)), StopOrder::Force);
        assert_eq!(orders.next(after(301)), StopOrder::Force);
    }
}
