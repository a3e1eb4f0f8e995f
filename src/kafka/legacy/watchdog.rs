//! Shows the owner whether the reading thread hangs in a call of the crate, and in which partition's turn.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::record::TopicPartition;

/// When the thread last returned from a call.
pub(super) struct Watchdog {
    began: Instant,
    /// Milliseconds since `began`.
    last: AtomicU64,
    /// The partition whose turn it is.
    turn: Mutex<Option<TopicPartition>>,
}

impl Watchdog {
    /// The watchdog of a thread that starts now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), turn: Mutex::new(None) }
    }

    /// Records that the thread has returned from a call.
    pub(super) fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Relaxed);
    }

    /// Records that this partition's turn begins.
    pub(super) fn turn(&self, partition: &TopicPartition) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some(partition.clone());
    }

    /// The partition whose turn it was last.
    pub(super) fn last_turn(&self) -> Option<TopicPartition> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time since the thread last returned from a call.
    pub(super) fn quiet_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
}
