//! Whether a job makes progress. Its stages use the same disk one after the other: when files are opened,
//! lines written, lines synced. When the first stage gets stuck, the job logs that once; when all stages go
//! on again, it logs that once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::conditions::Condition;
use super::outage::Outage;

/// Where a job can be stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its files cannot be opened.
    Opening,
    /// A write is refused.
    Writing,
    /// Written lines cannot be made durable, or the run failed in another way.
    Settling,
}

/// What the disk of a job does, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// Nothing is known against it.
    Ok,
    /// The files cannot be opened.
    NotOpened,
    /// It refuses writes.
    RefusesWrites,
    /// What was written cannot be made durable, or the run failed in another way.
    NotSettled,
}

impl DiskState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            DiskState::Ok => "ok",
            DiskState::NotOpened => "not_opened",
            DiskState::RefusesWrites => "refuses_writes",
            DiskState::NotSettled => "not_settled",
        }
    }
}

/// See the module. Shared by the stages of one job.
#[derive(Debug)]
pub struct JobHealth {
    state: Mutex<JobHealthState>,
}

#[derive(Debug)]
struct JobHealthState {
    outage: Outage,
    stuck: Vec<Stage>,
    /// When a stage last reported to be stuck.
    last: Instant,
}

impl JobHealth {
    /// `subject` is the beginning of both log lines.
    pub fn new(subject: impl Into<String>) -> Self {
        let state = JobHealthState { outage: Outage::new(subject), stuck: Vec::new(), last: Instant::now() };
        Self { state: Mutex::new(state) }
    }

    /// Whoever looks at the process sees it as `condition`.
    #[must_use]
    pub fn shown_as(self, condition: Condition) -> Self {
        let JobHealthState { outage, stuck, last } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        Self { state: Mutex::new(JobHealthState { outage: outage.shown_as(condition), stuck, last }) }
    }

    fn lock(&self) -> MutexGuard<'_, JobHealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the stage is stuck, because of `why`. Logged if no stage was stuck before.
    pub fn down(&self, stage: Stage, why: &str) {
        let mut state = self.lock();
        if !state.stuck.contains(&stage) {
            state.stuck.push(stage);
        }
        state.last = Instant::now();
        state.outage.down(Instant::now(), why);
    }

    /// Records that the stage goes on. Logged, with `what` and the time it took, if it was the
    /// last stage that was stuck.
    ///
    /// A write that succeeds does not show that a sync will, nor the other way round. So
    /// each of the two stages has to report for itself.
    pub fn up(&self, stage: Stage, what: &str) {
        let mut state = self.lock();
        state.stuck.retain(|one| *one != stage && !(*one == Stage::Opening && stage == Stage::Writing));
        if state.stuck.is_empty() {
            state.outage.up(Instant::now(), what);
        }
    }

    /// Whether any stage is stuck.
    pub fn is_down(&self) -> bool {
        !self.lock().stuck.is_empty()
    }

    /// What the disk does, by the stage that is stuck first.
    pub fn disk(&self) -> DiskState {
        let stuck = &self.lock().stuck;
        match () {
            () if stuck.contains(&Stage::Opening) => DiskState::NotOpened,
            () if stuck.contains(&Stage::Writing) => DiskState::RefusesWrites,
            () if stuck.contains(&Stage::Settling) => DiskState::NotSettled,
            () => DiskState::Ok,
        }
    }

    /// Ends outages that no stage has reported again for `after`. Such an outage is over, although no stage
    /// has said so.
    pub fn clear_after(&self, after: Duration) {
        let mut state = self.lock();
        if state.last.elapsed() >= after {
            state.stuck.clear();
            state.outage.up(Instant::now(), "ran again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_no_stage_is_stuck() {
        let health = JobHealth::new("test");
        health.up(Stage::Writing, "never was down");
        health.down(Stage::Settling, "cannot sync");
        health.up(Stage::Opening, "opened");
        health.down(Stage::Writing, "cannot write");
        health.up(Stage::Writing, "written again");
        assert!(health.is_down(), "nothing was synced yet");
        health.up(Stage::Settling, "written again");
        assert!(!health.is_down());
        health.down(Stage::Writing, "cannot write");
        health.up(Stage::Settling, "what was written before was synced");
        assert!(health.is_down(), "nothing can be written");
        health.clear_after(Duration::from_secs(60));
        assert!(health.is_down());
        health.clear_after(Duration::ZERO);
        assert!(!health.is_down());
    }
}
