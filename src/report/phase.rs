//! In which phase of its life a job is, as far as its thread and the daemon report it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The job is opening what it needs, for the first time.
    Starting,
    /// A run of the job has begun. Whether it makes progress is said by its conditions.
    Running,
    /// The job has failed for good. It is only tried again now and then.
    Failed {
        /// Why.
        why: String,
    },
    /// The job's thread has ended.
    Ended,
}

/// The phase of one job, and since when it lasts.
#[derive(Debug)]
pub struct PhaseCell(Mutex<(Phase, Instant)>);

impl Default for PhaseCell {
    fn default() -> Self {
        Self(Mutex::new((Phase::Starting, Instant::now())))
    }
}

impl PhaseCell {
    /// Sets the phase. One that lasts already keeps its beginning.
    pub fn set(&self, phase: Phase) {
        let mut cell = self.lock();
        if cell.0 != phase {
            *cell = (phase, Instant::now());
        }
    }

    /// A run of the job has begun. A job that has failed has to show progress first: the daemon
    /// decides.
    pub fn begin_run(&self) {
        let mut cell = self.lock();
        if cell.0 == Phase::Starting {
            *cell = (Phase::Running, Instant::now());
        }
    }

    /// The phase, and since when it lasts.
    pub fn get(&self) -> (Phase, Instant) {
        self.lock().clone()
    }

    /// Whether the job has failed for good.
    pub fn has_failed(&self) -> bool {
        matches!(self.lock().0, Phase::Failed { .. })
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_does_not_hide_a_failure() {
        let cell = PhaseCell::default();
        assert_eq!(cell.get().0, Phase::Starting);
        cell.begin_run();
        let (phase, since) = cell.get();
        cell.begin_run();
        assert_eq!((cell.get(), phase), ((Phase::Running, since), Phase::Running));
        cell.set(Phase::Failed { why: "no".to_owned() });
        cell.begin_run();
        assert!(cell.has_failed(), "it is only tried again");
        cell.set(Phase::Running);
        assert!(!cell.has_failed());
    }
}
