//! Shows the owner of the reading thread whether that thread hangs in a call of the crate,
//! and on which partition.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::record::TopicPartition;

/// When the thread last came back from a call, in milliseconds since it began.
pub(super) struct Watchdog {
    began: Instant,
    last: AtomicU64,
    /// Whose turn it is.
    turn: Mutex<Option<TopicPartition>>,
}

impl Watchdog {
    /// Of a thread that starts now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), turn: Mutex::new(None) }
    }

    /// The thread is alive.
    pub(super) fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Relaxed);
    }

    /// From now on it is this partition's turn.
    pub(super) fn turn(&self, partition: &TopicPartition) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(partition.clone());
    }

    /// The partition whose turn it was last.
    pub(super) fn last_turn(&self) -> Option<TopicPartition> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the thread has not come back from a call.
    pub(super) fn quiet_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
}
