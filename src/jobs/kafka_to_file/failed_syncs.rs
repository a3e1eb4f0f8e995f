//! Log files whose syncs fail again and again, although their disks can be written to. Each failed sync ends
//! the run of all files, so a file that fails again is held back for growing pauses, and the others run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// How long a file is held back after its second failure, and at most.
const HELD_FIRST: Duration = Duration::from_secs(2);
const HELD_MAX: Duration = Duration::from_secs(60);
/// A failure that comes later than this after the one before is the first one again.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// See the module. Clones share the same files.
#[derive(Clone, Default)]
pub(super) struct FailedSyncs(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    /// Those whose syncs have failed in the present run. File and journal can both fail, and are one failure.
    in_run: BTreeSet<PathBuf>,
    failed: BTreeMap<PathBuf, FailedSync>,
}

struct FailedSync {
    last: Instant,
    backoff: Backoff,
    /// `None` after the first failure: the next run shows whether it was the only one.
    held_until: Option<Instant>,
}

impl FailedSyncs {
    /// Records that a sync of this file or of its journal has failed.
    pub(super) fn record(&self, path: &Path) {
        self.lock().in_run.insert(path.to_owned());
    }

    /// Counts the failures of a run that has ended.
    pub(super) fn end_run(&self, now: Instant) {
        let mut files = self.lock();
        files.failed.retain(|_, failed| now.saturating_duration_since(failed.last) < FORGET_AFTER);
        for path in std::mem::take(&mut files.in_run) {
            match files.failed.get_mut(&path) {
                Some(failed) => {
                    failed.last = now;
                    failed.held_until = Some(now + failed.backoff.pause());
                }
                None => {
                    let backoff = Backoff::new(HELD_FIRST, HELD_MAX);
                    files.failed.insert(path, FailedSync { last: now, backoff, held_until: None });
                }
            }
        }
    }

    /// Until when the file is held back, if it is.
    pub(super) fn held_until(&self, path: &Path) -> Option<Instant> {
        self.lock().failed.get(path)?.held_until
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_back_longer_after_each_failure_but_the_first() {
        let (failed, path, begun) = (FailedSyncs::default(), Path::new("/log/a"), Instant::now());
        let fails = |now| {
            failed.record(path);
            failed.record(path);
            failed.end_run(now);
        };
        fails(begun);
        assert_eq!(failed.held_until(path), None);
        for step in [2, 4, 8, 16, 32, 60, 60] {
            fails(begun);
            let held = failed.held_until(path).unwrap() - begun;
            let step = Duration::from_secs(step);
            assert!(held >= step / 2 && held <= step, "{held:?} for {step:?}");
        }
        assert_eq!(failed.held_until(Path::new("/log/b")), None);
        fails(begun + FORGET_AFTER);
        assert_eq!(failed.held_until(path), None);
    }
}
