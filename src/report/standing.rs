//! Whether a job gets on. Its parts meet the same disk one after the other: when it is
//! opened, when lines are written, when they are synced. It is told once, whichever of
//! them it stops, and once when all of them get on again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Outage;

/// What a job has got stuck in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its files cannot be opened.
    Opening,
    /// What is to be written is refused.
    Landing,
    /// What was written cannot be made durable, or the run failed in another way.
    Settling,
}

/// See the module. Shared by the stages of one job.
#[derive(Debug)]
pub struct Standing {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    outage: Outage,
    stuck: Vec<Stage>,
    /// When it was last said to be stuck.
    last: Instant,
}

impl Standing {
    /// `subject` opens both log lines.
    pub fn new(subject: impl Into<String>) -> Self {
        let inner = Inner { outage: Outage::new(subject), stuck: Vec::new(), last: Instant::now() };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This stage does not get on, because of `why`. Logged if nothing of the job was
    /// stuck before.
    pub fn down(&self, stage: Stage, why: &str) {
        let mut inner = self.lock();
        if !inner.stuck.contains(&stage) {
            inner.stuck.push(stage);
        }
        inner.last = Instant::now();
        inner.outage.down(why);
    }

    /// This stage gets on. Logged, with `what` and the time it took, if it was the last
    /// that was stuck.
    ///
    /// What was written may still be lost when it is to be made durable, so that it can be
    /// written does not say that it can be settled, nor the other way round.
    pub fn up(&self, stage: Stage, what: &str) {
        let mut inner = self.lock();
        inner.stuck.retain(|one| *one != stage && !(*one == Stage::Opening && stage == Stage::Landing));
        if inner.stuck.is_empty() {
            inner.outage.up(what);
        }
    }

    /// Whether any of it is stuck.
    pub fn is_down(&self) -> bool {
        !self.lock().stuck.is_empty()
    }

    /// What has not been met for so long is over, though no stage had cause to say so.
    pub fn forgive(&self, after: Duration) {
        let mut inner = self.lock();
        if inner.last.elapsed() >= after {
            inner.stuck.clear();
            inner.outage.up("ran again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_no_stage_is_stuck() {
        let standing = Standing::new("test");
        standing.up(Stage::Landing, "never was down");
        standing.down(Stage::Settling, "cannot sync");
        standing.up(Stage::Opening, "opened");
        standing.down(Stage::Landing, "cannot write");
        standing.up(Stage::Landing, "written again");
        assert!(standing.is_down(), "nothing was synced yet");
        standing.up(Stage::Settling, "written again");
        assert!(!standing.is_down());
        standing.down(Stage::Landing, "cannot write");
        standing.up(Stage::Settling, "what was written before was synced");
        assert!(standing.is_down(), "nothing can be written");
        standing.forgive(Duration::from_secs(60));
        assert!(standing.is_down());
        standing.forgive(Duration::ZERO);
        assert!(!standing.is_down());
    }
}
