//! Decides when the files of a period are complete: every partition has been written up to the end of the
//! period and some time more.

use std::time::{Duration, Instant};

use super::watermarks::Watermarks;
use crate::logfile::Ledger;
use crate::moment::now_ms;

/// How often this is decided.
const INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone)]
pub(super) struct Completeness {
    pub(super) watermarks: Watermarks,
    /// How long records of a period are waited for.
    grace: i64,
    again: Instant,
}

impl Completeness {
    pub(super) fn new(watermarks: Watermarks, grace: Duration) -> Self {
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        Self { watermarks, grace, again: Instant::now() }
    }

    /// The end of the last period whose files are complete, if it is time to look.
    pub(super) fn complete_before(&mut self, ledger: &Ledger) -> Option<i64> {
        if Instant::now() < self.again {
            return None;
        }
        self.again = Instant::now() + INTERVAL;
        let watermark = self.watermarks.of(&ledger.assigned(), now_ms())?;
        Some(watermark.saturating_sub(self.grace))
    }
}
