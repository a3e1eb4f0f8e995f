//! Shows the owner whether the reading thread hangs in a call of the crate, in which partition's turn, and
//! which broker the call waits for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::TopicPartition;

/// When the thread last returned from a call.
pub(super) struct Watchdog {
    began: Instant,
    /// Milliseconds since `began`.
    last: AtomicU64,
    doing: Mutex<Doing>,
}

/// What the thread does.
#[derive(Default)]
struct Doing {
    /// The partition whose turn it is.
    turn: Option<TopicPartition>,
    /// The brokers, `host:port`, one of which the present call waits for.
    asked: Vec<String>,
}

impl Watchdog {
    /// The watchdog of a thread that starts now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), doing: Mutex::default() }
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the thread has returned from a call.
    pub(super) fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Relaxed);
    }

    /// Records that this partition's turn begins.
    pub(super) fn turn(&self, partition: &TopicPartition) {
        self.doing().turn = Some(partition.clone());
    }

    /// Records that the next call waits for an answer of one of these brokers, each `host:port`.
    pub(super) fn asks(&self, brokers: Vec<String>) {
        self.doing().asked = brokers;
    }

    /// The broker that the present call waits for, as the subject of a sentence.
    pub(super) fn asked_broker(&self) -> String {
        match &self.doing().asked[..] {
            [] => "a broker".to_owned(),
            [one] => one.clone(),
            several => format!("one of the brokers {}", several.join(", ")),
        }
    }

    /// The partition whose turn it was last.
    pub(super) fn last_turn(&self) -> Option<TopicPartition> {
        self.doing().turn.clone()
    }

    /// The time since the thread last returned from a call.
    pub(super) fn quiet_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_that_hangs_is_named() {
        let watchdog = Watchdog::new();
        assert_eq!(watchdog.asked_broker(), "a broker");
        watchdog.asks(vec!["b:9093".to_owned(), "c:9094".to_owned()]);
        assert_eq!(watchdog.asked_broker(), "one of the brokers b:9093, c:9094");
        watchdog.asks(vec!["b:9093".to_owned()]);
        watchdog.turn(&TopicPartition::new("t", 0));
        assert_eq!(watchdog.asked_broker(), "b:9093");
    }
}
