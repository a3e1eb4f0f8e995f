//! The sign of life: a key with a time to live, set again and again in a thread of its
//! own. Where it is missing, others take over what its instance held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use super::Names;
use crate::error::Fault;
use crate::host::Process;
use crate::redis::{Link, cmd};
use crate::threads::{self, Thread};

/// How long after its last sign of life an instance counts as dead.
pub(super) const LIFE: Duration = Duration::from_secs(10);
/// Three chances within a life.
const BEAT: Duration = Duration::from_secs(3);
/// How long its end waits for a beat that is under way.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause after one that failed.
const RETRY: Duration = Duration::from_millis(500);

/// Beats until it is stopped.
pub struct Life {
    beating: Arc<AtomicBool>,
    stop: Sender<()>,
    thread: Thread<()>,
}

impl Life {
    /// Begins to beat for the instance.
    ///
    /// # Errors
    /// `Wait`: no thread can be had.
    pub fn start(mut link: Link, names: &Names, instance: &str) -> Result<Self, Fault> {
        let mut beat = cmd("SET");
        beat.arg(names.alive(instance)).arg(Process::this().to_string()).arg("PX").arg(millis(LIFE));
        let beating = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = bounded::<()>(0);
        let shown = Arc::clone(&beating);
        let thread = threads::spawn("list-alive", move || {
            loop {
                let pause = match threads::contain(|| link.again(|connection| connection.ask(&beat))) {
                    Ok(Ok(_)) => {
                        shown.store(true, SeqCst);
                        BEAT
                    }
                    Ok(Err(_told)) => RETRY,
                    Err(panic) => {
                        log::error!("a fault of our own in the sign of life: {panic}");
                        RETRY
                    }
                };
                if stopped.recv_timeout(pause).is_err_and(|error| error.is_disconnected()) {
                    return;
                }
            }
        })
        .map_err(|error| Fault::Wait(format!("cannot start a thread: {error}")))?;
        Ok(Self { beating, stop, thread })
    }

    /// Whether others have seen it: before that nothing may be taken.
    pub fn is_beating(&self) -> bool {
        self.beating.load(SeqCst)
    }

    /// Ends it; the key is left to whoever ends the instance.
    pub fn stop(self) {
        drop(self.stop);
        // One that is in the middle of a beat which nobody answers ends by itself, later.
        let until = Instant::now() + PATIENCE;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// For Redis, which counts in whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
