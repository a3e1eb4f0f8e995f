//! In which phase of its life a job is, as far as its thread and the daemon report it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobPhase {
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
pub struct PhaseCell(Mutex<(JobPhase, Instant)>);

impl Default for PhaseCell {
    fn default() -> Self {
        Self(Mutex::new((JobPhase::Starting, Instant::now())))
    }
}

impl PhaseCell {
    /// Sets the phase. One that lasts already keeps its beginning.
    pub fn set(&self, phase: JobPhase) {
        let mut cell = self.lock();
        if cell.0 != phase {
            *cell = (phase, Instant::now());
        }
    }

    /// A run of the job has begun. A job that has failed has to show progress first: the daemon
    /// decides.
    pub fn begin_run(&self) {
        let mut cell = self.lock();
        if cell.0 == JobPhase::Starting {
            *cell = (JobPhase::Running, Instant::now());
        }
    }

    /// The phase, and since when it lasts.
    pub fn get(&self) -> (JobPhase, Instant) {
        self.lock().clone()
    }

    /// Whether the job has failed for good.
    pub fn has_failed(&self) -> bool {
        matches!(self.lock().0, JobPhase::Failed { .. })
    }

    fn lock(&self) -> MutexGuard<'_, (JobPhase, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_does_not_hide_a_failure() {
        let cell = PhaseCell::default();
        assert_eq!(cell.get().0, JobPhase::Starting);
        cell.begin_run();
        let (phase, since) = cell.get();
        cell.begin_run();
        assert_eq!((cell.get(), phase), ((JobPhase::Running, since), JobPhase::Running));
        cell.set(JobPhase::Failed { why: "no".to_owned() });
        cell.begin_run();
        assert!(cell.has_failed(), "it is only tried again");
        cell.set(JobPhase::Running);
        assert!(!cell.has_failed());
    }
}
